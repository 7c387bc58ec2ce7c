/**
 * The demo's device application with a session. Lines of JSON on its standard input say which rules apply and what to upload; it
 * writes the results.
 */
import { createHash, randomBytes } from 'node:crypto'
import { request } from 'node:http'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { MaPduSession, type RulesInput, type SessionOptions } from 'atsss'
import type { Arrival } from './server.js'

/** Its arguments. */
export interface Start {
  host: string
  port: number
  session: SessionOptions
}

/** Lines that it reads. `upload` sends a number of bytes at full speed; `stream` sends at a rate until `end`. */
export type Command =
  | { rules: RulesInput }
  | { upload: { bytes: number } }
  | { stream: { mbps: number } }
  | { end: true }

/** A line that it writes about an upload. */
export interface Uploaded {
  /** Milliseconds from connect() to the server's answer. */
  ms: number
  sha256: string
  /** How many connections it made. */
  connections: number
  arrival: Arrival
}

/** A line that it writes about the session: when (`Date.now()`), and what. */
export interface Logged {
  at: number
  text: string
}

const CHUNK = 64 * 1024
const TICK_MS = 10

const { host, port, session: options }: Start = JSON.parse(process.argv[2] ?? '{}')
const session = new MaPduSession(options)
let streaming = false

say(await session.ready)
const log = (text: string) => say({ at: Date.now(), text })
session.on('access', ({ access, available, why }) => log(`${access} ${available ? 'available' : 'lost'}: ${why}`))
session.on('degraded', ({ message }) => log(message))
createInterface(process.stdin).on('line', async line => {
  const command: Command = JSON.parse(line)
  if ('rules' in command) {
    const { rules, moved } = session.update(command.rules)
    say({ updated: { rules: rules.length, moved: moved.length } })
  } else if ('upload' in command) say({ uploaded: await upload(file(command.upload.bytes)) })
  else if ('stream' in command) say({ streamed: await upload(live(command.stream.mbps)) })
  else streaming = false
})

function say(line: object): void {
  console.log(JSON.stringify(line))
}

async function upload(content: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<Uploaded> {
  const begun = performance.now()
  const hash = createHash('sha256')
  let connections = 0
  const createConnection = () => {
    connections++
    return session.connect({ host, port })
  }
  const put = request({ method: 'PUT', host, port, path: '/upload', createConnection })
  const answered = new Promise<Arrival>((resolve, reject) => {
    put.once('error', reject).once('response', async response => {
      const text = (await response.toArray()).join('')
      resolve(JSON.parse(text))
    })
  })
  const hashed = async function* () {
    for await (const chunk of content) {
      hash.update(chunk)
      yield chunk
    }
  }
  const [arrival] = await Promise.all([answered, pipeline(Readable.from(hashed(), { objectMode: false }), put)])
  return { ms: performance.now() - begun, sha256: hash.digest('hex'), connections, arrival }
}

function* file(bytes: number): Iterable<Buffer> {
  const content = randomBytes(bytes)
  for (let at = 0; at < bytes; at += CHUNK) yield content.subarray(at, at + CHUNK)
}

/** Like a camera: sends `mbps` megabits each second, until `end`. */
async function* live(mbps: number): AsyncIterable<Buffer> {
  const begun = performance.now()
  let sent = 0
  for (streaming = true; streaming; await wait(TICK_MS)) {
    const due = Math.floor(((performance.now() - begun) * mbps * 1000) / 8) - sent
    yield randomBytes(due)
    sent += due
  }
}
