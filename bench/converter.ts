/** The converter's part of the benchmark: relays compared, ten thousand connections, and as many at once. */
import { crowd } from './converter/crowd.js'
import { relays } from './converter/relays.js'
import { ConverterSite } from './converter/site.js'
import { storm } from './converter/storm.js'
import { type Extent, type LabMeasure, type LabResult, measureInLab } from './in-lab.js'

const MEASURES: readonly LabMeasure<ConverterSite>[] = [relays, crowd, storm]

export const CONVERTER_NAMES: readonly string[] = MEASURES.map(({ name }) => name)

export function measureConverter(
  names: readonly string[],
  extent: Extent,
  done: (name: string, result: LabResult) => void,
): Promise<void> {
  return measureInLab(() => ConverterSite.open(), MEASURES, names, extent, done)
}
