/** Scenarios: a lab's topology with what happens to its links in time. From JSON, checked; pure but for `playTrace`. */
import { setTimeout as sleep } from 'node:timers/promises'
import { AtsssError } from '../errors.js'
import type { Link } from './link.js'
import { commandsFor, type LinkChange } from './profile.js'
import { DATA, type LabOptions, planOf } from './topology.js'

export interface Scenario extends LabOptions {
  /** For people. */
  description?: string
  /** What changes, in the order of time. */
  trace?: readonly TraceStep[]
  /**
   * Seconds after which the trace begins anew; each pass starts from the links as the last one left them.
   *
   * @defaultValue the trace is played once
   */
  period?: number
}

export interface TraceStep {
  /** Seconds from the start of the trace. */
  at: number
  /** The link's name: an access, or `data`. */
  link: string
  set: LinkChange
  /** What it stands for: "into the tunnel". */
  note?: string
}

/**
 * @param json as `JSON.parse` gives it
 * @throws ERR_ATSSS_OPTION with the place of what is wrong
 */
export function parseScenario(json: unknown): Scenario {
  const scenario = record('the scenario', json, KEYS) as unknown as Scenario
  for (const [index, access] of list('accesses', scenario.accesses ?? []).entries()) {
    const path = `accesses[${index}]`
    record(path, access, ['name', 'access', 'link', 'mtu'])
    if (typeof (access as { name: unknown }).name !== 'string')
      throw wrong(`${path}.name`, 'must be the name of an interface')
    if (access && !('access' in (access as object))) throw wrong(`${path}.access`, "must be '3gpp' or 'non-3gpp'")
    change(`${path}.link`, (access as { link: unknown }).link)
  }
  if (scenario.dataNetwork !== undefined && scenario.dataNetwork !== 'veth') change('dataNetwork', scenario.dataNetwork)
  const plan = planOf(scenario, false)
  const links = plan.profiles.map(({ name }) => name)
  let last = 0
  for (const [index, step] of list('trace', scenario.trace ?? []).entries()) {
    const path = `trace[${index}]`
    const { at, link, set } = record(path, step, ['at', 'link', 'set', 'note'])
    if (typeof at !== 'number' || !(at >= last))
      throw wrong(`${path}.at`, `must be a number of seconds, ${last} or later`)
    if (!links.includes(link as string)) throw wrong(`${path}.link`, `must be one of ${links.join(', ')}`)
    change(`${path}.set`, set)
    last = at
  }
  const { period } = scenario
  if (period !== undefined && !(typeof period === 'number' && period > 0 && period >= last))
    throw wrong('period', `must be a number of seconds, ${last} or more`)
  return scenario
}

/**
 * Makes the changes of the trace at their times, until it ends or `signal` aborts. A change that is refused rejects.
 *
 * @param tell of each step once it is in force
 */
export async function playTrace(
  { trace = [], period }: Scenario,
  link: (name: string) => Link,
  signal: AbortSignal,
  tell: (step: TraceStep) => void = () => {},
): Promise<void> {
  for (let begun = performance.now(); trace.length > 0; begun += period * 1000) {
    for (const step of trace) {
      await until(begun + step.at * 1000, signal)
      if (signal.aborted) return
      await link(step.link).set(step.set)
      tell(step)
    }
    if (period === undefined) return
    await until(begun + period * 1000, signal)
    if (signal.aborted) return
  }
}

const KEYS = ['$schema', 'description', 'accesses', 'dataNetwork', 'ipv6', 'sourceRouting', 'trace', 'period'] as const

async function until(time: number, signal: AbortSignal): Promise<void> {
  // Aborting ends the wait, and is no error.
  await sleep(Math.max(0, time - performance.now()), undefined, { signal, ref: false }).catch(() => {})
}

function change(path: string, value: unknown): void {
  record(path, value, undefined)
  try {
    commandsFor(DATA, value as LinkChange)
  } catch (error) {
    throw wrong(path, (error as Error).message)
  }
}

function record(path: string, value: unknown, keys: readonly string[] | undefined): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(path, 'must be an object')
  const stray = keys && Object.keys(value).find(key => !keys.includes(key))
  if (stray !== undefined) throw wrong(`${path}.${stray}`, `unknown property: there are ${keys!.join(', ')}`)
  return value as Record<string, unknown>
}

function list(path: string, value: unknown): unknown[] {
  if (!Array.isArray(value)) throw wrong(path, 'must be an array')
  return value
}

function wrong(path: string, message: string): AtsssError {
  return new AtsssError('ERR_ATSSS_OPTION', `${path}: ${message}`)
}
