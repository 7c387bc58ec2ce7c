/**
 * Closes an MPTCP connection as the kernel closes a TCP connection. If a TCP socket is closed while its peer still sends, the peer's
 * next segment is answered with a reset. Over MPTCP the peer stalls until net.mptcp.close_timeout (60 s). So the connection is kept a
 * little longer than its socket, to answer the peer's next byte with a reset.
 */
import type { Socket } from 'node:net'
import { isMptcpSocket } from '../kernel/listen-socket.js'
import { native } from '../kernel/native.js'
import { fdOf, isResetting, peerHasEnded } from '../kernel/node-socket.js'
import { reactor } from '../kernel/reactor.js'

/** Most connections kept at a time, because each holds a descriptor. Beyond that the oldest is closed. */
const LINGERING_MOST = 256
/** In milliseconds: as long as TCP waits in FIN_WAIT_2 (net.ipv4.tcp_fin_timeout). */
const LINGER_MS = 60_000

/** Call it just before the handle is closed. Does not keep the event loop alive. */
export function closeLikeTcp(socket: Socket): void {
  if (isResetting(socket)) return
  const fd = fdOf(socket)
  if (fd === undefined || peerHasEnded(socket)) return // the peer has finished: nothing will come
  if (!isMptcpSocket(fd)) return // TCP closes correctly. What fell back to TCP is still an MPTCP socket, and closes as one
  try {
    // Bytes are unread: the kernel resets such a connection at once, as TCP does (RFC 1122 §4.2.2.13), without a FIN.
    if (native().unread(fd) > 0) return
    const copy = native().duplicate(fd)
    try {
      native().shutdown(copy)
      awaitPeer(copy)
    } catch {
      native().close(copy) // ENOTCONN: the connection is gone already
    }
  } catch {
    // EMFILE: the kernel closes it in its own way.
  }
}

/**
 * The function that ends each connection, by descriptor, the oldest first. Module state, because a descriptor outlives its socket, and
 * the limit applies to all sockets of the thread.
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
