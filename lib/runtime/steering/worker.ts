/** The worker thread of a session's steering loop. */
import { parentPort, workerData } from 'node:worker_threads'
import { type Command, runController } from './host.js'

const port = parentPort!
const host = runController(
  workerData,
  report => port.postMessage(report),
  () => port.close(),
)
port.on('message', (command: Command) => host.send(command))
