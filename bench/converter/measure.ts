/** What each measure of the converter is given, and gives back. */
import type { Extent, SteeringResult } from '../steering/measure.js'
import type { ConverterSite } from './site.js'

export interface ConverterMeasure {
  name: string
  run(site: ConverterSite, extent: Extent): Promise<SteeringResult>
}
