/** A connection from its beginning to its first word or its failure, as its user sees it. */
import { once } from 'node:events'
import { connect, type MptcpConnectOptions, type MptcpSocket } from '../../lib/index.js'

export interface Outcome {
  socket: MptcpSocket
  /** What `'error'` brought instead of `'connect'`; the socket has closed then. */
  error: (NodeJS.ErrnoException & Record<string, unknown>) | undefined
  /** All that `'data'` has brought until now. */
  bytes: Buffer
  /** Resolves with all of it when the stream has ended, or was reset. */
  all: Promise<Buffer>
  /** Milliseconds from `connect()` to `'connect'` or `'close'`. */
  took: number
}

/** Resolves at `'connect'`, or at `'close'` after an error. Whatever comes is read. */
export async function outcomeOf(options: MptcpConnectOptions, early?: string): Promise<Outcome> {
  const start = performance.now()
  const socket = connect(options)
  const outcome: Outcome = {
    socket,
    error: undefined,
    bytes: Buffer.alloc(0),
    all: Promise.resolve(Buffer.alloc(0)),
    took: 0,
  }
  socket.on('data', chunk => {
    outcome.bytes = Buffer.concat([outcome.bytes, chunk])
  })
  const closed = once(socket, 'close').catch(() => {})
  outcome.all = closed.then(() => outcome.bytes)
  const connected = new Promise(resolve => socket.once('connect', resolve))
  socket.on('error', error => {
    outcome.error ??= error as Outcome['error']
  })
  if (early !== undefined) socket.write(early)
  await Promise.race([connected, new Promise(resolve => socket.once('close', resolve))])
  outcome.took = performance.now() - start
  return outcome
}
