/** What each measure of the steering is given, and gives back. */
import type { Judgement } from '../report.js'
import type { SteeringSite } from './site.js'

export interface Extent {
  /** A token of each, without meaning. */
  quick: boolean
  /** All percentages of the load balancing. */
  all: boolean
  /** Undefined: as the measure likes. */
  rounds: number | undefined
  progress(text: string): void
}

export interface SteeringResult {
  /** For the JSON. */
  figures: unknown
  text: string
  judgements: Judgement[]
}

export interface SteeringMeasure {
  name: string
  run(site: SteeringSite, extent: Extent): Promise<SteeringResult>
}
