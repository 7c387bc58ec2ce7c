/** A trial: what it is to measure, and the figures that it returns. */
import type { Contender } from '../contenders.js'
import type { ContenderName, Measure } from '../measures.js'
import type { Place } from '../places.js'

/** What a subject is to measure. */
export interface Task {
  trial: Measure['trial']
  contender: ContenderName
  place: Place
  size: number
  direction: 'up' | 'down' | undefined
}

/** By a column's key. */
export type Figures = Record<string, number>
/** Of connected sockets. */
export type Trial = (task: Omit<Task, 'contender'> & { contender: Contender }) => Promise<Figures>
