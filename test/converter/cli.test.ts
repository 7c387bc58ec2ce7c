import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, test } from 'vitest'
import { COMMANDS } from '../../lib/cli/commands.js'
import { compiled } from '../support/compiled.js'
import { Client, closing, connectTlv, echo, message, until } from './rig.js'

interface Running {
  process: ChildProcessWithoutNullStreams
  lines: string[]
  errors: string[]
  /** Once all has been said. */
  status: Promise<number>
}

function atsss(...args: string[]): Running {
  const child = spawn(process.execPath, [compiled('lib/cli/main.ts'), ...args])
  closing(() => child.kill('SIGKILL'))
  const [lines, errors]: [string[], string[]] = [[], []]
  const ended = [
    once(
      createInterface(child.stdout).on('line', line => lines.push(line)),
      'close',
    ),
    once(
      createInterface(child.stderr).on('line', line => errors.push(line)),
      'close',
    ),
  ]
  const status = once(child, 'close').then(async ([code]) => {
    await Promise.all(ended)
    return code as number
  })
  return { process: child, lines, errors, status }
}

describe('atsss converter', () => {
  test('--json: the addresses first, then what happens; SIGTERM ends it', async () => {
    const { port } = await echo()
    const running = atsss('converter', '--listen', '127.0.0.1:0', '--allow-loopback', '--json')
    await until(() => running.lines.length > 0)
    const first = JSON.parse(running.lines[0]!)
    expect(first).toMatchObject({ event: 'listening', listeners: [{ address: '127.0.0.1' }] })

    const client = new Client(connectTo(first.listeners[0].port), message(connectTlv(port)))
    await client.hears(4)
    client.socket.end('hello')
    await client.hearsAll()
    const refused = new Client(connectTo(first.listeners[0].port), message(connectTlv(0)))
    await refused.hearsAll()
    refused.socket.destroy()
    const events = () => running.lines.map(line => JSON.parse(line)).filter(({ event }) => event !== 'degraded')
    await until(() => events().length === 5)
    running.process.kill('SIGTERM')
    expect(await running.status).toBe(0)
    expect(events().map(({ event }) => event)).toEqual([
      ...['listening', 'established', 'closed', 'refused', 'closed', 'ended'],
    ])
    expect(events()[3]).toMatchObject({
      error: { code: 1 },
      detail: { name: 'malformed-message', echo: expect.stringMatching(/^010622630a050000/) },
    })
    expect(events()[5]).toMatchObject({ accepted: 2, bytes: { fromClients: 5, fromServers: 5 } })
    expect(running.errors).toEqual([])
  }, 15_000)

  test('--cookie-secret-file: what one converter hands out, another with the same secret takes', async () => {
    const { port } = await echo()
    const folder = mkdtempSync(join(tmpdir(), 'atsss-test-'))
    closing(() => rmSync(folder, { recursive: true }))
    const file = join(folder, 'secret')
    writeFileSync(file, 'sixteen bytes or more')
    const started = async (...args: string[]) => {
      const running = atsss('converter', '--allow-loopback', '--json', '--backlog', '16', ...args)
      await until(() => running.lines.length > 0)
      return JSON.parse(running.lines[0]!).listeners[0].port as number
    }
    const ports = [
      await started('--cookie-secret-file', file),
      await started('--cookie-secret-file', file),
      await started('--cookies'),
    ]
    // Error 3 and the cookie: 8 bytes of header, type, length, code and padding before it (RFC 8803 §6.2.7, §6.2.8).
    const asked = await new Client(connectTo(ports[0]!), message(connectTlv(port))).hearsAll()
    expect(asked).toMatch(/^01.{2}22631e.{2}0300/)
    const cookie = Buffer.from(asked.slice(16), 'hex')
    const tlv = Buffer.concat([Buffer.from([0x16, 1 + cookie.length / 4, 0, 0]), cookie])
    const answers = ports.slice(1).map(own => new Client(connectTo(own), message(connectTlv(port), tlv)).hears(4))
    expect((await Promise.all(answers)).map(answer => answer.slice(0, 8))).toEqual(['01012263', '01022263'])
  }, 30_000)

  test('readable lines; SIGINT ends it and what is open', async () => {
    const { port } = await echo()
    const running = atsss('converter', '--allow-loopback')
    await until(() => running.lines.length > 0)
    const [, own] = /^listening on 127\.0\.0\.1:(\d+) \((?:mptcp|tcp), (?:0-RTT|no 0-RTT)\)$/.exec(running.lines[0]!)!
    const client = new Client(connectTo(Number(own)), message(connectTlv(port)))
    await client.hears(4)
    await until(() =>
      running.lines.some(line => / to 127\.0\.0\.1:\d+ established after .* \(tcp to tcp\)$/.test(line)),
    )
    running.process.kill('SIGINT')
    expect(await running.status).toBe(0)
    expect(await client.fails()).toBe('ECONNRESET')
    expect(running.lines.at(-1)).toBe('ended: 1 accepted, 1 established, 0 refused, 0 bytes up, 0 down')
  }, 15_000)

  test('a port in use, and an address that is not ours, in one line', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    closing(() => server.close())
    const place = `127.0.0.1:${(server.address() as { port: number }).port}`
    const inUse = atsss('converter', '--listen', place)
    const foreign = atsss('converter', '--listen', '192.0.2.77:5124')
    expect([await inUse.status, await foreign.status]).toEqual([1, 1])
    expect(inUse.errors).toEqual([
      `atsss converter: listen EADDRINUSE ${place}: another program listens there: end it, or choose another port`,
    ])
    expect(foreign.errors).toEqual([
      'atsss converter: listen EADDRNOTAVAIL 192.0.2.77:5124: no interface of this machine has this address',
    ])
  }, 15_000)

  test.each([
    [['converter', '--alow', '::/0'], 'atsss converter: unknown option --alow; did you mean --allow?'],
    [
      ['converter', '--retry-delay', 'soon'],
      "atsss converter: --retry-delay must be a whole number, 0 or more; it is 'soon'",
    ],
    [['converter', '--retry-delay', '999'], 'atsss converter: --retry-delay must be an integer in 0…255; it is 999'],
    [['convertor'], 'atsss: unknown command convertor; did you mean converter?'],
    [[], `atsss: no command is given: one of ${Object.keys(COMMANDS).join(', ')}`],
  ])(
    '%j is a wrong command line',
    async (args, line) => {
      const running = atsss(...args)
      expect(await running.status).toBe(2)
      expect(running.errors[0]).toBe(line)
      expect(running.lines).toEqual([])
    },
    15_000,
  )

  test('--help and --version', async () => {
    const [help, own, version] = [atsss('--help'), atsss('converter', '--help'), atsss('--version')]
    expect([await help.status, await own.status, await version.status]).toEqual([0, 0, 0])
    expect(help.lines[0]).toBe('Usage: atsss <command> [options]')
    expect(own.lines.every(line => line.length <= 120)).toBe(true)
    expect(version.lines).toEqual([expect.stringMatching(/^\d+\.\d+\.\d+/)])
  }, 15_000)
})

function connectTo(port: number): Socket {
  return connect({ port, host: '127.0.0.1', allowHalfOpen: true })
}
