/** One trial of one contender, in a process of its own: `subject.ts JSON`. Prints its figures as JSON. */
import { contenders } from './contenders.js'
import type { HttpsContender, Measure, SocketContender } from './measures.js'
import { codec } from './trials/codec.js'
import { connect, connects, firstConnection } from './trials/connect.js'
import { firstByte } from './trials/first-byte.js'
import { https } from './trials/https.js'
import { memory } from './trials/memory.js'
import { stream } from './trials/stream.js'
import type { Figures, Task, Trial } from './trials/trial.js'

const ofSocket = (trial: Trial) => (task: Task) =>
  trial({ ...task, contender: contenders[task.contender as SocketContender] })
const ofHttps =
  (isResumed: boolean) =>
  ({ place, contender, size }: Task) =>
    https(place, contender as HttpsContender, size, isResumed)

const trials: Record<Measure['trial'], (task: Task) => Promise<Figures>> = {
  connect: ofSocket(connect),
  connects: ofSocket(connects),
  'first-connection': ofSocket(firstConnection),
  'first-byte': ofSocket(firstByte),
  https: ofHttps(false),
  'https-resumed': ofHttps(true),
  stream: ofSocket(stream),
  memory: ofSocket(memory),
  codec: ofSocket(codec),
}

const task = JSON.parse(process.argv[2]!) as Task
const figures = await trials[task.trial](task)
process.stdout.write(JSON.stringify(figures), () => process.exit())
