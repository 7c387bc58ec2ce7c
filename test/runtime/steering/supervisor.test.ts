/** The thread of a steering loop that ends unexpectedly; threads are values here, except in the last test. */
import { EventEmitter, once } from 'node:events'
import { createServer } from 'node:net'
import type { Worker } from 'node:worker_threads'
import { MaPduSession } from 'atsss'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Command, HostConfig, Report } from '../../../lib/runtime/steering/messages.js'
import { type LoopThread, superviseLoop } from '../../../lib/runtime/steering/supervisor.js'
import { addon } from '../../support/probes.js'
import { requires } from '../../support/requires.js'

class Thread extends EventEmitter implements LoopThread {
  readonly commands: Command[] = []
  keeps = true
  readonly config: HostConfig
  constructor(config: HostConfig) {
    super()
    this.config = config
  }
  postMessage(command: Command): void {
    this.commands.push(command)
  }
  ref(): void {
    this.keeps = true
  }
  unref(): void {
    this.keeps = false
  }
  says(report: Report): void {
    this.emit('message', report)
  }
}

const CONFIG: HostConfig = {
  helper: false,
  idleProbeMs: 30_000,
  accesses: { '3gpp': { interface: 'cell' }, 'non-3gpp': { interface: 'wifi' } },
}
const READY: Report = { event: 'ready', level: { level: 'userspace', why: undefined } }
const steered = { token: 1, fd: 3, remote: undefined, family: 4, rule: 255 } as const
const add: Command = { command: 'add', steered }
const own = { endpoints: [], raised: { from: 1, to: 2 } }

function supervised() {
  const threads: Thread[] = []
  const reports: Report[] = []
  const state = { cannotStart: false }
  const send = superviseLoop(
    CONFIG,
    report => reports.push(report),
    config => {
      if (state.cannotStart) throw new Error('no memory')
      threads.push(new Thread(config))
      return threads.at(-1)!
    },
  )
  const events = () => reports.map(({ event }) => event)
  return { threads, reports, events, send, state, last: () => threads.at(-1)! }
}

describe('a thread', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  test('that ends is reported, and another one takes over the connections at once', () => {
    const { threads, reports, send, last } = supervised()
    last().says(READY)
    send({ command: 'rules', rules: [], assigned: [] })
    send(add)
    vi.advanceTimersByTime(60_000)
    last().emit('error', new Error('out of memory'))
    last().emit('exit', 1)
    expect(reports.at(-1)).toEqual({
      event: 'ended',
      why: 'The steering loop has ended unexpectedly: out of memory. It is started again; until then connections are not steered',
    })
    // What is commanded meanwhile is not lost.
    send({ command: 'add', steered: { ...steered, token: 2 } })
    vi.advanceTimersByTime(1)
    expect(threads).toHaveLength(2)
    expect(last().commands).toEqual([
      { command: 'rules', rules: [], assigned: [] },
      add,
      { command: 'add', steered: { ...steered, token: 2 } },
    ])
    send({ command: 'remove', token: 1 })
    expect(last().commands.at(-1)).toEqual({ command: 'remove', token: 1 })
  })

  test('that ends soon is started again after longer and longer pauses, and the timer does not keep the process', () => {
    const { threads, last } = supervised()
    last().says(READY)
    const started: number[] = []
    for (let ms = 0; ms < 60_000; ms += 50) {
      if (last().listenerCount('exit') > 0) {
        last().emit('exit', 1)
        last().removeAllListeners()
        started.push(ms)
      }
      vi.advanceTimersByTime(50)
    }
    expect(started.length).toBeGreaterThan(6)
    expect(started.length).toBeLessThan(16)
    expect(threads.every(({ config }) => config.accesses === CONFIG.accesses)).toBe(true)
  })

  test('that never becomes ready: after three attempts the loop has failed', () => {
    const { threads, reports, events, last } = supervised()
    for (let i = 0; i < 3; i++) {
      last().emit('exit', 1)
      vi.advanceTimersByTime(1000)
    }
    expect(threads).toHaveLength(3)
    expect(events()).toEqual(['ended', 'ended', 'failed'])
    expect(reports.at(-1)).toMatchObject({
      error: { message: 'The steering loop cannot be started: its thread has exited with 1' },
    })
  })

  test('that has no descriptors: the loop has failed, and is tried again all the same, which does not keep the process', () => {
    const { threads, events, last } = supervised()
    for (let i = 0; i < 5; i++) {
      last().emit('error', Object.assign(new Error('there is no room'), { code: 'ERR_WORKER_INIT_FAILED' }))
      last().emit('exit', 1)
      vi.advanceTimersByTime(5_000)
    }
    expect(threads).toHaveLength(6)
    expect(events()).toEqual(['ended', 'ended', 'failed'])
    last().says(READY)
    expect(events().at(-1)).toBe('ready')
  })

  test('that cannot be started when one has ended is tried again', () => {
    const { threads, last, state, events } = supervised()
    last().says(READY)
    state.cannotStart = true
    last().emit('exit', 1)
    vi.advanceTimersByTime(100)
    expect(events()).toEqual(['ready', 'ended', 'ended'])
    state.cannotStart = false
    vi.advanceTimersByTime(1000)
    expect(threads).toHaveLength(2)
  })

  test('that ends as commanded is not reported', () => {
    const { threads, events, send, last } = supervised()
    last().says(READY)
    send({ command: 'close' })
    last().emit('exit', 0)
    vi.advanceTimersByTime(60_000)
    expect([threads.length, events()]).toEqual([1, ['ready']])
  })

  test('that ends when the session is closed, before it has taken away its endpoints: another one does', () => {
    const { threads, send, last } = supervised()
    last().says(READY)
    send(add)
    last().says({ event: 'own-endpoints', own })
    send({ command: 'close' })
    last().emit('exit', 1)
    vi.advanceTimersByTime(1)
    expect(threads).toHaveLength(2)
    expect(last().config.own).toEqual(own)
    expect(last().commands.at(-1)).toEqual({ command: 'close' })
    last().says(READY)
    expect(last().keeps).toBe(false)
    send({ command: 'remove', token: 1 })
    expect(last().keeps).toBe(true)
    last().emit('exit', 0)
    vi.advanceTimersByTime(60_000)
    expect(threads).toHaveLength(2)
  })

  test('that is commanded to end before it is started again is not started', () => {
    const { threads, send, last } = supervised()
    last().says(READY)
    last().emit('exit', 1)
    send({ command: 'close' })
    vi.advanceTimersByTime(60_000)
    expect(threads).toHaveLength(1)
  })

  test('keeps the process until it is ready, and no longer', () => {
    const { last } = supervised()
    expect(last().keeps).toBe(true)
    last().says(READY)
    expect(last().keeps).toBe(false)
  })
})

requires('the addon', addon)(
  'a thread that ends before it is ready: connections do not wait for the next one',
  async () => {
    const server = createServer(socket => socket.end('x')).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    process.once('worker', (worker: Worker) => void worker.terminate())
    const session = new MaPduSession({ accesses: { '3gpp': 'none0', 'non-3gpp': 'lo' } })
    const degraded: string[] = []
    session.on('degraded', ({ what, message }) => degraded.push(`${what}: ${message}`))
    try {
      const socket = session.connect({ host: '127.0.0.1', port, connectTimeout: 5000 })
      await once(socket, 'connect')
      expect(await session.ready).toHaveProperty('level')
      expect(degraded.filter(message => /ended unexpectedly/.test(message))).toHaveLength(1)
      socket.destroy()
    } finally {
      session.close()
      server.close()
    }
  },
)

requires('the addon', addon)(
  'the first connection does not wait for the thread, which takes it over when it is ready',
  async () => {
    const server = createServer(socket => socket.on('error', () => {})).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const held: unknown[][] = []
    let release = () => {}
    process.once('worker', (worker: Worker) => {
      const emit = worker.emit.bind(worker) as (event: string, ...args: unknown[]) => boolean
      Object.assign(worker, {
        emit: (...args: [string]) => (args[0] === 'message' ? held.push(args) > 0 : emit(...args)),
      })
      release = () => {
        Object.assign(worker, { emit })
        for (const args of held.splice(0)) emit(...(args as [string]))
      }
    })
    const session = new MaPduSession({ accesses: { '3gpp': 'none0', 'non-3gpp': 'lo' } })
    const told: string[] = []
    session.on('access', ({ access, available }) => told.push(`${access} ${available}`))
    try {
      const began = performance.now()
      const socket = session.connect({ host: '127.0.0.1', port })
      await once(socket, 'connect')
      expect(performance.now() - began).toBeLessThan(1_900) // a connection waits two seconds for a loop that says nothing
      expect(session.stats()).toMatchObject({ level: undefined, accesses: { '3gpp': { available: false } } })
      expect(told).toEqual([])
      await expect.poll(() => held.length).toBeGreaterThan(0)
      release()
      expect(await session.ready).toHaveProperty('level')
      await expect.poll(() => told).toEqual(['3gpp false'])
      socket.destroy()
    } finally {
      release()
      session.close()
      server.close()
    }
  },
)
