/** What an application writes before `'connect'`: it may leave in the SYN, or right after it. */
import type { Socket } from 'node:net'
import type { Connecting } from './connecting.js'

export type WriteDone = (error?: Error | null) => void

export interface Chunk {
  chunk: string | Uint8Array
  encoding: BufferEncoding
}

/**
 * Our part of a socket's `_write` and `_writev`. False: Node keeps or sends the bytes.
 *
 * @param done called once, at the latest when the socket closes
 */
export function writeEarly(
  socket: Socket,
  connecting: Connecting | undefined,
  chunks: readonly Chunk[],
  done: WriteDone,
): boolean {
  if (!socket.connecting || !connecting) return false
  const bytes = chunks.map(({ chunk, encoding }) => (typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk))
  let settled = false
  const closed = () => settle(closedBefore())
  const settle: WriteDone = error => {
    if (settled) return
    settled = true
    socket.off('close', closed)
    done(error)
  }
  if (!connecting.write(bytes.length === 1 ? bytes[0]! : Buffer.concat(bytes), settle)) return false
  if (!settled) socket.once('close', closed)
  return true
}

/** Node's error. */
function closedBefore(): Error {
  const error = new Error('Socket closed before the connection was established')
  return Object.assign(error, { code: 'ERR_SOCKET_CLOSED_BEFORE_CONNECTION' })
}
