/**
 * Asks the peer what has arrived, over a subflow that has nothing to send: by a keepalive probe (RFC 9293 §3.8.4). The peer
 * answers at once with an acknowledgement, which contains the DATA_ACK of the whole stream (RFC 8684 §3.3.2).
 */
import { int, SO_KEEPALIVE, SOL_SOCKET, SOL_TCP, TCP_KEEPIDLE } from '../kernel/constants.js'
import { native } from '../kernel/native.js'
import { tokenOf } from '../kernel/open-socket.js'

/** The least value, in seconds. */
const KEEPIDLE_S = 1
/** When to restore the application's options, in milliseconds: after some ticks of the kernel's timer (100 to 1000 Hz). */
const OURS_MS = 50

/**
 * Asks over each subflow on which nothing has been received for a second: setting TCP_KEEPIDLE to that makes the kernel send the
 * probe with its next tick. The application's options are restored afterwards. Throws system errors if the kernel refuses that
 * (6.1 and later do not). Does nothing if the descriptor is another connection's by now.
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
      // Another value was set by the application meanwhile.
      if (get(fd, SOL_TCP, TCP_KEEPIDLE) !== KEEPIDLE_S) return
      if (!on) set(fd, SOL_SOCKET, SO_KEEPALIVE, 0)
      set(fd, SOL_TCP, TCP_KEEPIDLE, idle)
    } catch {
      // The socket is closed.
    }
  }
  // This timer keeps the thread: without it the options of the application would stay changed.
  setTimeout(restore, OURS_MS)
}

function get(fd: number, level: number, name: number): number {
  return native().getsockopt(fd, level, name, 4).readInt32LE()
}

function set(fd: number, level: number, name: number, value: number): void {
  native().setsockopt(fd, level, name, int(value))
}
