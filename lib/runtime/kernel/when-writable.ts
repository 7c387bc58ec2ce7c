/** When an accepted connection whose SYN carried data may be written to. */
import { decodeMptcpInfo } from '../../wire/kernel/mptcp-info.js'
import { decodeTcpInfo, TCP_STATES } from '../../wire/kernel/tcp-info.js'
import { EPOLLOUT, INFO_MAX, MPTCP_INFO, SOL_MPTCP, SOL_TCP, TCP_INFO } from './constants.js'
import { native } from './native.js'
import { reactor } from './reactor.js'

/**
 * Calls `then` as soon as an accepted connection may be written to; at once if that is now.
 *
 * With Fast Open, a connection is accepted and the data of its SYN is read while it is still in SYN_RECV. What is written
 * to an MPTCP connection in that state is queued and never sent: no subflow is active yet, and the kernel does not push
 * the queue when one becomes active.
 *
 * Even after the handshake it may not be written to while the peer's key is unknown. If the third ACK was lost, or the
 * peer's kernel repeated its SYN, the ACK that completes the handshake contains no key. What this side sends then has no
 * DATA_ACK: the peer takes the connection for TCP (RFC 8684 §3.7), while this side goes on with MPTCP. It repeats the
 * same bytes since no DATA_ACK arrives, and the peer delivers them to its application twice. The peer's first data ends
 * this state, either way. A peer that sends no data never ends it.
 *
 * @returns a function that ends the wait; call it before the descriptor is closed
 * @throws system errors: out of memory, or of epoll watches
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
    } else if (!isHandshaking(fd)) polling ??= setInterval(look, KEY_POLL_MS).unref() // the arrival of the key raises no event
  }
  // Edges only: the descriptor is writable before the handshake is complete, and stays so.
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

/** How often to check for the peer's key, if the third ACK did not contain it. */
const KEY_POLL_MS = 10
