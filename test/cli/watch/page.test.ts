/** `atsss watch` and its page, beside a session of this process. */
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { request, type ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WatchClient } from '../../../lib/cli/watch/client.js'
import { type Page, startPage } from '../../../lib/cli/watch/page-server.js'
import { Story } from '../../../lib/cli/watch/page-story.js'
import { MaPduSession } from '../../../lib/session/session.js'
import { atsss, PROGRAM, start } from '../atsss.js'

const folder = mkdtempSync(join(tmpdir(), 'atsss-page-'))
const path = join(folder, 'session.sock')
let session: MaPduSession
let server: Server
let page: Page
let client: WatchClient
const changes: object[] = []
let isFast = false
let numbered = 0

beforeAll(async () => {
  server = createServer(socket => socket.pipe(socket)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  session = new MaPduSession({
    accesses: { '3gpp': 'none0', 'non-3gpp': 'lo' },
    controller: 'inline',
    watch: { path, control: true },
  })
  await session.watching
  const socket = session.connect((server.address() as { port: number }).port, '127.0.0.1')
  socket.write('hello')
  await once(socket, 'data')
  client = await WatchClient.open(path)
  const link = { present: { rateMbps: 50 }, set: async (change: object) => void changes.push(change) }
  page = await startPage({
    title: 'Lab: a test',
    links: { wifi: { access: 'non-3gpp', link } },
    download: {
      get isFast() {
        return isFast
      },
      set(wanted) {
        isFast = wanted
      },
    },
  })
  page.show(client)
})
afterAll(async () => {
  await page.close()
  client.close()
  for (const { socket } of session.stats().connections) socket.destroy()
  session.close()
  server.close()
  rmSync(folder, { recursive: true })
})

/** @param options as http.request has them */
async function get(path: string, options: { method?: string; headers?: object; body?: string } = {}) {
  const url = new URL(path, page.url)
  const asked = request(url, { ...options, headers: { ...options.headers }, agent: false }).end(options.body)
  const [response] = await once(asked, 'response')
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) {
    text += chunk
    if (/event: moment[\s\S]*\n\n/.test(text)) break
  }
  return { status: response.statusCode as number, text, headers: response.headers }
}
const tokenOf = () => new URL(page.url).searchParams.get('token')!
const portOf = () => new URL(page.url).port
const withToken = (path: string) => `${path}?token=${tokenOf()}`

describe('the page', () => {
  test('only with the token, which is in the address and in no cookie: browsers send those to other ports, too', async () => {
    const { status, text, headers } = await get(page.url)
    expect([status, headers['content-type']]).toEqual([200, 'text/html; charset=utf-8'])
    expect(headers['content-security-policy']).toMatch(/default-src 'self'/)
    expect(headers['set-cookie']).toBeUndefined()
    // Nothing from elsewhere.
    expect(text.match(/https?:\/\//)).toBeNull()
    const names = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, name]) => name!)
    const files = new Set(names(text, /(?:href|src)="([\w.]+)"/g))
    // And what they import.
    for (const name of files) {
      const { status, text } = await get(`/${name}`)
      expect(status, name).toBe(200)
      if (!name.startsWith('uPlot')) for (const more of names(text, /from '\.\/([\w.]+)'/g)) files.add(more)
    }
    const own = [...files].filter(name => !name.startsWith('uPlot'))
    expect(new Set(['index.html', ...own])).toEqual(new Set(readdirSync('lib/cli/watch/page')))
  })

  test.each([
    ['no token', '/', {}],
    ['a wrong one', `/?token=${'0'.repeat(32)}`, {}],
    ['one too short', '/?token=0', {}],
    ['one of as many letters, and more bytes', `/?token=${'é'.repeat(32)}`, {}],
    ['a cookie', '/events', { Cookie: `token=${'f'.repeat(32)}` }],
    ['what happens', '/events', {}],
    ['the rules', '/rules', {}],
  ])('%s: nothing', async (_, where, headers) => {
    const { status, text } = await get(where, { headers })
    expect([status, text]).toEqual([
      403,
      'the token is missing or wrong: open the address that atsss printed, with its token\n',
    ])
  })

  test('by no other name than loopback’s', async () => {
    const { port } = new URL(page.url)
    for (const host of [
      'evil.example',
      `evil.example:${port}`,
      `127.0.0.1.evil.example:${port}`,
      '127.0.0.1:1@evil.example',
      '0.0.0.0',
    ])
      expect(await get(page.url, { headers: { Host: host } }), host).toMatchObject({ status: 403 })
  })

  test('not for other pages, on other ports of this host either, even with the token', async () => {
    const own = `http://127.0.0.1:${portOf()}`
    for (const origin of [
      'http://127.0.0.1:1',
      `http://localhost:${portOf()}`,
      'http://evil.example',
      'null',
      `${own}.evil`,
    ])
      for (const options of [{}, { method: 'POST', body: '{"rules":"aggregate"}' }])
        expect(await get(withToken('/rules'), { ...options, headers: { Origin: origin } }), origin).toMatchObject({
          status: 403,
          text: 'another page has sent this request\n',
        })
    expect(await get('/page.js', { headers: { Origin: own } })).toMatchObject({ status: 200 })
  })

  test('what it sends is for this page alone', async () => {
    const { headers } = await get(page.url)
    expect(headers).toMatchObject({
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'cross-origin-resource-policy': 'same-origin',
    })
  })

  test.each([
    '/../package.json',
    '/..%2f..%2fpackage.json',
    '/page/../../page-server.js',
    '/__proto__',
    '/constructor',
    '//etc/passwd',
  ])('%s is no file of the page', async path => {
    // Not as a URL, which has no '..'.
    const asked = request({ host: '127.0.0.1', port: portOf(), path: withToken(path) }).end()
    const [response] = await once(asked, 'response')
    response.resume()
    expect(response.statusCode).toBe(404)
  })

  test('on loopback only', () => {
    expect(new URL(page.url).hostname).toBe('127.0.0.1')
  })

  test('what was, and what is', async () => {
    const { text } = await get(withToken('/events'))
    const [past, moment] = text
      .trimEnd()
      .split('\n\n')
      .map(part => JSON.parse(/^data: (.*)$/m.exec(part)![1]!))
    expect(past).toMatchObject({
      links: [{ name: 'wifi', access: 'non-3gpp', rateMbps: 50 }],
      title: 'Lab: a test',
      hello: { pid: process.pid, control: true },
      rules: [{ precedence: 255, steeringMode: { steerModeValue: 'ACTIVE_STANDBY' } }],
      download: { isFast: false },
    })
    expect(moment.connections).toMatchObject([{ title: expect.stringMatching(/^#\d+ 127\.0\.0\.1:/) }])
    expect(moment.present).toMatchObject({ text: 'handover', choice: 'handover' })
    expect(moment.moment.rates['non-3gpp']).toBeDefined()
  })

  test('rules and links can be changed; errors are reported', async () => {
    const post = (where: string, wish: unknown) => get(withToken(where), { method: 'POST', body: JSON.stringify(wish) })
    expect(await post('/rules', { rules: 'aggregate' })).toMatchObject({ status: 204 })
    expect(session.rules[0]!.steering.mode).toBe('load-balancing')
    expect(await post('/rules', { rules: 'agregate' })).toMatchObject({ status: 400, text: /agregate/ })
    expect(await post('/link', { name: 'wifi', change: { carrier: false } })).toMatchObject({ status: 204 })
    expect(changes).toEqual([{ carrier: false }])
    page.linkChanged('wifi', { lossPercent: 3 }, 'leaving the station')
    page.linkChanged('wifi', { lossPercent: 3, down: false })
    // As while a slider moves: one event, with the latest value.
    for (const rateMbps of [30, 31, 32]) page.linkChanged('wifi', { rateMbps })
    const told = (await get(withToken('/events'))).text
    expect(told).toContain('"kind":"link","text":"link wifi: cut","label":"wifi: cut"')
    expect(told).toContain('"text":"link wifi: leaving the station"')
    expect(told).toContain('"text":"link wifi: 3 % loss, no longer silent"')
    expect(told).toContain('"text":"link wifi: 32 Mbit/s"')
    expect(told).not.toContain('"text":"link wifi: 31 Mbit/s"')
    expect(told).toContain('"text":"rules: aggregate","label":"rules: aggregate"')
    expect(told).toMatch(/"present":\{"text":"aggregate","choice":"aggregate"\}/)
    expect(await post('/download', { isFast: true })).toMatchObject({ status: 204 })
    expect(isFast).toBe(true)
    expect((await get(withToken('/events'))).text).toContain('"label":"download: as fast as it goes"')
    expect(await post('/link', { name: 'toString', change: {} })).toMatchObject({ status: 400, text: /no link/ })
    expect(await post('/nowhere', {})).toMatchObject({ status: 404 })
    expect(await get(withToken('/link'), { method: 'POST', body: '{' })).toMatchObject({ status: 400 })
    expect(await get('/link', { method: 'POST', body: '{}' })).toMatchObject({ status: 403 })
    expect(await get(withToken('/../../package.json'))).toMatchObject({ status: 404 })
  })
})

test('a page before there is a session, and after it, when the last state stays', async () => {
  const other = await startPage()
  const from = async (where: string, init: RequestInit = {}) =>
    fetch(new URL(where + new URL(other.url).search, other.url), init)
  const told = (await from('/events')).body!.pipeThrough(new TextDecoderStream())
  let text = ''
  const reading = (async () => {
    for await (const chunk of told) text += chunk
  })().catch(() => {}) // it is cut off
  await expect.poll(() => text).toMatch(/event: past\ndata: \{"rules":\[\],"links":\[\]/)
  const refused = await from('/rules', { method: 'POST', body: '{"rules":"handover"}' })
  expect([refused.status, await refused.text()]).toEqual([
    400,
    'no session is running: there are no rules to replace\n',
  ])
  const watching = await WatchClient.open(path)
  other.show(watching)
  await expect.poll(() => text).toMatch(/event: past\ndata: \{"hello":\{/)
  watching.emit('event', { type: 'event', event: 'access', at: 0, access: '3gpp', available: false, why: 'it rains' })
  await expect.poll(() => text).toContain('"label":"Cellular lost","isGood":false')
  await expect.poll(() => text).toMatch(/event: moment/)
  watching.close()
  await expect.poll(() => text).toMatch(/event: gone\ndata: \{"at":\d+\}/)
  text = ''
  const later = (await from('/events')).body!.pipeThrough(new TextDecoderStream()).getReader()
  const { value } = await later.read()
  expect(JSON.parse(/^data: (.*)$/m.exec(value!)![1]!)).toMatchObject({
    hello: { pid: process.pid },
    endedAt: expect.any(Number),
    now: { connections: [{ title: expect.stringContaining('127.0.0.1:') }] },
    moments: expect.arrayContaining([expect.objectContaining({ rates: expect.anything() })]),
  })
  expect(await (await from('/download', { method: 'POST', body: '{"isFast":true}' })).text()).toMatch(/no download/)
  await other.close()
  await reading
})

test('a reader that never reads is cut off, others get everything', () => {
  const story = new Story({ links: {} })
  const reader = (write: (bytes: Buffer, encoding: string, done: () => void) => void) =>
    Object.assign(new Writable({ write }), { writeHead() {} }) as unknown as ServerResponse
  let text = ''
  const never = reader(() => {})
  const good = reader((bytes, _, done) => {
    text += bytes
    done()
  })
  story.follow(never)
  story.follow(good)
  const why = 'x'.repeat(10_000)
  for (let i = 0; i < 200; i++) story.linkChanged(`wifi${i}`, { carrier: true }, why)
  expect([never.destroyed, good.destroyed]).toEqual([true, false])
  expect(never.writableLength).toBeLessThan(1_100_000)
  expect(text).toContain(`"text":"link wifi199: ${why}"`)
})

describe('atsss watch', () => {
  test('one picture where there is no terminal', async () => {
    const { status, stdout } = await atsss(['watch', path])
    expect(status).toBe(0)
    expect(stdout).toMatch(/CONNECTIONS 1 open/)
    expect(stdout).toMatch(/Non-3GPP +lo/)
  })

  test('live in a terminal: a list to choose from, keys, and the terminal as it was', async () => {
    mkdirSync(join(folder, 'atsss'), { recursive: true, mode: 0o700 })
    const [a, b] = [1, 2].map(
      () =>
        new MaPduSession({
          accesses: { '3gpp': 'a', 'non-3gpp': 'lo' },
          controller: 'inline',
          watch: join(folder, `atsss/${process.pid}-${++numbered}.sock`),
        }),
    )
    await Promise.all([a!.watching, b!.watching])
    const env = { XDG_RUNTIME_DIR: folder, TERM: 'xterm', NO_COLOR: '1' }
    const terminal = start([], env, [
      'script',
      '-qefc',
      `stty rows 24 cols 80; exec ${PROGRAM.join(' ')} watch`,
      '/dev/null',
    ])
    await expect.poll(() => terminal.stdout).toMatch(/Several sessions can be watched:[\s\S]* 1 {2}[\s\S]* 2 {2}/)
    terminal.child.stdin.write('2')
    await expect.poll(() => terminal.stdout).toMatch(/limited steering|no steering|starting|full steering/)
    terminal.child.stdin.write('s ')
    await expect.poll(() => terminal.stdout).toContain('space goes on  e events  s sort: bytes  ↑↓ scroll  1–2 session')
    terminal.child.stdin.write('q')
    const { status, stdout } = await terminal.ended
    expect(status).toBe(0)
    // Back from the alternate screen, with a cursor.
    expect(stdout.trimEnd().endsWith('\x1b[?25h\x1b[?1049l')).toBe(true)
    a!.close()
    b!.close()
  })

  test('messages as lines of JSON', async () => {
    const { status, stdout } = await atsss(['watch', '--json', '--once', path])
    const lines = stdout.trimEnd().split('\n')
    expect([status, lines.map(line => JSON.parse(line).type)]).toEqual([0, ['hello', 'snapshot']])
  })

  test('the page, until it is interrupted', async () => {
    const { child, ended } = start(['watch', '--web', path])
    const [line] = await once(child.stdout, 'data')
    expect(line).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/\?token=[0-9a-f]{32}\n$/)
    child.kill('SIGINT')
    expect(await ended).toMatchObject({ status: 0 })
  })

  test.each<[string, string[], number, RegExp]>([
    [
      'nothing there',
      ['/nowhere.sock'],
      1,
      /no session can be watched at \/nowhere\.sock: there is no such socket: .*"watch: true"/,
    ],
    ['two', ['1', '2'], 2, /expected one session, got also '2'/],
    ['too often', ['--every', '1', path], 2, /50…60000/],
    ['no number', ['--every', 'fast', path], 2, /--every must be a whole number/],
    ['a port without a page', ['--port', '1', path], 2, /--web/],
  ])('%s: status and reason', async (_, args, status, reason) => {
    const ended = await atsss(['watch', ...args], '', { XDG_RUNTIME_DIR: folder })
    expect(ended).toMatchObject({ status, stderr: expect.stringMatching(reason) })
  })

  test('by process id, and the only one without', async () => {
    const before = process.env.XDG_RUNTIME_DIR
    process.env.XDG_RUNTIME_DIR = folder
    const other = new MaPduSession({ accesses: { '3gpp': 'a', 'non-3gpp': 'b' }, controller: 'inline', watch: true })
    if (before === undefined) delete process.env.XDG_RUNTIME_DIR
    else process.env.XDG_RUNTIME_DIR = before
    await other.watching
    for (const args of [[], [String(process.pid)]]) {
      const { status, stdout } = await atsss(['watch', ...args], '', { XDG_RUNTIME_DIR: folder })
      expect([status, stdout]).toEqual([0, expect.stringMatching(/CONNECTIONS 0 open/)])
    }
    other.close()
  })
})
