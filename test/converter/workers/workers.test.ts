/** A converter with several processes, as `atsss converter --workers` runs it. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import { createConverter } from '../../../lib/converter/index.js'
import { compiled } from '../../support/compiled.js'
import { addon } from '../../support/probes.js'
import { requires } from '../../support/requires.js'
import { Client, closing, connectTlv, echo, message, until } from '../rig.js'

const describe = requires('the addon', addon).describe

describe('--workers', () => {
  test('serves with all of them, by one secret and one set of limits; one that dies is replaced', async () => {
    const { port } = await echo()
    const running = await start('--workers', '2', '--cookies', '--max-per-client', '40')
    expect(running.of('worker')).toMatchObject([
      { worker: 1, change: 'started' },
      { worker: 2, change: 'started' },
    ])
    const client = (...tlvs: Uint8Array[]) => running.client(message(connectTlv(port), ...tlvs))
    /** Each process learns within some milliseconds what the other holds. */
    const isFull = async () => {
      for (;;) {
        const one = client(tlv)
        const answer = await one.hears(4)
        one.socket.destroy()
        // RFC 8803 §6.2.8: Resource Exceeded, although neither process has 40.
        if (/^010222631e0140/.test(answer)) return
        expect(answer).toBe('01012263')
      }
    }

    // Error 3 and the cookie: 8 bytes of header, type, length, code and padding before it (RFC 8803 §6.2.7, §6.2.8).
    const stranger = client()
    const cookie = Buffer.from((await stranger.hearsAll()).slice(16), 'hex')
    stranger.socket.destroy()
    await until(() => running.of('closed').length === 1)
    const tlv = Buffer.concat([Buffer.from([0x16, 1 + cookie.length / 4, 0, 0]), cookie])
    const clients = Array.from({ length: 40 }, () => client(tlv))
    for (const one of clients) expect(await one.hears(4)).toBe('01012263')
    await until(() => running.of('established').length === 40)
    const portsOf = (number: number) => {
      const infos = running.of('established').filter(({ worker }) => worker === number)
      return new Set(infos.map(info => info.client.port))
    }
    const doomed = clients.filter(({ socket }) => portsOf(1).has(socket.localPort))
    const others = clients.filter(({ socket }) => portsOf(2).has(socket.localPort))
    expect([doomed.length + others.length, doomed.length > 0, others.length > 0]).toEqual([40, true, true])
    await isFull()

    const { pid } = running.of('worker')[0]!
    process.kill(pid, 'SIGKILL')
    await until(() => running.of('worker').length === 4)
    expect(running.of('worker').slice(2)).toMatchObject([
      { worker: 1, pid, change: 'ended', exit: { code: null, signal: 'SIGKILL' }, restartDelay: 0 },
      { worker: 1, change: 'started' },
    ])
    for (const one of doomed) await one.fails()
    // What the dead one held is free again, and the other's connections go on.
    for (const _ of doomed) expect(await client(tlv).hears(4)).toBe('01012263')
    await isFull()
    others[0]!.socket.write('still there')
    expect(Buffer.from((await others[0]!.hears(15)).slice(8), 'hex').toString()).toBe('still there')

    running.process.kill('SIGTERM')
    expect(await once(running.process, 'close')).toEqual([0, null])
    expect(running.of('ended')).toMatchObject([{ connections: 0, workers: [] }])
    expect(running.errors).toEqual([])
  }, 30_000)

  test('the port is its own: neither a second one nor a single process shares it; its workers end with it, however it ends', async () => {
    const running = await start('--workers', '2')
    const { place } = running
    const others = ['2', '1'].map(workers => run('--listen', place, '--workers', workers))
    const ends = await Promise.all(others.map(other => once(other.process, 'close')))
    expect(ends).toEqual([
      [1, null],
      [1, null],
    ])
    for (const { errors } of others)
      expect(errors).toEqual([
        `atsss converter: listen EADDRINUSE ${place}: another program listens there: end it, or choose another port`,
      ])
    running.process.kill('SIGKILL')
    await once(running.process, 'close')
    await until(() => running.of('worker').every(({ pid }) => !isRunning(pid)))
  }, 15_000)
})

test.each([0, 257, 1.5, 'all'])('workers: %j is refused', workers => {
  expect(() => createConverter({ workers: workers as number })).toThrow(
    expect.objectContaining({
      code: 'ERR_ATSSS_OPTION',
      message: expect.stringMatching(/^Option "workers" must be 'auto' or an integer in 1…256; it is/),
    }),
  )
})

test('workers and a clock', () => {
  expect(() => createConverter({ workers: 2, now: Date.now })).toThrow(/Option "now" must be left out if there are/)
})

interface Running {
  process: ChildProcessWithoutNullStreams
  errors: string[]
  /** The events of this name. */
  // biome-ignore lint/suspicious/noExplicitAny: lines of JSON
  of(name: string): any[]
}

function run(...args: string[]): Running {
  const child = spawn(process.execPath, [
    compiled('lib/cli/main.ts'),
    'converter',
    '--allow-loopback',
    '--json',
    ...args,
  ])
  closing(() => child.kill('SIGKILL'))
  const [lines, errors]: [string[], string[]] = [[], []]
  createInterface(child.stdout).on('line', line => lines.push(line))
  createInterface(child.stderr).on('line', line => errors.push(line))
  return {
    process: child,
    errors,
    of: name => lines.map(line => JSON.parse(line)).filter(({ event }) => event === name),
  }
}

async function start(...args: string[]): Promise<Running & { place: string; client(bytes: Uint8Array): Client }> {
  const running = run(...args)
  const workers = Number(args[args.indexOf('--workers') + 1])
  await until(() => running.of('worker').length === workers)
  const [{ address, port }] = running.of('listening')[0].listeners
  return {
    ...running,
    place: `${address}:${port}`,
    client: bytes => new Client(connect({ port, host: address, allowHalfOpen: true }), bytes),
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
