/** How much of a core the threads use that a session starts: its steering loop's worker, and what that needs. */
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type Open, Stream } from './flows.js'
import type { Outcome, Task } from './tasks.js'
import { cpuPercent, threads } from './threads.js'

const IN_FLIGHT = 32
/** Each connection writes so often while they trickle, in milliseconds. */
const TRICKLE_MS = 1000
const TURN_MS = 10
const TRICKLE = new Uint8Array(100)
const UPLOAD = { up: { kind: 'bulk' } } as const
/** Until the standby subflows of all connections are there. */
const SETTLE_MS = 2000

/** @param plain a way without a session: what else starts threads has done so after it */
export async function steeringCost(
  { connections, seconds }: Extract<Task, { do: 'cost' }>,
  plain: () => Promise<Open>,
  steered: () => Promise<Open>,
): Promise<Outcome['cost']> {
  await Promise.all(Array.from({ length: 16 }, () => readFile(import.meta.filename)))
  const first: Socket = await (await plain())()
  first.destroy()
  const others = new Set(threads())
  const open = await steered()
  const uploads: Stream[] = []
  while (uploads.length < connections) {
    const some = Math.min(IN_FLIGHT, connections - uploads.length)
    uploads.push(...(await Promise.all(Array.from({ length: some }, async () => new Stream(await open(), UPLOAD)))))
  }
  const ours = threads().filter(thread => !others.has(thread))
  console.log('begun')
  await delay(SETTLE_MS)
  const idle = await cpuPercent(ours, seconds)
  let turn = 0
  const turns = TRICKLE_MS / TURN_MS
  const timer = setInterval(() => {
    for (let at = turn++ % turns; at < uploads.length; at += turns) uploads[at]!.write(TRICKLE)
  }, TURN_MS)
  await delay(SETTLE_MS)
  const trickling = await cpuPercent(ours, seconds)
  clearInterval(timer)
  await Promise.all(uploads.map(upload => upload.finish()))
  return { idle, trickling }
}
