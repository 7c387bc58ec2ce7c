/** Accesses that fail and come back, at random, by a seed. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Lab } from '../../lib/lab/index.js'
import { seeded } from '../../test/support/random.js'

/**
 * `carrier`: lost. `silent`: a black hole, with carrier. `silent-up`, `silent-down`: one way only. `address`: removed.
 * `interface`: taken down. `loss`: a packet of twenty is lost. `nothing`: no access has a carrier.
 */
export const FAULTS = [
  ...(['carrier', 'silent', 'silent-up', 'silent-down', 'address', 'interface'] as const),
  ...(['loss', 'nothing'] as const),
]
export type FaultKind = (typeof FAULTS)[number]

/** One that has begun. Times are milliseconds since 1970. */
export interface Fault {
  kind: FaultKind
  access: string
  from: number
  /** Undefined: it lasts. */
  to: number | undefined
}

export interface FaultOptions {
  kinds: readonly FaultKind[]
  seed: number
  signal: AbortSignal
  /** Of the accesses, how often this one is chosen. */
  accesses: readonly string[]
}

/** The least and the most, in milliseconds. While one access is away the other one is there; `nothing` is the exception. */
const LASTS: Range = [1_000, 4_000]
const PAUSE: Range = [1_500, 4_000]
const LOSS_PERCENT = 5
type Range = readonly [least: number, most: number]

/** Until the signal comes; then all is as it was. Each fault is given when it begins. */
export async function* faults(lab: Lab, { kinds, seed, signal, accesses }: FaultOptions): AsyncGenerator<Fault> {
  const random = seeded(seed)
  const any = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)]!
  const between = ([least, most]: Range) => least + random() * (most - least)
  while (!signal.aborted) {
    const [pause, lasts, kind, access] = [between(PAUSE), between(LASTS), any(kinds), any(accesses)]
    await delay(pause, undefined, { signal }).catch(() => {})
    if (signal.aborted) return
    const fault: Fault = { kind, access, from: Date.now(), to: undefined }
    await begin(lab, fault)
    yield fault
    await delay(lasts, undefined, { signal }).catch(() => {})
    await end(lab, fault)
    fault.to = Date.now()
  }
}

async function begin(lab: Lab, { kind, access }: Fault): Promise<void> {
  const link = lab.link(access)
  if (kind === 'carrier') await link.set({ carrier: false })
  if (kind === 'silent') await link.set({ down: true })
  if (kind === 'silent-up') await link.set({ uplink: { down: true } })
  if (kind === 'silent-down') await link.set({ downlink: { down: true } })
  if (kind === 'loss') await link.set({ lossPercent: LOSS_PERCENT })
  if (kind === 'nothing') await setAll(lab, false)
  if (kind === 'address') await ip(lab, 'addr', 'del', `${lab.ue.addresses[access]!.v4}/24`, 'dev', access)
  if (kind === 'interface') await ip(lab, 'link', 'set', access, 'down')
}

async function end(lab: Lab, { kind, access }: Fault): Promise<void> {
  if (kind === 'carrier') await lab.link(access).set({ carrier: true })
  if (kind.startsWith('silent')) await lab.link(access).set({ down: false })
  if (kind === 'loss') await lab.link(access).set({ lossPercent: 0 })
  if (kind === 'nothing') await setAll(lab, true)
  if (kind === 'address') await ip(lab, 'addr', 'add', `${lab.ue.addresses[access]!.v4}/24`, 'dev', access)
  if (kind === 'interface') await ip(lab, 'link', 'set', access, 'up')
  if (kind !== 'address' && kind !== 'interface') return
  const metric = String((Object.keys(lab.accesses).indexOf(access) + 1) * 100)
  await ip(lab, 'route', 'add', 'default', 'via', lab.converter.addresses[access]!.v4, 'dev', access, 'metric', metric)
}

async function setAll(lab: Lab, carrier: boolean): Promise<void> {
  await Promise.all(Object.keys(lab.accesses).map(name => lab.link(name).set({ carrier })))
}

async function ip({ ue }: Lab, ...words: string[]): Promise<void> {
  const { code, stderr } = await ue.run('ip', words)
  if (code !== 0) throw new Error(`ip ${words.join(' ')}: ${stderr}`)
}
