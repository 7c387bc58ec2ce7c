/** What the end of a steered stream costs: it waits until all that is before it has been acknowledged, docs/linux.md. */
import type { LabMeasure } from '../in-lab.js'
import { summary } from '../statistics.js'
import { ACCESSES, type AccessName, type SteeringSite } from './site.js'
import { spread, table } from './table.js'
import type { Ends, Way } from './tasks.js'

const STREAMS = { full: 20, quick: 3 }
/** What leaves at once, and what an unsteered stream waits for as well: more than 64 KiB. */
const AMOUNTS = [1_000, 60_000]
const EVENTS = ['end', 'close'] as const

const WAYS: { name: string; access: AccessName; way: Way }[] = (['wifi', 'cell'] as const).flatMap(access => [
  { name: `${access}, not steered`, access, way: { interface: access } },
  { name: `${access}, steered`, access, way: { rules: first(access) } },
])

export const streamEnd: LabMeasure<SteeringSite> = {
  name: 'stream-end',
  async run(site, { quick, rounds = 1, progress }) {
    const streams = quick ? STREAMS.quick : STREAMS.full
    const figures: Record<string, Record<number, Ends[]>> = {}
    for (let round = 0; round < rounds; round++)
      for (const bytes of AMOUNTS)
        for (const { name, way } of WAYS) {
          progress(`${bytes} bytes, round ${round + 1} of ${rounds}: ${name}`)
          const running = await site.begin({ do: 'ends', way, bytes, streams }, { alone: 'interface' in way })
          figures[name] ??= {}
          figures[name][bytes] = [...(figures[name][bytes] ?? []), ...(await running.figures)]
        }
    const columns = AMOUNTS.flatMap(bytes => EVENTS.map(event => ({ bytes, event })))
    return {
      figures,
      text: table(
        `From end() to the events, ms: round trip ${roundTrips()}; the server ends when it has seen our end`,
        columns.map(({ bytes, event }) => `'${event}', ${bytes / 1_000} kB`),
        WAYS.map(({ name }) => ({
          name,
          cells: columns.map(({ bytes, event }) => spread(summary(figures[name]![bytes]!.map(ends => ends[event])), 1)),
        })),
      ),
      judgements: [],
    }
  },
}

function first(access: AccessName): Exclude<Extract<Way, { rules: unknown }>['rules'], string> {
  const [active, standby] =
    access === 'wifi' ? (['NON_3GPP_ACCESS', '3GPP_ACCESS'] as const) : (['3GPP_ACCESS', 'NON_3GPP_ACCESS'] as const)
  const steeringMode = { steerModeValue: 'ACTIVE_STANDBY', active, standby } as const
  return [{ precedence: 1, trafficDescriptor: { matchAll: true }, steeringMode }]
}

function roundTrips(): string {
  return Object.entries(ACCESSES)
    .map(([name, { link }]) => `${name} ${2 * link.delayMs}`)
    .join(', ')
}
