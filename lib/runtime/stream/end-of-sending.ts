/**
 * When the end of a stream is sent: not while some of the stream may be sent again.
 *
 * Linux' MPTCP (6.18) can miss an end that it receives while bytes before it were still to come, or came twice: the bytes
 * are all there and acknowledged, the DATA_FIN (RFC 8684 §3.3.3) is repeated, and is ignored, since it is known already; and
 * nothing makes the kernel look at it once more. The peer's application does not see the end, and this side's kernel drops
 * the connection after a minute (net.mptcp.close_timeout). An end that comes by itself, behind an acknowledgement of all that
 * is before it, is not missed.
 */
import type { Socket } from 'node:net'
import { decodeMptcpInfo } from '../../wire/kernel/mptcp-info.js'
import { decodeTcpInfo } from '../../wire/kernel/tcp-info.js'
import { INFO_MAX, MPTCP_INFO, SOL_MPTCP, SOL_TCP, TCP_INFO } from '../kernel/constants.js'
import { native } from '../kernel/native.js'
import { fdOf, identityOf, isReferenced } from '../kernel/node-socket.js'

/**
 * Calls `then` when the end of what the socket sends may be sent: at once, where it speaks no MPTCP, has nothing under way, or
 * where what is under way will hardly be sent again; else once all of it is acknowledged, or after some seconds without any
 * acknowledgement. Not at all when the socket is destroyed before, or connected again.
 */
export function whenEndMayBeSent(socket: Socket, then: () => void): void {
  if (!mayBeSentAgain(socket) || isAcknowledged(socket)) return then()
  const connection = identityOf(socket)
  let acknowledged = mptcpInfo(socket)?.sndUna
  let deadline = performance.now() + PATIENCE_MS
  const polling = setInterval(() => {
    // A socket that is connected again is not destroyed any more.
    const gone = socket.destroyed || identityOf(socket) !== connection
    const before = acknowledged
    acknowledged = mptcpInfo(socket)?.sndUna
    if (acknowledged !== before) deadline = performance.now() + PATIENCE_MS
    if (!gone && !isAcknowledged(socket) && performance.now() < deadline) return
    clearInterval(polling)
    if (!gone) then()
  }, POLL_MS)
  // The kernel sends the end of what a process leaves.
  if (!isReferenced(socket)) polling.unref()
}

/**
 * Whether something of it has been, or the path is about as slow as the kernel is patient: after 200 ms (TCP_RTO_MIN) without a
 * DATA_ACK it sends once more.
 */
function mayBeSentAgain(socket: Socket): boolean {
  const mptcp = mptcpInfo(socket)
  if (!mptcp || mptcp.fallback) return false
  const { rtt = 0, totalRetrans = 0 } = decodeTcpInfo(read(socket, SOL_TCP, TCP_INFO) ?? Buffer.alloc(0))
  return totalRetrans > 0 || (mptcp.bytesRetrans ?? 0) > 0 || rtt / 1000 >= SLOW_RTT_MS
}

/** What the application has given, and the kernel has. */
function isAcknowledged(socket: Socket): boolean {
  if (socket.writableLength > 0) return false
  const mptcp = mptcpInfo(socket)
  return mptcp === undefined || mptcp.writeSeq === mptcp.sndUna
}

/** `undefined` where it speaks TCP, or has gone. */
function mptcpInfo(socket: Socket): ReturnType<typeof decodeMptcpInfo> | undefined {
  const bytes = read(socket, SOL_MPTCP, MPTCP_INFO)
  return bytes && decodeMptcpInfo(bytes)
}

function read(socket: Socket, level: number, name: number): Buffer | undefined {
  const fd = fdOf(socket)
  try {
    return fd === undefined ? undefined : native().getsockopt(fd, level, name, INFO_MAX)
  } catch {
    return undefined
  }
}

/** Half of what the kernel waits before it sends again. */
const SLOW_RTT_MS = 100
/** No event announces an acknowledgement: it has to be polled for. */
const POLL_MS = 5
/** A peer that takes nothing any more must not keep the end from being sent at all. */
const PATIENCE_MS = 5_000
