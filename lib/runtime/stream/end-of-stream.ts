/**
 * A reset that comes behind the peer's FIN. TCP reads the end of the stream all the same (the error waits for the next
 * write); Linux' MPTCP reads EPIPE in its place, also where the connection has fallen back to TCP.
 */
import type { Socket } from 'node:net'

/** Whether that is what is to destroy the socket. If so it sees the end of its stream instead. */
export function endsInstead(socket: Socket, error: Error | null | undefined): boolean {
  const { code, syscall } = (error ?? {}) as NodeJS.ErrnoException
  if (code !== 'EPIPE' || syscall !== 'read' || socket.destroyed) return false
  if (!socket.readableEnded) socket.push(null)
  socket.read(0)
  return true
}
