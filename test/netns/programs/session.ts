/**
 * A UE with a session that obeys: its argument is the session's options as JSON, with `nas` in place of `rules` for a message in
 * hexadecimal; each line on its standard input is a call of
 * one of `calls`, `{"id":1,"call":"open","args":[…]}`, the answer is a line with the same id. What the session says by itself is
 * an `event` line, with the milliseconds since the start.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Assistance, MaPduSession, type MptcpConnectOptions, type MptcpSocket, type RulesInput } from 'atsss'
import { openPathManager } from '../../../lib/runtime/network/path-manager.js'
import { blockFor } from '../../support/block-for.js'
import { clock, type Download, Downloaded } from './download.js'
import { pattern } from './pattern.js'

export interface Stream {
  connect: MptcpConnectOptions
  /** How many bytes of the pattern are written at a time; 0: none ever. */
  chunk: number
  /** Every this many milliseconds; 0: as fast as they leave. */
  every: number
  /** What the server is to send: for its port `DOWNLOAD`. */
  download?: Download
}

/** One connection, at its end. */
export interface StreamEnd {
  sent: number
  received: number
  /** Whether all that was sent has come back, or come to the server that says its hash; and the download that it has sent. */
  whole: boolean
  answer: string
  error?: { code: string | undefined; message: string }
}

interface Open {
  socket: MptcpSocket
  sent: number
  received: number
  gap: number
  heardAt: number
  /** Of the socket; undefined: none yet. */
  error: { code: string | undefined; message: string } | undefined
  stop(): Promise<void>
  end(): Promise<StreamEnd>
}

const start = performance.now()
const at = () => Math.round(performance.now() - start)
const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`)
const about = (error: Error) => ({ code: (error as NodeJS.ErrnoException).code, message: error.message })

const { nas, ...options } = JSON.parse(process.argv[2]!)
const session = new MaPduSession(nas === undefined ? options : { ...options, rules: Buffer.from(nas, 'hex') })
const streams: Open[] = []
const numberOf = (socket: MptcpSocket | undefined) => streams.findIndex(stream => stream.socket === socket)
session.on('access', change => say({ event: 'access', at: at(), ...change }))
session.on('interface', change => say({ event: 'interface', at: at(), ...change }))
session.on('action', ({ socket, ...change }) => say({ event: 'action', at: at(), stream: numberOf(socket), ...change }))
session.on('handover', ({ socket, ...change }) =>
  say({ event: 'handover', at: at(), stream: numberOf(socket), ...change }),
)
session.on('degraded', what => say({ event: 'degraded', at: at(), ...what }))
session.on('restored', what => say({ event: 'restored', at: at(), ...what }))
session.on('problem', problem => say({ event: 'problem', at: at(), ...problem }))

function open({ connect, chunk, every, download }: Stream): Open {
  const socket = session.connect(connect)
  const [hashSent, hashReceived] = [createHash('sha256'), createHash('sha256')]
  let answer = ''
  let writing = true
  const stream: Open = { socket, sent: 0, received: 0, gap: 0, heardAt: clock(), error: undefined, stop, end }
  const downloaded = download && new Downloaded()
  socket.on('error', reason => {
    stream.error = about(reason)
  })
  socket.on('data', data => {
    const now = clock()
    stream.gap = Math.max(stream.gap, now - stream.heardAt)
    stream.heardAt = now
    stream.received += data.length
    hashReceived.update(data)
    downloaded?.add(data)
    answer = (answer + data.toString('latin1')).slice(-100)
  })
  if (download) socket.write(`${JSON.stringify(download)}\n`)
  const written = chunk > 0 ? write() : Promise.resolve()

  async function write(): Promise<void> {
    while (writing && !socket.destroyed) {
      const bytes = pattern(stream.sent, chunk)
      stream.sent += bytes.length
      hashSent.update(bytes)
      const room = socket.write(bytes)
      if (every > 0) await sleep(every)
      else if (!room) await drained(socket)
    }
  }
  async function stop(): Promise<void> {
    writing = false
    await written
  }
  async function end(): Promise<StreamEnd> {
    await stop()
    if (!socket.closed) {
      socket.end()
      await once(socket, 'close').catch(() => once(socket, 'close'))
    }
    const hash = hashSent.digest('hex')
    const whole = downloaded
      ? downloaded.isWhole({ bytes: stream.sent, sha256: hash })
      : hashReceived.digest('hex') === hash || answer === `${stream.sent} ${hash}`
    const { sent, received, error } = stream
    return { sent, received, whole, answer, ...(error && { error }) }
  }
  return stream
}

function drained(socket: MptcpSocket): Promise<void> {
  return new Promise(resolve => {
    const go = () => {
      socket.off('drain', go).off('close', go)
      resolve()
    }
    socket.on('drain', go).on('close', go)
  })
}

const calls = {
  /** Resolves when it is connected, with what it got. */
  async open(what: Stream) {
    const stream = open(what)
    const number = streams.push(stream) - 1
    const began = performance.now()
    await once(stream.socket, 'connect')
    const { interface: name, protocol, convert, fallback } = stream.socket.mptcp
    const { remoteAddress, remoteFamily, localAddress, localFamily } = stream.socket
    const shown = { remoteAddress, remoteFamily, localAddress, localFamily, address: stream.socket.address() }
    return { number, took: performance.now() - began, interface: name, protocol, convert, fallback, shown }
  },
  /** The longest time without anything from the peer, in milliseconds, and the bytes, since the call before. */
  gap(number: number) {
    const stream = streams[number]!
    const gap = Math.max(stream.gap, clock() - stream.heardAt)
    const { received, sent } = stream
    stream.gap = 0
    stream.heardAt = clock()
    return { gap, received, sent }
  },
  /** When each stream has last received anything, on `clock()`. */
  heardAt: () => streams.map(({ heardAt }) => heardAt),
  error: (number: number) => streams[number]!.error,
  /** Writes no more, but stays open. */
  async stop(number: number) {
    await streams[number]!.stop()
  },
  end: (number: number) => streams[number]!.end(),
  destroy(number: number) {
    streams[number]!.socket.destroy()
  },
  ready: () => session.ready.catch(about),
  update(rules: RulesInput) {
    const { moved, ...update } = session.update(rules)
    return {
      ...update,
      moved: moved.map(({ socket, from, to }) => ({
        stream: numberOf(socket),
        from: from?.precedence,
        to: to?.precedence,
      })),
    }
  },
  explain: session.explain.bind(session),
  assist: (wish: Assistance | null) => session.assist(wish ?? undefined),
  stats() {
    const { connections, ...rest } = session.stats()
    return { ...rest, connections: connections.map(({ socket, rule }) => [numberOf(socket), rule?.precedence]) }
  },
  connections: () => session.stats().connections.map(({ socket: _, ...connection }) => connection),
  unjoined: (number: number) =>
    session.stats().connections.find(({ socket }) => socket === streams[number]!.socket)?.unjoined,
  /** How many subflows the session counts for a stream. */
  subflows: (number: number) =>
    session.stats().connections.find(({ socket }) => socket === streams[number]!.socket)?.subflows.length,
  close: () => session.close(),
  /** The event loop does nothing else for `milliseconds` at a time, with a millisecond between, `times`. */
  async block(milliseconds: number, times: number) {
    for (let i = 0; i < times; i++) {
      blockFor(milliseconds)
      await sleep(1)
    }
  },
  async endpoints() {
    const manager = await openPathManager()
    return manager.kernel.endpoints().finally(() => manager.close())
  },
  resources: () => process.getActiveResourcesInfo(),
}

export type Calls = typeof calls

say({ event: 'ready' })
for await (const line of createInterface(process.stdin)) {
  const { id, call, args } = JSON.parse(line)
  const run = calls[call as keyof Calls] as (...args: unknown[]) => unknown
  void (async () => {
    try {
      say({ id, value: await run(...args) })
    } catch (error) {
      say({ id, error: about(error as Error) })
    }
  })()
}
