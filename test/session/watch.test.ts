/** A session that lets itself be watched: who may, what is shown, what may be asked. */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { connect, createServer, Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { WatchClient } from '../../lib/cli/watch/client.js'
import { Lines, type WatchMessage } from '../../lib/runtime/watch/messages.js'
import type { SessionOptions } from '../../lib/session/options.js'
import { MaPduSession } from '../../lib/session/session.js'

const ACCESSES = { '3gpp': 'none0', 'non-3gpp': 'lo' }
let folder: string
const open: { close(): unknown }[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'atsss-watch-'))
})
afterEach(() => {
  for (const one of open.splice(0)) one.close()
  rmSync(folder, { recursive: true })
})

function sessionWith(watch?: SessionOptions['watch']): MaPduSession {
  const session = new MaPduSession({
    accesses: ACCESSES,
    controller: 'inline',
    ...(watch === undefined ? {} : { watch }),
  })
  open.push(session)
  return session
}

/** One who watches: its messages as they come. */
async function watcher(path: string) {
  const socket: Socket = connect(path)
  open.push({ close: () => socket.destroy() })
  await once(socket, 'connect')
  socket.on('error', () => {}) // a reset, where what was written has not been read
  const lines = createInterface(socket)[Symbol.asyncIterator]()
  const next = async <Type extends WatchMessage['type']>(type: Type) => {
    for (;;) {
      const { value, done } = await lines.next()
      if (done) throw new Error('the session has closed the connection')
      const message = JSON.parse(value) as WatchMessage
      if (message.type === type) return message as Extract<WatchMessage, { type: Type }>
    }
  }
  const ask = async (request: object) => {
    socket.write(`${JSON.stringify(request)}\n`)
    return next('answer')
  }
  return { socket, next, ask }
}

/** Only root can give a folder away, or make a link in it to one. */
const OF_ANOTHER_USER: Record<string, (path: string) => void> =
  process.getuid?.() === 0
    ? {
        "another user's": path => chownSync(path, 65_534, 65_534),
        "a link to another user's": path => {
          renameSync(path, `${path}-elsewhere`)
          chownSync(`${path}-elsewhere`, 65_534, 65_534)
          symlinkSync(`${path}-elsewhere`, path)
        },
      }
    : {}

describe('watching a session', () => {
  test('not unless asked for', () => {
    expect(sessionWith(undefined).watching).toBeUndefined()
    expect(sessionWith(false).watching).toBeUndefined()
  })

  test('nobody but its user; gone with the session', async () => {
    const path = join(folder, 'here.sock')
    const session = sessionWith(path)
    expect(await session.watching).toBe(path)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const { socket } = await watcher(path)
    session.close()
    await once(socket, 'close')
    expect(existsSync(path)).toBe(false)
  })

  test('it says who it is, what is there, and what happens', async () => {
    const server = createServer(socket => socket.pipe(socket)).listen(0, '127.0.0.1')
    open.push(server)
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const session = sessionWith(join(folder, 's'))
    const { next } = await watcher((await session.watching)!)
    expect(await next('hello')).toMatchObject({
      version: 2,
      pid: process.pid,
      accesses: { '3gpp': { interface: 'none0' }, 'non-3gpp': { interface: 'lo' } },
      control: false,
    })
    const socket = session.connect(port, '127.0.0.1')
    socket.write('x'.repeat(5000))
    await once(socket, 'data')
    // Snapshots from before the connection may still be on their way.
    let shown = await next('snapshot')
    while (shown.connectionsOpen === 0 || shown.accesses['non-3gpp'].bytesSent < 5000) shown = await next('snapshot')
    expect(shown).toMatchObject({
      accesses: { 'non-3gpp': { why: 'lo has no address', interface: 'lo' }, '3gpp': { available: false } },
      rules: [{ precedence: 255, steering: { mode: 'active-standby', active: 'non-3gpp' }, connections: 1 }],
      connections: [{ id: expect.any(Number), host: '127.0.0.1', port, rule: 255, handovers: 0 }],
      connectionsOpen: 1,
    })
    expect(shown.accesses['non-3gpp'].bytesSent).toBeGreaterThanOrEqual(5000)
    expect(shown).toMatchObject({ preset: 'handover', rules: [{ name: 'handover' }] })
    session.update('aggregate')
    expect(await next('event')).toMatchObject({
      ...{ event: 'rules', names: ['aggregate'], preset: 'aggregate' },
      rules: [{ precedence: 255, steeringMode: { steerModeInd: 'AUTO_LOAD_BALANCE' } }],
    })
    // A rule of another precedence: the one before stays for what it has carried, and says that it is replaced.
    session.update([
      {
        ruleId: 'all',
        precedence: 9,
        trafficDescriptor: { matchAll: true },
        steeringMode: { steerModeValue: 'SMALLEST_DELAY' },
      },
    ])
    expect(await next('event')).toMatchObject({ event: 'rules', names: ['all'] })
    const after = await next('snapshot')
    expect(after.preset).toBeUndefined()
    expect(after.rules).toMatchObject([{ name: 'all' }, { name: 'precedence 255', replaced: true }])
    socket.destroy()
  })

  test('the pace of the snapshots may be asked for, within limits', async () => {
    const { next, ask } = await watcher((await sessionWith(join(folder, 's')).watching)!)
    const repeat = vi.spyOn(globalThis, 'setInterval')
    onTestFinished(() => repeat.mockRestore())
    expect(await ask({ do: 'every', id: 1, milliseconds: 50 })).toEqual({ type: 'answer', id: 1 })
    expect(repeat).toHaveBeenLastCalledWith(expect.any(Function), 50)
    await next('snapshot')
    await next('snapshot')
    expect(await ask({ do: 'every', id: 2, milliseconds: 1 })).toMatchObject({ id: 2, error: /50…60000/ })
  })

  test('the rules only where control is given, and whole or not at all', async () => {
    const shy = await watcher((await sessionWith(join(folder, 'a')).watching)!)
    expect(await shy.ask({ do: 'update', id: 1, rules: 'aggregate' })).toMatchObject({ error: /control: true/ })
    const session = sessionWith({ path: join(folder, 'b'), control: true })
    const { ask } = await watcher((await session.watching)!)
    expect(await ask({ do: 'update', id: 1, rules: [{ precedence: 'low' }] })).toMatchObject({ error: /precedence/ })
    expect(session.rules[0]).toMatchObject({ steering: { mode: 'active-standby' } })
    expect(await ask({ do: 'update', id: 2, rules: 'aggregate' })).toEqual({ type: 'answer', id: 2 })
    expect(session.rules[0]).toMatchObject({ steering: { mode: 'load-balancing' } })
    expect(await ask({ do: 'dance', id: 3 })).toMatchObject({ id: 3, error: /"every" or "update"/ })
  })

  test.each([
    ['no JSON', 'hello\n'],
    ['nothing of ours', 'null\n'],
    ['a line without end', 'x'.repeat(300_000)],
  ])('%s: the one who said it is left alone, nobody else', async (_, text) => {
    const path = (await sessionWith(join(folder, 's')).watching)!
    const [bad, good] = [await watcher(path), await watcher(path)]
    bad.socket.write(text)
    await new Promise(resolve => bad.socket.once('close', resolve))
    await good.next('snapshot')
  })

  test('a socket left over from a process that was killed is replaced; a living one is not', async () => {
    const path = join(folder, 'left')
    const program = `require('net').createServer().listen('${path}', () => process.kill(process.pid, 9))`
    spawnSync(process.execPath, ['-e', program])
    expect(existsSync(path)).toBe(true)
    const session = sessionWith(path)
    expect(await session.watching).toBe(path)
    await watcher(path)
    const other = sessionWith(path)
    await expect(other.watching).rejects.toMatchObject({ code: 'ERR_ATSSS_WATCH', message: /EADDRINUSE/ })
    await watcher(path)
  })

  test('a file that is no socket is left alone', async () => {
    const path = join(folder, 'notes')
    writeFileSync(path, 'precious')
    await expect(sessionWith(path).watching).rejects.toMatchObject({ code: 'ERR_ATSSS_WATCH', message: /EADDRINUSE/ })
    expect(readFileSync(path, 'utf8')).toBe('precious')
  })

  test('a name that is too long for a Unix socket, in a folder that is not there, or read-only: it says so', async () => {
    const long = join(folder, 'd'.repeat(100))
    mkdirSync(long)
    const before = readdirSync(folder)
    const refused = (path: string) => sessionWith(path).watching?.catch(error => error as Error & { code: string })
    for (const [path, message] of [
      [join(long, 's.sock'), /cannot be made: .*s\.sock has \d+ bytes, .* at most 107: name a short path/],
      [join(folder, 'é'.repeat(60)), /has \d+ bytes/],
      [join(folder, 'nowhere', 's.sock'), /nowhere\/s\.sock cannot be made: ENOENT.*: name a short path in a folder/],
      ['/sys/s.sock', /\/sys\/s\.sock cannot be made: E(PERM|ACCES|ROFS).*: name a short path in a folder/],
    ] as const)
      expect(await refused(path)).toMatchObject({ code: 'ERR_ATSSS_WATCH', message: expect.stringMatching(message) })
    expect([readdirSync(folder), readdirSync(long)]).toEqual([before, []])
    await expect(WatchClient.open(join(long, 's.sock'))).rejects.toMatchObject({ message: /at most 107/ })
  })

  test('closed before it listens: whoever waits for that is told, and nothing stays', async () => {
    const session = sessionWith(join(folder, 's'))
    const { watching } = session
    session.close()
    await expect(watching).rejects.toMatchObject({ code: 'ERR_ATSSS_WATCH', message: /closed/ })
    expect(existsSync(join(folder, 's'))).toBe(false)
  })

  test('in a shared folder it is never open to others, with any umask, and only the socket stays', async () => {
    const { listen } = Server.prototype
    const bound: { parent: number; name: string }[] = []
    vi.spyOn(Server.prototype, 'listen').mockImplementation(function (this: Server, ...args: unknown[]) {
      const { path } = args[0] as { path: string }
      bound.push({ parent: statSync(dirname(path)).mode & 0o777, name: path })
      return Reflect.apply(listen, this, args) as Server
    } as never)
    chmodSync(folder, 0o777)
    const before = process.umask(0)
    try {
      const path = (await sessionWith(join(folder, 'shared')).watching)!
      expect(bound).toEqual([{ parent: 0o700, name: expect.stringMatching(/\/\.\w+\/s$/) }])
      expect(statSync(path).mode & 0o777).toBe(0o600)
      expect(readdirSync(folder).filter(name => name.startsWith('.'))).toEqual([])
    } finally {
      process.umask(before)
      chmodSync(folder, 0o700)
      vi.restoreAllMocks()
    }
  })

  test('a link to another place in the folder is not followed', async () => {
    const elsewhere = join(folder, 'elsewhere')
    const path = join(folder, 'link')
    symlinkSync(elsewhere, path)
    await expect(sessionWith(path).watching).rejects.toMatchObject({ code: 'ERR_ATSSS_WATCH', message: /EADDRINUSE/ })
    expect(existsSync(elsewhere)).toBe(false)
  })

  test('many that connect, say what is long, and never read: the session goes on, with bounded memory', async () => {
    const path = (await sessionWith({ path: join(folder, 'storm'), control: true }).watching)!
    const reader = await watcher(path)
    const line = `${JSON.stringify({ do: 'every', milliseconds: 50, id: 1 })}\n`
    const silent = Array.from({ length: 100 }, () => {
      const socket = connect(path).on('error', () => {})
      socket.pause()
      socket.write(line.repeat(2000))
      return socket
    })
    const before = process.memoryUsage().rss
    for (let snapshots = 0; snapshots < 6; snapshots++) await reader.next('snapshot')
    expect(process.memoryUsage().rss - before).toBeLessThan(200e6)
    for (const socket of silent) socket.destroy()
    // There is room again.
    await expect.poll(async () => (await watcher(path)).next('hello')).toMatchObject({ type: 'hello' })
  })

  const away = { 'open to others': (path: string) => chmodSync(path, 0o777), ...OF_ANOTHER_USER }
  for (const [what, spoil] of Object.entries(away))
    test(`a folder that is ${what} is not used`, async () => {
      const before = process.env.XDG_RUNTIME_DIR
      process.env.XDG_RUNTIME_DIR = folder
      try {
        const first = sessionWith(true)
        expect(await first.watching).toMatch(/atsss\/\d+(-\d+)?\.sock$/)
        first.close()
        spoil(join(folder, 'atsss'))
        const second = sessionWith(true)
        const degraded = new Promise(resolve => second.once('degraded', resolve))
        await expect(second.watching).rejects.toMatchObject({ code: 'ERR_ATSSS_WATCH' })
        expect(await degraded).toMatchObject({ what: 'watch', message: /this user's alone/ })
      } finally {
        if (before === undefined) delete process.env.XDG_RUNTIME_DIR
        else process.env.XDG_RUNTIME_DIR = before
      }
    })

  test.each([[7], [''], [{ path: 1 }], [{ control: 'yes' }], [{ controll: true }]])('watch: %o is no option', watch => {
    expect(() => sessionWith(watch as never)).toThrow(expect.objectContaining({ code: 'ERR_ATSSS_OPTION' }))
  })
})

test('lines come whole, however the bytes fall, and not too long', () => {
  const text = '{"a":1}\n\n{"b":"…"}\n{"c"'
  for (let cut = 0; cut <= text.length; cut++) {
    const lines = new Lines(20)
    expect([...lines.push(text.slice(0, cut)), ...lines.push(text.slice(cut)), ...lines.push(':3}\n')]).toEqual([
      '{"a":1}',
      '{"b":"…"}',
      '{"c":3}',
    ])
  }
  expect(() => new Lines(5).push('123456')).toThrow(RangeError)
  expect(() => new Lines(5).push('123456\n')).toThrow(RangeError)
})

test('a session whose socket was taken away leaves the socket of the one that came after it', async () => {
  const path = join(folder, 'taken')
  const first = sessionWith(path)
  await first.watching
  rmSync(path) // as another process does that holds the socket for one left over
  const second = sessionWith(path)
  expect(await second.watching).toBe(path)
  first.close()
  await watcher(path)
})

test('a listener of the application that throws is not what a watcher gets for its rules', async () => {
  const session = sessionWith({ path: join(folder, 's'), control: true })
  const { ask } = await watcher((await session.watching)!)
  const before = process.listeners('uncaughtException')
  const uncaught: unknown[] = []
  process.removeAllListeners('uncaughtException').on('uncaughtException', ({ message }) => uncaught.push(message))
  onTestFinished(() => {
    process.removeAllListeners('uncaughtException')
    for (const listener of before) process.on('uncaughtException', listener)
  })
  session.on('update', () => {
    throw new Error('a bug of the application')
  })
  expect(await ask({ do: 'update', id: 1, rules: 'aggregate' })).toEqual({ type: 'answer', id: 1 })
  expect(uncaught).toEqual(['a bug of the application'])
})
