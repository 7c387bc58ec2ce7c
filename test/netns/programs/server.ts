/**
 * A server of several sorts, each on a port of its own, over MPTCP as well as TCP, for both families. It says a JSON line when it
 * is ready, and one for each connection that ends.
 */
import { createHash } from 'node:crypto'
import net from 'node:net'
import { createInterface } from 'node:readline'
import { IPPROTO_MPTCP } from '../../../lib/runtime/kernel/constants.js'
import { native } from '../../../lib/runtime/kernel/native.js'
import { clock, serveDownload, tell } from './download.js'
import { writePattern } from './pattern.js'

/** Sends back what it gets, and its end. */
export const ECHO = 7
/** Takes everything, and at the end says how many bytes it was, and their SHA-256. */
export const SINK = 9
/** Sends as many bytes of the pattern as the first line asks for, and the end. */
export const SOURCE = 19
/** Resets the connection with the first byte it gets. */
export const RESET = 20
/** Sends without end. */
export const FLOOD = 21
/** Says "bye" and ends its side; takes what comes all the same. */
export const BYE = 22
/** Sends a byte now and then, without end. */
export const TRICKLE = 24
/** Sends what the first line asks for, a `Download`; those that wait for it send with each line on the server's standard input. */
export const DOWNLOAD = 25
/** Nobody listens there. */
export const NOBODY = 23

/** Downloads that waited have been sent their next bytes. */
export interface ToldLine {
  event: 'told'
  /** On `clock()`. */
  at: number
}

export interface ServerLine {
  event: 'closed'
  port: number
  bytes: number
  error?: string
  /** Milliseconds since the epoch. */
  at: number
  remoteAddress: string
}

const SORTS: Record<number, (socket: net.Socket) => void> = {
  [ECHO]: socket => socket.pipe(socket),
  [SINK]: socket => {
    const hash = createHash('sha256')
    socket.on('data', chunk => hash.update(chunk))
    socket.on('end', () => socket.end(`${socket.bytesRead} ${hash.digest('hex')}`))
  },
  [SOURCE]: socket => {
    socket.once('data', line => void writePattern(socket, Number(line)).then(() => socket.end()))
    socket.on('data', () => {})
  },
  [RESET]: socket => socket.once('data', () => socket.resetAndDestroy()),
  [FLOOD]: socket => {
    socket.resume()
    void writePattern(socket, Number.MAX_SAFE_INTEGER)
  },
  [TRICKLE]: socket => {
    const timer = setInterval(() => socket.write('.'), 20)
    socket.resume().on('close', () => clearInterval(timer))
  },
  [BYE]: socket => socket.resume().end('bye'),
  [DOWNLOAD]: serveDownload,
}

if (process.argv[2] === 'run') {
  const addon = native()
  for (const [port, serve] of Object.entries(SORTS)) {
    const fd = addon.socket(6, IPPROTO_MPTCP)
    addon.bind(fd, '::', Number(port))
    addon.listen(fd, 4096)
    addon.release(fd)
    const server = net.createServer({ allowHalfOpen: true, noDelay: true }, socket => {
      const remoteAddress = socket.remoteAddress!
      let error: string | undefined
      socket.on('error', reason => {
        error = (reason as NodeJS.ErrnoException).code
      })
      socket.on('close', () => {
        const line: ServerLine = {
          event: 'closed',
          port: Number(port),
          bytes: socket.bytesRead,
          at: Date.now(),
          remoteAddress,
        }
        process.stdout.write(`${JSON.stringify(error ? { ...line, error } : line)}\n`)
      })
      serve(socket)
    })
    await new Promise<void>(resolve => server.listen({ fd, backlog: 4096 }, resolve))
  }
  createInterface(process.stdin).on('line', () => {
    const line: ToldLine = { event: 'told', at: clock() }
    tell()
    process.stdout.write(`${JSON.stringify(line)}\n`)
  })
  process.stdout.write('{"event":"ready"}\n')
}
