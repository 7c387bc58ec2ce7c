/**
 * Handles a reset that follows the peer's FIN. Over TCP, read(2) still returns the end of the stream, and the error waits for the next
 * write. Over Linux' MPTCP, read(2) fails with EPIPE instead, even after a fallback to TCP.
 */
import type { Socket } from 'node:net'

/** Whether the socket is about to be destroyed for that reason. If so, it gets the end of its stream instead. */
export function endsInstead(socket: Socket, error: Error | null | undefined): boolean {
  const { code, syscall } = (error ?? {}) as NodeJS.ErrnoException
  if (code !== 'EPIPE' || syscall !== 'read' || socket.destroyed) return false
  if (!socket.readableEnded) socket.push(null)
  socket.read(0)
  return true
}
