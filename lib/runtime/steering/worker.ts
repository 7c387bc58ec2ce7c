/** The worker thread of a session's steering loop. */
import { parentPort, workerData } from 'node:worker_threads'
import { outgoing } from './crossing.js'
import { runLoop } from './host.js'
import type { Command } from './messages.js'

const port = parentPort!
const send = runLoop(
  workerData,
  report => port.postMessage(outgoing(report)),
  () => port.close(),
)
port.on('message', (command: Command) => send(command))
