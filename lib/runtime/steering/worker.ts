/** The worker thread of a session's steering loop. */
import { parentPort, workerData } from 'node:worker_threads'
import { runController } from './host.js'
import type { Command } from './messages.js'

const port = parentPort!
const host = runController(
  workerData,
  report => port.postMessage(report),
  () => port.close(),
)
port.on('message', (command: Command) => host.send(command))
