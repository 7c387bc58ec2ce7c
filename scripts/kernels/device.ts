/**
 * The device in the kernels' trial. Each line on standard input is a call, `{"call":"stats","args":[]}`; each answer is a line
 * `{"value":…}` or `{"error":…}`. `reports()` returns what the session has reported.
 */
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { connect, isSupported, MaPduSession, type MptcpConnectOptions, type RulesInput } from 'atsss'

const HOST = '198.51.100.2'
const PORT = 80
const CONVERTER = '192.0.2.1:5124'
const CONVERTERS = [CONVERTER, '[2001:db8:c::1]:5124']

export interface Flow {
  gap: number
  last: number
  bytes: number
  error?: string
  done: boolean
}

const session = new MaPduSession({ accesses: { '3gpp': 'cell', 'non-3gpp': 'wifi' }, converters: CONVERTERS })
const reported: string[] = []
session.on('degraded', what => reported.push(`degraded: ${JSON.stringify(what)}`))
session.on('problem', error => reported.push(`problem: ${error.message}`))
session.on('action', ({ action, error }) => {
  if (error !== undefined) reported.push(`refused: ${action.do}: ${error}`)
})

const sockets = new Map<string, { socket: ReturnType<typeof session.connect>; flow: Flow }>()

const calls = {
  isSupported: () => isSupported(),
  async ready() {
    return await session.ready
  },
  /** One request and the first bytes of its answer. */
  async request(options: Partial<MptcpConnectOptions>) {
    const socket = connect({ host: HOST, port: PORT, converters: CONVERTER, ...options } as MptcpConnectOptions)
    try {
      await within(once(socket, 'connect'), 8000)
      socket.write('send 10\n')
      const [data] = await within(once(socket, 'data'), 5000)
      const { protocol, convert, fallback, interface: name } = socket.mptcp
      return { bytes: data.length, protocol, convert, fallback, interface: name }
    } finally {
      socket.destroy()
    }
  },
  update(rules: RulesInput) {
    session.update(rules)
  },
  /** Opens a connection under a name. `line` is the server's instruction; `write` is what this end sends, and how often. */
  async open(name: string, line: string, write?: { bytes: number; every: number }) {
    const flow: Flow = { gap: 0, last: performance.now(), bytes: 0, done: false }
    const socket = session.connect({ host: HOST, port: PORT, noDelay: true })
    sockets.set(name, { socket, flow })
    socket.on('data', data => {
      const now = performance.now()
      flow.gap = Math.max(flow.gap, now - flow.last)
      flow.last = now
      flow.bytes += data.length
    })
    socket.on('error', error => {
      flow.error = error.message
    })
    socket.on('close', () => {
      flow.done = true
    })
    socket.write(`${line}\n`)
    await within(once(socket, 'connect'), 8000)
    if (write !== undefined) void writeOn(socket, write)
  },
  /** The longest time without a byte from the server, since the previous call. */
  arrived(name: string) {
    const { flow } = sockets.get(name)!
    const { bytes, error, done } = flow
    const gap = Math.max(flow.gap, performance.now() - flow.last)
    Object.assign(flow, { gap: 0, last: performance.now() })
    return { gap, bytes, error, done }
  },
  close(name: string) {
    sockets.get(name)?.socket.destroy()
    sockets.delete(name)
  },
  stats() {
    const { accesses, connections } = session.stats()
    return {
      accesses,
      subflows: connections.flatMap(({ subflows }) =>
        (subflows ?? []).map(({ access, state, backup }) => ({ access, state, backup })),
      ),
    }
  },
  reports: () => reported.splice(0),
  /** Accepts connections from outside, which it echoes. @returns where: for each IP version */
  async serve(port: number) {
    const server = session.createServer(socket => {
      socket.on('error', () => {})
      socket.pipe(socket)
    })
    server.on('problem', error => reported.push(`incoming problem: ${error.message}`))
    server.listen(port)
    const end = performance.now() + 10_000
    while (server.externalAddresses().length < 2 && performance.now() < end) await wait(50)
    return server.externalAddresses()
  },
}
export type Calls = typeof calls

process.stdout.write('{"value":"started"}\n')
for await (const line of createInterface(process.stdin)) {
  const { call, args } = JSON.parse(line) as { call: keyof Calls; args: never[] }
  try {
    const value = await (calls[call] as (...args: never[]) => unknown)(...args)
    process.stdout.write(`${JSON.stringify({ value: value ?? null })}\n`)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    process.stdout.write(`${JSON.stringify({ error: code === undefined ? message : `${code}: ${message}` })}\n`)
  }
}
process.exit(0)

async function writeOn(socket: ReturnType<typeof session.connect>, { bytes, every }: { bytes: number; every: number }) {
  const piece = Buffer.alloc(bytes)
  while (!socket.destroyed) {
    const room = socket.write(piece)
    if (every > 0) await wait(every)
    else if (!room) await drained(socket)
  }
}

function drained(socket: ReturnType<typeof session.connect>): Promise<void> {
  return new Promise(resolve => {
    const go = () => {
      socket.off('drain', go).off('close', go)
      resolve()
    }
    socket.on('drain', go).on('close', go)
  })
}

async function within<T>(promise: Promise<T>, milliseconds: number): Promise<T> {
  const late = wait(milliseconds, undefined, { ref: false }).then(() => {
    throw new Error(`no answer within ${milliseconds} ms`)
  })
  return await Promise.race([promise, late])
}
