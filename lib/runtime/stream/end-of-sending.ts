/**
 * Delays the end of a stream while parts of the stream may still be retransmitted, or may have to be moved.
 *
 * Linux' MPTCP (6.18) can miss a DATA_FIN (RFC 8684 §3.3.3) that arrives while bytes before it are missing, or arrive twice. Later all
 * bytes are there and acknowledged, and the DATA_FIN is repeated, but the kernel ignores it as already known and never looks at it
 * again. The peer's application does not see the end, and this side's kernel drops the connection after a minute
 * (net.mptcp.close_timeout). A DATA_FIN that is sent alone, after everything before it is acknowledged, is not missed.
 *
 * And a connection whose end was sent (at once in the kernel's view, even if much is still waiting before it) accepts no further
 * subflow: what is then lost with an access stays lost until that access comes back.
 */
import type { Socket } from 'node:net'
import { decodeMptcpInfo } from '../../wire/kernel/mptcp-info.js'
import { decodeTcpInfo } from '../../wire/kernel/tcp-info.js'
import { INFO_MAX, MPTCP_INFO, SOL_MPTCP, SOL_TCP, TCP_INFO } from '../kernel/constants.js'
import { native } from '../kernel/native.js'
import { fdOf, identityOf, isReferenced } from '../kernel/node-socket.js'

/**
 * Calls `then` when the end of the stream may be sent. That is now if the socket speaks TCP, has nothing in flight, or will hardly
 * retransmit or move what is in flight; otherwise when everything is acknowledged, or after some time without any acknowledgement.
 * `then` is not called if the socket is destroyed first, or connected again.
 *
 * @param isSteered another access may have to bring what is in flight
 */
export function whenEndMayBeSent(socket: Socket, then: () => void, isSteered = false): void {
  if (isAcknowledged(socket) || !mustBeAlone(socket, isSteered)) return then()
  const connection = identityOf(socket)
  const patience = isSteered ? PATIENCE_WITHOUT_ACCESS_MS : PATIENCE_MS
  let acknowledged = mptcpInfo(socket)?.sndUna
  let deadline = performance.now() + patience
  const polling = setInterval(() => {
    // A socket that is connected again is no longer destroyed, but has another connection.
    const gone = socket.destroyed || identityOf(socket) !== connection
    const before = acknowledged
    acknowledged = mptcpInfo(socket)?.sndUna
    if (acknowledged !== before) deadline = performance.now() + patience
    if (!gone && !isAcknowledged(socket) && performance.now() < deadline) return
    clearInterval(polling)
    if (!gone) then()
  }, POLL_MS)
  // When the process exits, the kernel sends the end.
  if (!isReferenced(socket)) polling.unref()
}

/**
 * Whether something may have to be moved to another access; or has been retransmitted, or may be since the path is slow: the kernel
 * retransmits after 200 ms (TCP_RTO_MIN) without a DATA_ACK. Whether the peer steers the connection is not known, so much in flight counts.
 */
function mustBeAlone(socket: Socket, isSteered: boolean): boolean {
  const mptcp = mptcpInfo(socket)
  if (!mptcp || mptcp.fallback) return false
  if (isSteered || socket.writableLength + inFlight(mptcp) > MUCH) return true
  const { rtt = 0, totalRetrans = 0 } = decodeTcpInfo(read(socket, SOL_TCP, TCP_INFO) ?? Buffer.alloc(0))
  return totalRetrans > 0 || (mptcp.bytesRetrans ?? 0) > 0 || rtt / 1000 >= SLOW_RTT_MS
}

/** Whether the peer has acknowledged all that the application has written. */
function isAcknowledged(socket: Socket): boolean {
  if (socket.writableLength > 0) return false
  const mptcp = mptcpInfo(socket)
  return mptcp === undefined || mptcp.writeSeq === mptcp.sndUna
}

/** Bytes that the kernel has taken and the peer has not acknowledged. */
function inFlight({
  writeSeq = 0n,
  sndUna = 0n,
}: {
  writeSeq: bigint | undefined
  sndUna: bigint | undefined
}): number {
  return Number(writeSeq - sndUna)
}

/** `undefined` if the connection speaks TCP, or no longer exists. */
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

/** Half of the time after which the kernel retransmits. */
const SLOW_RTT_MS = 100
/** There is no event for an acknowledgement, so it is polled for. */
const POLL_MS = 5
/** Bytes that take longer than a round trip, so one more does not matter. */
const MUCH = 65_536
/** The end is sent even if the peer no longer acknowledges anything. */
const PATIENCE_MS = 5_000
/** As long as the kernel keeps a connection without subflows: net.mptcp.close_timeout. */
const PATIENCE_WITHOUT_ACCESS_MS = 60_000
