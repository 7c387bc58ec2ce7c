/**
 * The lab's own application, a program of its own for `atsss lab --web`: over a session that ATSSS_CONFIG describes, a
 * download that never ends at the speed of a film, and a message every fifth of a second on another connection.
 */
import { Agent, get, request } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import { MaPduSession } from '../../index.js'

const HOST = process.argv[2]!
/** Of the download. */
const MBPS = 15
const MESSAGE = Buffer.alloc(400, 'How is it going? ')

const session = new MaPduSession(JSON.parse(process.env.ATSSS_CONFIG!))
await session.ready
void again(film)
void again(chat)

/** For ever; what has failed is tried again. */
async function again(one: () => Promise<void>): Promise<never> {
  for (;;) {
    await one().catch((error: Error) => process.stderr.write(`${error.message}\n`))
    await wait(500)
  }
}

/** Reads as fast as it watches, so that the server waits. */
function film(): Promise<void> {
  return new Promise((resolve, reject) => {
    const createConnection = () => session.connect(80, HOST)
    get({ host: HOST, path: '/bytes/999999999999', createConnection }, async response => {
      const began = performance.now()
      let bytes = 0
      for await (const chunk of response) {
        bytes += chunk.length
        const ahead = (bytes * 8) / (MBPS * 1000) - (performance.now() - began)
        // A film that has stood still goes on where it was; it does not hurry.
        if (ahead > 20) await wait(ahead)
      }
      resolve()
    }).on('error', reject)
  })
}

async function chat(): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  agent.createConnection = () => session.connect(80, HOST)
  try {
    for (;;) {
      await echo(agent)
      await wait(200)
    }
  } finally {
    agent.destroy()
  }
}

function echo(agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    request({ host: HOST, method: 'POST', path: '/echo', agent }, response => response.resume().on('end', resolve))
      .on('error', reject)
      .end(MESSAGE)
  })
}
