/** One trial of one contender, in a process of its own: `subject.ts JSON`. Prints its figures as JSON. */
import { type Contender, contenders } from './contenders.js'
import type { ContenderName, Measure } from './measures.js'
import type { Place } from './places.js'
import { codec } from './trials/codec.js'
import { connect, connects } from './trials/connect.js'
import { firstByte } from './trials/first-byte.js'
import { memory } from './trials/memory.js'
import { stream } from './trials/stream.js'

/** What a subject is told. */
export interface Task {
  trial: Measure['trial']
  contender: ContenderName
  place: Place
  size: number
  direction: 'up' | 'down' | undefined
}

/** By a column's key. */
export type Figures = Record<string, number>
export type Trial = (task: Omit<Task, 'contender'> & { contender: Contender }) => Promise<Figures>

const trials: Record<Measure['trial'], Trial> = {
  connect,
  connects,
  'first-byte': firstByte,
  stream,
  memory,
  codec,
}

const task = JSON.parse(process.argv[2]!) as Task
const figures = await trials[task.trial]({ ...task, contender: contenders[task.contender] })
process.stdout.write(JSON.stringify(figures), () => process.exit())
