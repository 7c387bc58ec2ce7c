/** The steering part of the benchmark: what sessions do with two accesses. */
import { type Extent, type LabMeasure, type LabResult, measureInLab } from './in-lab.js'
import { aggregation } from './steering/aggregation.js'
import { balance } from './steering/balance.js'
import { byHelper } from './steering/by-helper.js'
import { cost } from './steering/cost.js'
import { handover } from './steering/handover.js'
import { many } from './steering/many.js'
import { priority } from './steering/priority.js'
import { SteeringSite } from './steering/site.js'
import { streamEnd } from './steering/stream-end.js'

const MEASURES: readonly LabMeasure<SteeringSite>[] = [
  aggregation,
  handover,
  balance,
  priority,
  cost,
  many,
  byHelper,
  streamEnd,
]

export const STEERING_NAMES: readonly string[] = MEASURES.map(({ name }) => name)

export function measureSteering(
  names: readonly string[],
  extent: Extent,
  done: (name: string, result: LabResult) => void,
): Promise<void> {
  return measureInLab(() => SteeringSite.open(), MEASURES, names, extent, done)
}
