/**
 * The live page: on a loopback address, for who knows its token, without anything from elsewhere. It shows what a session
 * says; where it is given links, those of a lab, it can change them.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { Link } from '../../lab/index.js'
import type { Snapshot } from '../../runtime/watch-messages.js'
import type { WatchClient } from './client.js'
import { type History, MOMENTS, NO_HISTORY, next } from './history.js'
import { describeSnapshot } from './page-data.js'
import { happeningInWords } from './words.js'

export interface PageOptions {
  /** 0: any. */
  port?: number
  /** Those of a lab, by name: they may be changed from the page. */
  links?: Readonly<Record<string, Pick<Link, 'set'>>>
}

export interface Page {
  /** With its token. */
  url: string
  close(): Promise<void>
}

const HOST = '127.0.0.1'
/** A request's body longer than this is refused, in bytes. */
const LONGEST_BODY = 262_144
/** How many happenings a page that is opened late gets. */
const HAPPENINGS = 200

export async function startPage(client: WatchClient, { port = 0, links = {} }: PageOptions = {}): Promise<Page> {
  const token = randomBytes(16).toString('hex')
  const story = new Story(client)
  const files = pageFiles()
  const server = createServer((request, response) => {
    answer(request, response).catch((error: Error) => refuse(response, 400, error.message))
  })

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', `http://${HOST}`)
    // A page of elsewhere whose name has come to mean loopback says that name.
    if (!/^(127\.0\.0\.1|localhost)(:\d+)?$/.test(request.headers.host ?? '')) return refuse(response, 403, 'not here')
    // Cookies are of a host, whatever the port: pages of two sessions are open side by side.
    const cookie = `atsss-${request.socket.localPort}`
    if (!isToken(searchParams.get('token') ?? cookieOf(request, cookie), token))
      return refuse(response, 403, 'open the address that atsss printed, with its token')
    response.setHeader('Set-Cookie', `${cookie}=${token}; HttpOnly; SameSite=Strict; Path=/`)
    if (pathname === '/events') return story.follow(response, { links: Object.keys(links), hello: client.hello })
    if (request.method === 'POST') {
      const wish = JSON.parse(await bodyOf(request))
      if (pathname === '/rules') await client.ask({ do: 'update', rules: wish.rules })
      else if (pathname === '/link') await changeLink(wish)
      else return refuse(response, 404, 'nothing there')
      return void response.writeHead(204).end()
    }
    const file = files[pathname]
    if (!file) return refuse(response, 404, 'nothing there')
    response.writeHead(200, {
      'Content-Type': file.type,
      'Content-Security-Policy': POLICY,
      'Cache-Control': 'no-store',
    })
    response.end(file.content)
  }

  async function changeLink({ name, change }: { name: string; change: object }): Promise<void> {
    if (!Object.hasOwn(links, name)) throw new Error(`there is no link ${name} to change`)
    await links[name]!.set(change)
    story.note({ at: Date.now(), text: `link ${name}: ${inWords(change)}`, kind: 'link' })
  }

  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, HOST, resolve))
  const { port: actual } = server.address() as AddressInfo
  return {
    url: `http://${HOST}:${actual}/?token=${token}`,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** Only what it brings itself; styles of its own elements are the chart's. */
const POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"

interface Noted {
  at: number
  text: string
  kind: string
}

/** What has been until now, for pages that are opened late, and what comes, for all of them. */
class Story {
  #history: History = NO_HISTORY
  readonly #happenings: Noted[] = []
  readonly #readers = new Set<ServerResponse>()

  constructor(client: WatchClient) {
    client.on('snapshot', snapshot => this.#show(snapshot))
    client.on('event', happening =>
      this.note({ at: happening.at, text: happeningInWords(happening), kind: happening.event }),
    )
    client.on('close', () => this.#send('gone', {}))
  }

  note(happened: Noted): void {
    this.#happenings.push(happened)
    this.#happenings.splice(0, this.#happenings.length - HAPPENINGS)
    this.#send('happening', happened)
  }

  follow(response: ServerResponse, about: object): void {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
    const past = { ...about, moments: this.#history.moments, happenings: this.#happenings, most: MOMENTS }
    response.write(frame('past', past))
    this.#readers.add(response)
    response.on('close', () => this.#readers.delete(response))
  }

  #show(snapshot: Snapshot): void {
    this.#history = next(this.#history, snapshot)
    const moment = this.#history.moments.at(-1)
    if (moment) this.#send('moment', { moment, ...describeSnapshot(snapshot, this.#history) })
  }

  #send(event: string, data: object): void {
    for (const reader of this.#readers) if (reader.writableLength < 1_048_576) reader.write(frame(event, data))
  }
}

function frame(event: string, data: object): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`
}

interface PageFile {
  type: string
  content: Buffer
}

function pageFiles(): Record<string, PageFile> {
  // Beside the sources, which the package has too: a compiler copies no pages.
  const folder = ['./page/', '../../../lib/cli/watch/page/']
    .map(path => new URL(path, import.meta.url))
    .find(existsSync)!
  const chart = createRequire(import.meta.url)
  const own = (name: string) => readFileSync(fileURLToPath(new URL(name, folder)))
  const charts = (name: string) => readFileSync(chart.resolve(`uplot/dist/${name}`))
  return {
    '/': { type: 'text/html; charset=utf-8', content: own('index.html') },
    '/page.js': { type: 'text/javascript; charset=utf-8', content: own('page.js') },
    '/page.css': { type: 'text/css; charset=utf-8', content: own('page.css') },
    '/uPlot.js': { type: 'text/javascript; charset=utf-8', content: charts('uPlot.iife.min.js') },
    '/uPlot.css': { type: 'text/css; charset=utf-8', content: charts('uPlot.min.css') },
  }
}

function isToken(given: string, token: string): boolean {
  return given.length === token.length && timingSafeEqual(Buffer.from(given), Buffer.from(token))
}

function cookieOf(request: IncomingMessage, name: string): string {
  const cookies = (request.headers.cookie ?? '').split(/;\s*/)
  return cookies.find(each => each.startsWith(`${name}=`))?.slice(name.length + 1) ?? ''
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = ''
  for await (const chunk of request.setEncoding('utf8')) {
    body += chunk
    if (body.length > LONGEST_BODY) throw new Error('that is too long')
  }
  return body
}

function inWords(change: object): string {
  return Object.entries(change)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
}

function refuse(response: ServerResponse, status: number, message: string): void {
  if (!response.headersSent) response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' })
  response.end(`${message}\n`)
}
