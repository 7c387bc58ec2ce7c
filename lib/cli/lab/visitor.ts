/**
 * The lab's own application, a separate program for `atsss lab --web`. Over a session that ATSSS_CONFIG configures, it downloads
 * endlessly, uploads endlessly at the rate of a camera, and sends a message every fifth of a second, each on a separate connection.
 * The download is a film, at its rate; the line `fast` on standard input makes it go as fast as it can, the line `film` ends that.
 */
import { Agent, get, request as post } from 'node:http'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { MaPduSession } from '../../index.js'

const HOST = process.argv[2]!
/** Megabits per second. */
const RATES = { film: 15, camera: 4 }
const FRAME_MS = 40
const MESSAGE = Buffer.alloc(400, 'How is it going? ')

const session = new MaPduSession(JSON.parse(process.env.ATSSS_CONFIG!))
await session.ready
let isFast = false
/** Ends the download, for one of the other kind. */
let switched = new AbortController()
createInterface({ input: process.stdin }).on('line', line => {
  isFast = line === 'fast'
  switched.abort()
})
void again(download)
void again(camera)
void again(chat)

/** Repeats it for ever, also after a failure. */
async function again(one: () => Promise<void>): Promise<never> {
  for (;;) {
    await one().catch((error: Error) => process.stderr.write(`${error.message}\n`))
    await wait(500)
  }
}

/** One after another, as often as it is switched. */
async function download(): Promise<void> {
  do {
    switched = new AbortController()
    const { signal } = switched
    await receive(isFast ? '/bytes/999999999999' : `/stream/${RATES.film}`, signal).catch((error: Error) => {
      if (!signal.aborted) throw error
    })
  } while (switched.signal.aborted)
}

function receive(path: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const createConnection = () => session.connect(80, HOST)
    get({ host: HOST, path, createConnection, signal }, response =>
      response.on('end', resolve).on('error', reject).resume(),
    ).on('error', reject)
  })
}

/** Sends at the rate of the camera; what it could not send in time is lost, and not sent later. */
function camera(): Promise<void> {
  return new Promise((resolve, reject) => {
    const createConnection = () => session.connect(80, HOST)
    const request = post({ host: HOST, method: 'POST', path: '/upload', createConnection }, answer =>
      answer.resume().on('end', resolve),
    ).on('error', reject)
    const frames = setInterval(() => {
      if (request.destroyed) clearInterval(frames)
      else if (!request.writableNeedDrain) request.write(Buffer.alloc((RATES.camera * 1e6 * FRAME_MS) / 8000))
    }, FRAME_MS)
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
    post({ host: HOST, method: 'POST', path: '/echo', agent }, response => response.resume().on('end', resolve))
      .on('error', reject)
      .end(MESSAGE)
  })
}
