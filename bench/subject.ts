/** One trial of one contender, in a process of its own: `subject.ts JSON`. Prints its figures as JSON. */
import { contenders } from './contenders.js'
import type { Measure } from './measures.js'
import { codec } from './trials/codec.js'
import { connect, connects } from './trials/connect.js'
import { firstByte } from './trials/first-byte.js'
import { memory } from './trials/memory.js'
import { stream } from './trials/stream.js'
import type { Task, Trial } from './trials/trial.js'

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
