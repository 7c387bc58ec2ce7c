/**
 * Closing an MPTCP connection as the kernel closes a TCP one. When a TCP socket is closed while its peer still sends,
 * the peer is reset by its next segment. Over MPTCP it is left to stall until net.mptcp.close_timeout (60 s): so the
 * connection is kept a little longer than its socket, to answer the peer's next byte with a reset.
 */
import type { Socket } from 'node:net'
import { isMptcpSocket } from '../kernel/listen-socket.js'
import { native } from '../kernel/native.js'
import { fdOf, isResetting, peerHasEnded } from '../kernel/node-socket.js'
import { reactor } from '../kernel/reactor.js'

/** At most this many at once, since each holds a descriptor: the oldest gives way. */
const LINGERING_MOST = 256
/** In milliseconds: as long as TCP waits in FIN_WAIT_2 (net.ipv4.tcp_fin_timeout). */
const LINGER_MS = 60_000

/** To be called just before the handle is closed. Does not keep the event loop alive. */
export function closeLikeTcp(socket: Socket): void {
  if (isResetting(socket)) return
  const fd = fdOf(socket)
  if (fd === undefined || peerHasEnded(socket)) return // the peer has finished: nothing will come
  if (!isMptcpSocket(fd)) return // what has fallen back to TCP is still one, and closes as one
  try {
    // The kernel resets such a connection by itself, as TCP does (RFC 1122 §4.2.2.13), and with no FIN before.
    if (native().unread(fd) > 0) return
    const copy = native().duplicate(fd)
    try {
      native().shutdown(copy)
      awaitPeer(copy)
    } catch {
      native().close(copy) // ENOTCONN: the connection is gone already
    }
  } catch {
    // EMFILE: then it closes as the kernel closes it.
  }
}

/**
 * How to end each connection, by descriptor, the oldest first. Module state, since a descriptor outlives its socket, and the
 * limit is for all sockets of the thread.
 */
const lingering = new Map<number, () => void>()

function awaitPeer(fd: number): void {
  const over = (end: () => void) => {
    clearTimeout(timer)
    lingering.delete(fd)
    end()
  }
  const wait = reactor().awaitBytes(
    fd,
    1,
    (_, bytes) => over(() => (bytes.length > 0 ? native().reset(fd) : native().close(fd))),
    { ref: false },
  )
  const give = () => {
    wait.cancel()
    over(() => native().close(fd))
  }
  const timer = setTimeout(give, LINGER_MS).unref()
  lingering.set(fd, give)
  if (lingering.size > LINGERING_MOST) lingering.values().next().value!()
}
