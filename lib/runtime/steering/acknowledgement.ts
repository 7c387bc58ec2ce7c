/**
 * To ask the peer what has arrived, over a subflow that has nothing to send: a keepalive probe (RFC 9293 §3.8.4), which is
 * answered at once with an acknowledgement, and that has the DATA_ACK of the whole stream in it (RFC 8684 §3.3.2).
 */
import { int, SO_KEEPALIVE, SOL_SOCKET, SOL_TCP, TCP_KEEPIDLE } from '../kernel/constants.js'
import { native } from '../kernel/native.js'
import { tokenOf } from '../kernel/open-socket.js'

/** In seconds: the least there is. */
const KEEPIDLE_S = 1
/** For how long the options are ours, in milliseconds: some ticks of the kernel's timer, whichever it has (100 to 1000 Hz). */
const OURS_MS = 50

/**
 * Over each subflow on which nothing has come in for a second: to set TCP_KEEPIDLE to no more than that sends the probe with the
 * timer's next tick. Then the application's options are as they were. Throws system errors where the kernel cannot (before
 * 6.10), and does nothing when the descriptor is another connection's by now.
 */
export function askForAcknowledgement(fd: number, token: number): void {
  if (tokenOf(fd) !== token) return
  const on = get(fd, SOL_SOCKET, SO_KEEPALIVE)
  const idle = get(fd, SOL_TCP, TCP_KEEPIDLE)
  if (!on) set(fd, SOL_SOCKET, SO_KEEPALIVE, 1)
  set(fd, SOL_TCP, TCP_KEEPIDLE, KEEPIDLE_S)
  const restore = () => {
    if (tokenOf(fd) !== token) return
    try {
      // What has been set meanwhile is the application's wish.
      if (get(fd, SOL_TCP, TCP_KEEPIDLE) !== KEEPIDLE_S) return
      if (!on) set(fd, SOL_SOCKET, SO_KEEPALIVE, 0)
      set(fd, SOL_TCP, TCP_KEEPIDLE, idle)
    } catch {
      // The socket has gone, and its options with it.
    }
  }
  setTimeout(restore, OURS_MS)
}

function get(fd: number, level: number, name: number): number {
  return native().getsockopt(fd, level, name, 4).readInt32LE()
}

function set(fd: number, level: number, name: number, value: number): void {
  native().setsockopt(fd, level, name, int(value))
}
