/** The steering part of the benchmark: what sessions do with two accesses. It needs a lab. */
import { aggregation } from './steering/aggregation.js'
import { balance } from './steering/balance.js'
import { cost } from './steering/cost.js'
import { handover } from './steering/handover.js'
import type { Extent, SteeringMeasure, SteeringResult } from './steering/measure.js'
import { priority } from './steering/priority.js'
import { SteeringSite } from './steering/site.js'

const MEASURES: readonly SteeringMeasure[] = [aggregation, handover, balance, priority, cost]

export const STEERING_NAMES: readonly string[] = MEASURES.map(({ name }) => name)

const REMEDY = 'root, or "unshare -Urnm npm run bench"'

/** Those of `names`, each told when it is done. Throws where anything fails, or a byte is wrong. */
export async function measureSteering(
  names: readonly string[],
  extent: Extent,
  done: (name: string, result: SteeringResult) => void,
): Promise<void> {
  const measures = MEASURES.filter(({ name }) => names.includes(name))
  if (measures.length === 0) return
  const site = await siteIfAllowed()
  if (!site) {
    for (const { name } of measures)
      done(name, { figures: {}, text: `${name}\n  needs emulated links: ${REMEDY}\n`, judgements: [] })
    return
  }
  try {
    for (const { name, run } of measures)
      done(name, await run(site, { ...extent, progress: text => extent.progress(`${name}, ${text}`) }))
  } finally {
    await site.close()
  }
}

async function siteIfAllowed(): Promise<SteeringSite | undefined> {
  try {
    return await SteeringSite.open()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_LAB_PRIVILEGE') return undefined
    throw error
  }
}
