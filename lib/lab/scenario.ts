/** Scenarios: a lab's topology with what happens to its links in time. From JSON, checked; pure, except `playTrace`. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Checks } from '../input/check.js'
import type { Link } from './link.js'
import { commandsFor, type LinkChange } from './profile.js'
import { DATA, type LabOptions, planOf } from './topology.js'

const { flag, interfaceName, invalid, list, object, oneOf, record, wrong } = new Checks(
  'ERR_ATSSS_OPTION',
  path => `${path}:`,
)

export interface Scenario extends LabOptions {
  /** For people. */
  description?: string
  /** What changes, in the order of time. */
  trace?: readonly TraceStep[]
  /**
   * Seconds after which the trace starts again; each pass starts from the links as the last one left them.
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
 * @param json as `JSON.parse` returns it
 * @throws ERR_ATSSS_OPTION, with the place of the mistake
 */
export function parseScenario(json: unknown): Scenario {
  const scenario = record('the scenario', json, KEYS) as unknown as Scenario
  for (const [index, access] of list('accesses', scenario.accesses === undefined ? [] : scenario.accesses).entries()) {
    const path = `accesses[${index}]`
    const given = record(path, access, ['name', 'access', 'link', 'mtu'])
    interfaceName(`${path}.name`, given.name)
    oneOf(`${path}.access`, given.access, ['3gpp', 'non-3gpp'])
    change(`${path}.link`, given.link)
  }
  if (scenario.dataNetwork !== undefined && scenario.dataNetwork !== 'veth') change('dataNetwork', scenario.dataNetwork)
  for (const name of ['ipv6', 'sourceRouting'] as const) flag(name, scenario[name], false)
  const plan = planOf(scenario, false)
  const links = plan.profiles.map(({ name }) => name)
  let last = 0
  for (const [index, step] of list('trace', scenario.trace === undefined ? [] : scenario.trace).entries()) {
    const path = `trace[${index}]`
    const { at, link, set } = record(path, step, ['at', 'link', 'set', 'note'])
    if (typeof at !== 'number' || !(at >= last))
      throw invalid(`${path}.at`, `a number of seconds, ${last} or later`, at)
    oneOf(`${path}.link`, link, links)
    change(`${path}.set`, set)
    last = at
  }
  const { period } = scenario
  if (period !== undefined && !(typeof period === 'number' && period > 0 && period >= last))
    throw invalid('period', `a number of seconds, ${last} or more`, period)
  return scenario
}

/**
 * Makes each change of the trace at its time, until the trace ends or `signal` aborts. Rejects if a change is refused.
 *
 * @param done called with each step once it is in force
 */
export async function playTrace(
  { trace = [], period }: Scenario,
  link: (name: string) => Link,
  signal: AbortSignal,
  done: (step: TraceStep) => void = () => {},
): Promise<void> {
  for (let begun = performance.now(); trace.length > 0; begun += period * 1000) {
    for (const step of trace) {
      await until(begun + step.at * 1000, signal)
      if (signal.aborted) return
      await link(step.link).set(step.set)
      done(step)
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
  object(path, value)
  try {
    commandsFor(DATA, value as LinkChange)
  } catch (error) {
    throw wrong(path, (error as Error).message)
  }
}
