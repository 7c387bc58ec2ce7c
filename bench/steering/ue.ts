/** The application in the UE: `ue.ts JSON`, a task. Prints a line when it has begun, and at its end its figures as JSON. */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { MptcpSocket, MaPduSession as Session } from '../../lib/index.js'
import { patternChunk } from '../places.js'
import { connect, MaPduSession } from '../shipped.js'
import { type Open, run, transfer } from './flows.js'
import { manyConnections } from './many-connections.js'
import { DIRECTIONS, type Ends, type Opening, type Outcome, type Task } from './tasks.js'
import { steeringCost } from './thread-cost.js'

const SETTLE_MS = 200
/** Between two blocks of a blocked event loop: it writes and reads what there is. */
const BREATHE_MS = 50
const BOTH = ['3gpp', 'non-3gpp'] as const

const task = JSON.parse(process.argv[2]!) as Task
const figures = await perform(task)
process.stdout.write(`${JSON.stringify(figures)}\n`, () => process.exit())

async function perform(task: Task): Promise<Outcome[Task['do']]> {
  if (task.do === 'cost')
    return steeringCost(
      task,
      () => opener({ ...task, way: { interface: 'wifi' } }),
      () => opener(task),
    )
  if (task.do === 'many')
    return manyConnections(
      task,
      () => opener({ ...task, way: { interface: 'wifi' } }),
      () => opener(task),
    )
  const open = await opener(task)
  if (task.do === 'transfer') {
    console.log('begun')
    return { mbps: await transfer(open, task.directions, task.bytes) }
  }
  if (task.do === 'ends') {
    console.log('begun')
    const all: Ends[] = []
    for (let i = 0; i < task.streams; i++) all.push(await ended(await open(), task.bytes))
    return all
  }
  const { flows, blockMs = 0 } = task
  const stop = new AbortController()
  const opened = [await open()]
  const running = flows.map(flow => run(flow, async () => opened.pop() ?? open(), stop.signal))
  console.log('begun')
  process.stdin.once('data', () => stop.abort())
  if (blockMs > 0) block(blockMs, stop.signal)
  const streams = await Promise.all(running)
  const all = streams.flat()
  const bytes = { up: 0, down: 0 }
  for (const figures of all) for (const direction of DIRECTIONS) bytes[direction] += figures[direction]?.bytes ?? 0
  return { connections: all.length, bytes, first: streams[0]![0]! }
}

/** The server's receipt comes once it has seen our end. */
async function ended(socket: Socket, bytes: number): Promise<Ends> {
  // The standby is there before it begins, and what is measured is the stream's end only.
  await delay(SETTLE_MS)
  socket.resume()
  socket.write(`${JSON.stringify({ up: { kind: 'amount', bytes } } satisfies Opening)}\n`)
  const began = performance.now()
  const after = async (event: string) => {
    await once(socket, event)
    return performance.now() - began
  }
  const times = Promise.all([after('end'), after('close')])
  socket.end(patternChunk().subarray(0, bytes))
  const [end, close] = await times
  return { end, close }
}

/** Resolves when the session is ready to steer. Whatever is less than that ends the program. */
async function opener({ place, way, helper }: Task): Promise<Open> {
  const { address: host, port, accesses } = place
  const converters = place.converter && { converters: place.converter }
  if ('interface' in way)
    return () => connected(connect({ host, port, ...converters, interface: way.interface, mptcp: 'require' }))
  const session = new MaPduSession({ accesses, ...converters, ...way, ...(helper ? { helper } : {}) })
  session.on('degraded', ({ message }) => fail(new Error(message)))
  await session.ready
  await new Promise<void>(resolve => {
    const look = () => (bothAvailable(session) ? resolve() : setTimeout(look, 20))
    look()
  })
  return () => connected(session.connect({ host, port }))
}

function bothAvailable(session: Session): boolean {
  const { accesses } = session.stats()
  return BOTH.every(access => accesses?.[access].available)
}

async function connected(socket: MptcpSocket): Promise<Socket> {
  await once(socket, 'connect')
  if (socket.mptcp.protocol !== 'mptcp') throw new Error('a connection is not MPTCP')
  socket.on('error', fail)
  return socket
}

function fail(error: Error): void {
  console.error(error)
  process.exit(1)
}

function block(ms: number, stop: AbortSignal): void {
  if (stop.aborted) return
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
  setTimeout(() => block(ms, stop), BREATHE_MS)
}
