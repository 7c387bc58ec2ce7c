/**
 * The demo's device application with a session. Lines of JSON on its standard input say which rules apply and what to transfer; it
 * writes the results.
 */
import { once } from 'node:events'
import { get, type IncomingMessage, request } from 'node:http'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { MaPduSession, type RulesInput, type SessionOptions } from 'atsss'
import { type Arrival, type Direction, file, hashing, live, receive } from './content.js'

/** Its arguments. */
export interface Start {
  host: string
  port: number
  session: SessionOptions
}

/** Lines that it reads. `transfer`: a number of bytes at full speed; `stream`: at a rate, until `end`. */
export type Command =
  | { rules: RulesInput }
  | { transfer: { direction: Direction; bytes: number } }
  | { stream: { direction: Direction; mbps: number } }
  | { end: true }

/** A line that it writes about a transfer. */
export interface Transferred {
  /** Milliseconds from connect() to the end of the server's answer. */
  ms: number
  /** Of what was sent. */
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

const { host, port, session: options }: Start = JSON.parse(process.argv[2] ?? '{}')
const session = new MaPduSession(options)
let stop = new AbortController()

say(await session.ready)
const log = (text: string) => say({ at: Date.now(), text })
session.on('access', ({ access, available, why }) => log(`${access} ${available ? 'available' : 'lost'}: ${why}`))
session.on('degraded', ({ message }) => log(message))
createInterface(process.stdin).on('line', async line => {
  const command: Command = JSON.parse(line)
  if ('rules' in command) {
    const { rules, moved } = session.update(command.rules)
    say({ updated: { rules: rules.length, moved: moved.length } })
  } else if ('transfer' in command) {
    const { direction, bytes } = command.transfer
    say({ transferred: await (direction === 'up' ? upload(file(bytes)) : download(`/file?bytes=${bytes}`)) })
  } else if ('stream' in command) {
    const { direction, mbps } = command.stream
    stop = new AbortController()
    say({ streamed: await (direction === 'up' ? upload(live(mbps, stop.signal)) : download(`/live?mbps=${mbps}`)) })
  } else {
    stop.abort()
    get({ host, port, path: '/stop', createConnection: () => session.connect({ host, port }) }).on('response', answer =>
      answer.resume(),
    )
  }
})

function say(line: object): void {
  console.log(JSON.stringify(line))
}

/** Each on a connection of its own. */
async function upload(content: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<Transferred> {
  const begun = performance.now()
  const { connections, createConnection } = counted()
  let sha256 = ''
  const put = request({ method: 'PUT', host, port, path: '/upload', createConnection })
  const answered = new Promise<Arrival>((resolve, reject) => {
    put.once('error', reject).once('response', async response => {
      const text = (await response.toArray()).join('')
      resolve(JSON.parse(text))
    })
  })
  const hashed = hashing(content, hash => {
    sha256 = hash
  })
  const [arrival] = await Promise.all([answered, pipeline(Readable.from(hashed, { objectMode: false }), put)])
  return { ms: performance.now() - begun, sha256, connections: connections(), arrival }
}

async function download(path: string): Promise<Transferred> {
  const begun = performance.now()
  const { connections, createConnection } = counted()
  const [response] = (await once(get({ host, port, path, createConnection }), 'response')) as [IncomingMessage]
  const arrival = await receive(response)
  return { ms: performance.now() - begun, sha256: response.trailers.sha256 ?? '', connections: connections(), arrival }
}

function counted() {
  let made = 0
  const createConnection = () => {
    made++
    return session.connect({ host, port })
  }
  return { connections: () => made, createConnection }
}
