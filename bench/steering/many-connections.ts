/** Many connections of one process: what they take at rest and while each says a little, and a handover of all of them. */
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { type Open, Stream } from './flows.js'
import { clock, type Delay, type ManyFigures, type Task } from './tasks.js'
import { cpuMs, cpuPercent, threads } from './threads.js'

const IN_FLIGHT = 64
/** Each connection writes so often, in milliseconds. */
const EVERY_MS = 1000
const TURN_MS = 10
const MESSAGE = new Uint8Array(100)
const UPLOAD = { up: { kind: 'paced', bytes: MESSAGE.length, everyMs: EVERY_MS } } as const
const SETTLE_MS = 2000
/** For so long, in milliseconds, the standby subflows of all connections may take. */
const JOINING_MS = 60_000
/** What was written this many milliseconds after the loss, or later, does not wait for the handover. */
const AFTER_MS = 2000

/** @param plain a way without a session: what else starts threads has done so after it */
export async function manyConnections(
  { connections, seconds, way }: Extract<Task, { do: 'many' }>,
  plain: () => Promise<Open>,
  steered: () => Promise<Open>,
): Promise<ManyFigures> {
  const isSteered = 'rules' in way
  await Promise.all(Array.from({ length: 16 }, () => readFile(import.meta.filename)))
  const first = await (await plain())()
  first.destroy()
  const others = new Set(threads())
  const open = await steered()
  const streams: Stream[] = []
  const more = async (last: number) => {
    let left = last - streams.length
    const some = async () => {
      while (left-- > 0) streams.push(new Stream(await open(), UPLOAD))
    }
    await Promise.all(Array.from({ length: IN_FLIGHT }, some))
  }
  const warmUp = Math.ceil(connections / 20)
  await more(warmUp)
  const joinsBefore = isSteered ? joins() : 0
  const before = process.memoryUsage.rss()
  const began = performance.now()
  await more(connections)
  const openMs = performance.now() - began
  if (isSteered) await joined(joinsBefore + connections - warmUp)
  await delay(SETTLE_MS)
  const memoryEach = (process.memoryUsage.rss() - before) / (connections - warmUp)
  const ours = threads().filter(thread => !others.has(thread))

  const idle = await cpuPercent(ours, seconds)
  let turn = 0
  const turns = EVERY_MS / TURN_MS
  const timer = setInterval(() => {
    for (let at = turn++ % turns; at < streams.length; at += turns) streams[at]!.writeMessage(MESSAGE)
  }, TURN_MS)
  await delay(SETTLE_MS)
  const trickling = await cpuPercent(ours, seconds)
  const [cpuBefore, at] = [cpuMs(ours), clock()]
  console.log('begun')
  const lostAt = await told()
  const [cpu, until] = [cpuMs(ours) - cpuBefore, clock()]
  clearInterval(timer)
  const overruns = dropped()
  await delay(SETTLE_MS)
  const all = await Promise.all(streams.map(stream => stream.finish()))
  const delays = all.map(({ up }) => Math.max(...since(lostAt, up!.delays)))
  const figures = { openMs, memoryEach, delays, overruns }
  if (!isSteered) return { ...figures, idle: undefined, trickling: undefined, handoverMs: undefined }
  return { ...figures, idle, trickling, handoverMs: cpu - ((until - at) * trickling) / 100 }
}

/** Of the messages that were on their way then, or were written soon after. */
function since(lostAt: number, delays: readonly Delay[]): number[] {
  return delays.filter(([at, ms]) => at + ms >= lostAt && at < lostAt + AFTER_MS).map(([, ms]) => ms)
}

function told(): Promise<number> {
  return new Promise(resolve =>
    process.stdin.once('data', line => resolve((JSON.parse(String(line)) as { lostAt: number }).lostAt)),
  )
}

async function joined(count: number): Promise<void> {
  const deadline = performance.now() + JOINING_MS
  while (joins() < count) {
    if (performance.now() > deadline) throw new Error(`${joins()} standby subflows of ${count} after a minute`)
    await delay(100)
  }
}

/** How many subflows were added in this network namespace: their SYN+ACKs. */
function joins(): number {
  const lines = readFileSync('/proc/self/net/netstat', 'latin1').split('\n')
  const [names, values] = lines.filter(line => line.startsWith('MPTcpExt:')).map(line => line.split(' '))
  return Number(values![names!.indexOf('MPJoinSynAckRx')])
}

/** Of all netlink sockets of this network namespace: the column `Drops`. */
function dropped(): number {
  const [head, ...rows] = readFileSync('/proc/self/net/netlink', 'latin1').trim().split('\n')
  const column = head!.trim().split(/\s+/).indexOf('Drops')
  return rows.reduce((sum, row) => sum + Number(row.trim().split(/\s+/)[column]), 0)
}
