/**
 * The lab's own application, a separate program for `atsss lab --web`. Over a session that ATSSS_CONFIG configures, it downloads
 * endlessly at the rate of a film, and sends a message every fifth of a second on another connection.
 */
import { Agent, get, request } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import { MaPduSession } from '../../index.js'

const HOST = process.argv[2]!
/** The rate of the download. */
const MBPS = 15
const MESSAGE = Buffer.alloc(400, 'How is it going? ')

const session = new MaPduSession(JSON.parse(process.env.ATSSS_CONFIG!))
await session.ready
void again(film)
void again(chat)

/** Repeats it for ever, also after a failure. */
async function again(one: () => Promise<void>): Promise<never> {
  for (;;) {
    await one().catch((error: Error) => process.stderr.write(`${error.message}\n`))
    await wait(500)
  }
}

/** Reads at the rate of the film, so that the server has to wait. */
function film(): Promise<void> {
  return new Promise((resolve, reject) => {
    const createConnection = () => session.connect(80, HOST)
    get({ host: HOST, path: '/bytes/999999999999', createConnection }, async response => {
      const began = performance.now()
      let bytes = 0
      for await (const chunk of response) {
        bytes += chunk.length
        const ahead = (bytes * 8) / (MBPS * 1000) - (performance.now() - began)
        // After a stall the film goes on at its own rate, and does not catch up.
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
