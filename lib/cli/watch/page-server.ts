/**
 * Serves the live page on a loopback address, to browsers that have its token. The page loads nothing from the network. It shows one
 * session after another, and can change the links of a lab.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AtsssError } from '../../errors.js'
import type { LinkChange } from '../../lab/index.js'
import type { WatchClient } from './client.js'
import { Story, type StoryOptions } from './page-story.js'

interface PageOptions extends StoryOptions {
  /** A port; 0: any. Or the descriptor of a socket that already listens on a loopback address. */
  port?: number | { fd: number }
}

export interface Page {
  /** Includes the token. */
  url: string
  /** Shows this session from now on. After its end the page keeps the last state, and says that it has ended. */
  show(client: WatchClient): void
  /** Reports that a link was changed, but not by the page. */
  linkChanged(name: string, change: LinkChange, why?: string): void
  close(): Promise<void>
}

const HOST = '127.0.0.1'
/** A browser opens six at most. */
const MOST_CONNECTIONS = 64
/** The longest accepted body of a request, in bytes. */
const LONGEST_BODY = 262_144

export async function startPage({ port = 0, ...options }: PageOptions = {}): Promise<Page> {
  const token = randomBytes(16).toString('hex')
  const { links = {}, download } = options
  const story = new Story(options)
  const files = pageFiles()
  const server = createServer((request, response) => {
    answer(request, response).catch((error: Error) => refuse(response, 400, error.message))
  })

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', `http://${HOST}`)
    // DNS rebinding: a foreign page whose name now resolves to loopback sends that name.
    if (!/^(127\.0\.0\.1|localhost)(:\d+)?$/.test(request.headers.host ?? ''))
      return refuse(response, 403, 'this address does not serve the page: open the one that atsss printed')
    // To browsers, pages of other ports of this host are of the same site.
    const { origin, host } = request.headers
    if (origin !== undefined && origin !== `http://${host}`)
      return refuse(response, 403, 'another page has sent this request')
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value)
    // No cookie: browsers would send it to every port of this host, and so to other users' servers.
    const isOpen = request.method === 'GET' && PUBLIC.has(pathname)
    if (!isOpen && !isToken(searchParams.get('token') ?? '', token))
      return refuse(response, 403, 'the token is missing or wrong: open the address that atsss printed, with its token')
    if (pathname === '/events') return story.follow(response)
    if (request.method === 'POST') {
      const wish = JSON.parse(await bodyOf(request))
      if (pathname === '/rules') await changeRules(wish)
      else if (pathname === '/link') await changeLink(wish)
      else if (pathname === '/download') changeDownload(wish)
      else return refuse(response, 404, 'there is no such page')
      return void response.writeHead(204).end()
    }
    const file = files[pathname]
    if (!file) return refuse(response, 404, 'there is no such page')
    response.writeHead(200, {
      'Content-Type': file.type,
      'Content-Security-Policy': POLICY,
      'Cache-Control': 'no-store',
    })
    response.end(file.content)
  }

  async function changeRules({ rules }: { rules: unknown }): Promise<void> {
    if (!story.client) throw new AtsssError('ERR_ATSSS_WATCH', 'no session is running: there are no rules to replace')
    await story.client.ask({ do: 'update', rules })
  }

  async function changeLink({ name, change }: { name: string; change: LinkChange }): Promise<void> {
    if (!Object.hasOwn(links, name)) throw new AtsssError('ERR_ATSSS_WATCH', `there is no link ${name}`)
    await links[name]!.link.set(change)
    story.linkChanged(name, change)
  }

  function changeDownload({ isFast }: { isFast: boolean }): void {
    if (!download) throw new AtsssError('ERR_ATSSS_WATCH', 'this program has no download that the page can switch')
    download.set(isFast === true)
    story.downloadChanged()
  }

  server.maxConnections = MOST_CONNECTIONS
  const where = typeof port === 'number' ? { port, host: HOST } : port
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(where, resolve))
  const { port: actual } = server.address() as AddressInfo
  return {
    url: `http://${HOST}:${actual}/?token=${token}`,
    show: client => story.show(client),
    linkChanged: (name, change, why) => story.linkChanged(name, change, why),
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** The address has the token, and other pages get nothing of this one. */
const HEADERS = {
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'Cross-Origin-Resource-Policy': 'same-origin',
}

/** Only the page's own files. The chart library sets inline styles. */
const POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"

interface PageFile {
  type: string
  content: Buffer
}

const SCRIPT = 'text/javascript; charset=utf-8'
const SCRIPTS = [
  ...['page.js', 'dom.js', 'cards.js', 'charts.js', 'scale.js', 'marks.js'],
  ...['tables.js', 'links.js', 'hints.js', 'wishes.js'],
]

/** The files of uPlot's folder dist/ that scripts/page.ts copies beside the page. */
export const CHART_FILES = ['uPlot.iife.min.js', 'uPlot.min.css'] as const

/** What anyone can read in the package. */
const PUBLIC = new Set([...SCRIPTS, 'page.css', 'uPlot.js', 'uPlot.css'].map(name => `/${name}`))

function pageFiles(): Record<string, PageFile> {
  const folder = fileURLToPath(new URL('./page/', import.meta.url))
  const own = (name: string) => readFileSync(join(folder, name))
  const chart = (name: (typeof CHART_FILES)[number]) => {
    const built = join(folder, name)
    // When run from the sources, they come from the development dependency.
    return readFileSync(existsSync(built) ? built : createRequire(import.meta.url).resolve(`uplot/dist/${name}`))
  }
  return {
    '/': { type: 'text/html; charset=utf-8', content: own('index.html') },
    ...Object.fromEntries(SCRIPTS.map(name => [`/${name}`, { type: SCRIPT, content: own(name) }])),
    '/page.css': { type: 'text/css; charset=utf-8', content: own('page.css') },
    '/uPlot.js': { type: SCRIPT, content: chart('uPlot.iife.min.js') },
    '/uPlot.css': { type: 'text/css; charset=utf-8', content: chart('uPlot.min.css') },
  }
}

function isToken(given: string, token: string): boolean {
  const [bytes, right] = [Buffer.from(given), Buffer.from(token)]
  return bytes.length === right.length && timingSafeEqual(bytes, right)
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = ''
  for await (const chunk of request.setEncoding('utf8')) {
    body += chunk
    if (body.length > LONGEST_BODY) throw new Error(`the request is too long: at most ${LONGEST_BODY} bytes`)
  }
  return body
}

function refuse(response: ServerResponse, status: number, message: string): void {
  if (!response.headersSent) response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' })
  response.end(`${message}\n`)
}
