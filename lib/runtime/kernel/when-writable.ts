/** When a connection that came with data in its SYN may be written to. */
import { decodeMptcpInfo } from '../../wire/kernel/mptcp-info.js'
import { decodeTcpInfo, TCP_STATES } from '../../wire/kernel/tcp-info.js'
import { INFO_MAX, MPTCP_INFO, SOL_MPTCP, SOL_TCP, TCP_INFO } from './constants.js'
import { native } from './native.js'
import { reactor } from './reactor.js'

/**
 * Calls `then` as soon as an accepted connection may be written to; at once when it may.
 *
 * With Fast Open a connection is accepted, and its SYN's data read, while it is still in SYN_RECV. What is written to
 * an MPTCP connection in that state is queued and never sent: no subflow is active yet, and when one becomes active
 * that does not push.
 *
 * Nor may it be written to while the peer's key is not known, although the handshake is complete: where the third ACK
 * was lost, or the peer's kernel has repeated its SYN, the ACK that completes it has no key in it. What is sent then has
 * no DATA_ACK, by which the peer takes it for TCP (RFC 8684 §3.7) while this side holds it for MPTCP: this side sends the
 * same bytes again for want of a DATA_ACK, and the peer hands them to its application twice. The peer's first data end
 * this, either way; when there are none, it never ends.
 *
 * @returns ends the wait; to be called before the descriptor is closed
 * @throws system errors: no more memory or watches
 */
export function whenWritable(fd: number, then: () => void): () => void {
  if (mayBeWrittenTo(fd)) {
    then()
    return () => {}
  }
  let polling: NodeJS.Timeout | undefined
  let cancel = (): void => {}
  const look = (): void => {
    if (mayBeWrittenTo(fd)) {
      cancel()
      then()
    } else if (!isHandshaking(fd)) polling ??= setInterval(look, KEY_POLL_MS).unref() // of the key nobody tells
  }
  // An edge: level-triggered, the descriptor is writable before the handshake is complete and stays so.
  const wait = reactor().watchEdges(fd, EPOLLOUT, look, { ref: false })
  cancel = () => {
    wait.cancel()
    clearInterval(polling)
  }
  return cancel
}

function mayBeWrittenTo(fd: number): boolean {
  if (isHandshaking(fd)) return false
  const info = option(fd, SOL_MPTCP, MPTCP_INFO)
  return info === undefined || decodeMptcpInfo(info).remoteKeyReceived !== false
}

function isHandshaking(fd: number): boolean {
  const bytes = option(fd, SOL_TCP, TCP_INFO)
  const state = bytes && decodeTcpInfo(bytes).state
  return state === TCP_STATES.synSent || state === TCP_STATES.synRecv || state === TCP_STATES.newSynRecv
}

function option(fd: number, level: number, name: number): Buffer | undefined {
  try {
    return native().getsockopt(fd, level, name, INFO_MAX)
  } catch {
    return undefined
  }
}

const EPOLLOUT = 4
/** How often to look whether the peer's key has come, where the third ACK did not bring it. */
const KEY_POLL_MS = 10
