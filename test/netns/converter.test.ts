/** The converter over links with delay: what loopback cannot show. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Lab, openLab } from '../../lib/lab/index.js'
import { connectTlv, message, until } from '../converter/rig.js'
import type { SynClientResult, SynClientTask } from '../converter/syn-client.js'
import { compiled } from '../support/compiled.js'
import { all, mptcp, mptcpFastOpen, netns } from '../support/probes.js'
import { requires } from '../support/requires.js'

/** One way, in milliseconds. */
const DELAY = 20
/** Longer than this machine takes to answer, whatever else it does. */
const LONG_DELAY = 200
const PORT = 5124
const hello = Buffer.from('hello')

requires('MPTCP and network namespaces and Fast Open on MPTCP sockets', all(mptcp, netns, mptcpFastOpen)).describe(
  'a converter in a network',
  () => {
    let lab: Lab
    const folder = mkdtempSync(join(tmpdir(), 'atsss-converter-'))
    const running: (() => unknown)[] = []

    beforeAll(async () => {
      lab = await openLab({ accesses: [{ name: 'wifi', access: 'non-3gpp', link: { delayMs: DELAY } }] })
      const { lines } = run('server', 'test/converter/echo-server.ts', '7')
      await until(() => lines.length > 0)
    })
    afterEach(async () => {
      await lab.link('wifi').set({ delayMs: DELAY, downlink: { lossPercent: 0 } })
      for (const end of running.splice(0)) await end()
    })
    afterAll(async () => {
      await lab?.close()
      rmSync(folder, { recursive: true })
    })

    describe.each(['v4', 'v6'] as const)('over IP%s', family => {
      /** "hello" to the echo, all of it in the SYN. */
      const request = () => Buffer.concat([message(connectTlv(7, lab.serverAddress[family])), hello])

      test('0-RTT with MPTCP: answered right after the third ACK', async () => {
        const converter = await start()
        const { result, order } = await watch({ syn: request(), expect: 9, family })
        expect(result).toMatchObject({ taken: 29, synDataAcked: true, mptcp: true, bytes: `01012263${hexOf(hello)}` })
        expect(result.answeredAt).toBeGreaterThanOrEqual(4 * DELAY)
        expect(order).toEqual(['SYN 29', 'SYN+ACK', 'ACK', 'answer'])
        // The server has been connected to before that, in the time that the SYN+ACK takes to the client.
        const { times } = await converter.next('established')
        expect(times.connected).toBeLessThan(times.answered)
        expect(await converter.next('closed')).toMatchObject({
          ...{ zeroRtt: true, protocol: 'mptcp', bytes: { fromClient: 5, fromServer: 5 } },
        })
      })

      test('an Error TLV, too, waits for the third ACK', async () => {
        await start()
        const { result, order } = await watch({
          ...{ syn: message(connectTlv(0, lab.serverAddress[family])), expect: 8, family },
        })
        expect(result).toMatchObject({ mptcp: true, bytes: expect.stringMatching(/^010822631e070100$/) })
        expect(order).toEqual(['SYN 24', 'SYN+ACK', 'ACK', 'answer'])
      })

      test('a converter that does not wait is never heard by an MPTCP client', async () => {
        const converter = await start('--answer-early')
        await lab.link('wifi').set({ delayMs: LONG_DELAY })
        const { result, order } = await watch({ syn: request(), expect: 1, family, wait: 2_000 })
        expect(result).toMatchObject({ taken: 29, synDataAcked: true, mptcp: true, timedOut: true, bytes: '' })
        expect(order).toEqual(['SYN 29', 'SYN+ACK', 'ACK'])
        expect(await converter.next('established')).toMatchObject({ zeroRtt: true, state: 'relaying' })
      })

      test('but by a TCP client, one round trip sooner', async () => {
        await start('--answer-early')
        await lab.link('wifi').set({ delayMs: LONG_DELAY })
        const { result, order } = await watch({ syn: request(), expect: 9, family, mptcp: false })
        expect(result).toMatchObject({ timedOut: false, bytes: `01012263${hexOf(hello)}` })
        expect(order.slice(0, 3)).toEqual(['SYN 29', 'SYN+ACK', 'answer'])
      })

      test('a converter without Fast Open costs the client MPTCP, and a round trip', async () => {
        const converter = await start('--no-fast-open')
        const result = await say({ syn: request(), expect: 9, family })
        expect(result).toMatchObject({ synDataAcked: false, mptcp: false, bytes: `01012263${hexOf(hello)}` })
        expect(await converter.next('closed')).toMatchObject({ zeroRtt: false, protocol: 'tcp' })
      })
    })

    test('1-RTT keeps MPTCP with such a converter', async () => {
      const converter = await start('--no-fast-open')
      const request = Buffer.concat([message(connectTlv(7, lab.serverAddress.v4)), hello])
      const result = await say({ syn: new Uint8Array(0), more: request, expect: 9, family: 'v4' })
      expect(result).toMatchObject({ mptcp: true, bytes: `01012263${hexOf(hello)}` })
      expect(await converter.next('closed')).toMatchObject({ zeroRtt: false, protocol: 'mptcp' })
    })

    test('a client that is gone before its third ACK: nothing stays', async () => {
      const converter = await start('--connect-timeout', '500')
      const request = Buffer.concat([message(connectTlv(7, lab.serverAddress.v4)), hello])
      await lab.link('wifi').set({ downlink: { lossPercent: 100 } })
      await say({ syn: request, expect: 9, family: 'v4', wait: 700 })
      expect(await converter.next('client-error')).toMatchObject({ why: 'timeout', state: 'confirming', zeroRtt: true })
      await converter.next('closed')
      expect((await converter.end()).connections).toBe(0)
    })

    test('a client that is gone before an Error TLV could be written: nothing stays', async () => {
      const converter = await start('--connect-timeout', '300')
      await lab.link('wifi').set({ downlink: { lossPercent: 100 } })
      await say({ syn: message(connectTlv(0, lab.serverAddress.v4)), expect: 8, family: 'v4', wait: 500 })
      expect(await converter.next('client-error')).toMatchObject({ why: 'timeout', error: { code: 1 } })
      await converter.next('closed')
      expect((await converter.end()).refused).toEqual({})
    })

    test('a server that resets between accepting and the answer: Connection Reset', async () => {
      await lab.link('wifi').set({ delayMs: LONG_DELAY })
      const resetting = await listener('reset')
      await start()
      const result = await say({ syn: message(connectTlv(resetting, lab.serverAddress.v4)), expect: 8, family: 'v4' })
      expect(result.bytes).toBe('010222631e016000')
    })

    test('a server that resets then, with bytes of the client’s: no Error TLV, which would say that it has seen none', async () => {
      await lab.link('wifi').set({ delayMs: LONG_DELAY })
      // Not at once: a connection that is reset before the converter has seen it is a refused one.
      const resetting = await listener('reset-at-byte')
      const converter = await start()
      const request = Buffer.concat([message(connectTlv(resetting, lab.serverAddress.v4)), hello])
      const result = await say({ syn: request, expect: 8, family: 'v4' })
      expect(result).toMatchObject({ bytes: '', timedOut: false })
      expect(await converter.next('closed')).toMatchObject({ state: 'closed', bytes: { fromClient: hello.length } })
      expect((await converter.end()).refused).toEqual({})
    })

    test('a server that answers and ends before the client is: all of it arrives, after the answer', async () => {
      const saying = await listener('say')
      const converter = await start()
      const result = await say({ syn: message(connectTlv(saying, lab.serverAddress.v4)), expect: 9, family: 'v4' })
      expect(Buffer.from(result.bytes, 'hex').toString('latin1', 4)).toBe('early')
      expect((await converter.next('closed')).bytes.fromServer).toBe(5)
    })

    test.each([
      ['unreachable', 'v4', '01'],
      ['prohibit', 'v4', '0d'],
      ['unreachable', 'v6', '03'],
      ['prohibit', 'v6', '01'],
    ] as const)('a route that says %s (IP%s): Destination Unreachable, code %s', async (kind, family, code) => {
      const target = family === 'v4' ? '203.0.113.9' : '2001:db8:bad::9'
      const ip = (verb: string) => lab.converter.run('ip', [family === 'v4' ? '-4' : '-6', 'route', verb, kind, target])
      await ip('add')
      await start()
      const result = await say({ syn: message(connectTlv(80, target)), expect: 8, family })
      await ip('del')
      expect(result.bytes).toBe(`010222631e0161${code}`)
    })

    test('an ICMP error from further away: Destination Unreachable', async () => {
      await lab.server.run('ip', ['route', 'add', 'unreachable', '203.0.113.9'])
      await lab.server.sysctl('net.ipv4.ip_forward', 1)
      await lab.converter.run('ip', ['route', 'add', '203.0.113.9', 'via', lab.serverAddress.v4])
      await start()
      const result = await say({ syn: message(connectTlv(80, '203.0.113.9')), expect: 8, family: 'v4' })
      expect(result.bytes).toBe('010222631e016101')
    })

    test('many clients at once, each in its SYN', async () => {
      const converter = await start()
      const request = Buffer.concat([message(connectTlv(7, lab.serverAddress.v4)), hello])
      const results = await Promise.all(
        Array.from({ length: 4 }, () => say({ syn: request, expect: 9, family: 'v4', clients: 250, wait: 20_000 })),
      )
      for (const result of results) expect(result).toMatchObject({ answered: 250, right: 250 })
      expect(await converter.end()).toMatchObject({ accepted: 1_000, zeroRtt: 1_000, mptcp: 1_000, established: 1_000 })
    })

    /** The converter on its host, and what it says. */
    async function start(...args: string[]) {
      const addresses = ['--listen', `0.0.0.0:${PORT}`, '--listen', `[::]:${PORT}`]
      const { child, lines } = run('converter', 'lib/cli/main.ts', 'converter', ...addresses, '--json', ...args)
      const end = async () => {
        const ended = once(child, 'close')
        child.kill('SIGTERM')
        await ended
        return JSON.parse(lines.at(-1)!)
      }
      running.push(() => (child.exitCode === null ? end() : undefined))
      await until(() => lines.length > 0)
      return {
        end,
        /** The first event of this name, once there is one. */
        next: async (name: string) => {
          const find = () => lines.find(line => JSON.parse(line).event === name)
          await until(find)
          return JSON.parse(find()!)
        },
      }
    }

    /** What a client of the UE hears. */
    async function say({ family, syn, more, ...task }: Say): Promise<SynClientResult> {
      const whole: SynClientTask = {
        ...{ address: lab.converterAddress[family]!, port: PORT, wait: 3_000, syn: hexOf(syn) },
        ...(more && { more: hexOf(more) }),
        ...task,
      }
      const client = compiled('test/converter/syn-client.ts')
      const { stdout, stderr } = await lab.ue.run(process.execPath, [client, JSON.stringify(whole)])
      expect(stderr).toBe('')
      return JSON.parse(stdout)
    }

    /** The same, and what the converter's end of the link saw first, up to the answer. */
    async function watch(saying: Say): Promise<{ result: SynClientResult; order: string[] }> {
      await using capture = await lab.link('wifi').capture(join(folder, 'converter.pcap'), { end: 'network' })
      const result = await say(saying)
      const order: string[] = []
      for (const { tcp } of await capture.packets()) {
        if (tcp === undefined || order.includes('answer')) continue
        const { flags, payload } = tcp
        const own = tcp.sourcePort === PORT
        const name = flags.syn
          ? own
            ? 'SYN+ACK'
            : `SYN ${payload.length}`
          : own
            ? payload.length > 0
              ? 'answer'
              : ''
            : 'ACK'
        if (name && !order.includes(name)) order.push(name)
      }
      return { result, order }
    }

    /** A server that does this to whoever connects, and its port. */
    async function listener(what: 'reset' | 'reset-at-byte' | 'say'): Promise<number> {
      const { lines } = run('server', 'test/converter/echo-server.ts', '0', what)
      await until(() => lines.length > 0)
      return JSON.parse(lines[0]!).port
    }

    function run(host: 'converter' | 'server', path: string, ...args: string[]) {
      const child = lab[host].spawn(process.execPath, [compiled(path), ...args])
      child.stderr.pipe(process.stderr)
      const lines: string[] = []
      createInterface(child.stdout).on('line', line => lines.push(line))
      return { child, lines }
    }
  },
)

interface Say extends Omit<SynClientTask, 'address' | 'port' | 'syn' | 'more' | 'wait'> {
  syn: Uint8Array
  more?: Uint8Array
  family: 'v4' | 'v6'
  wait?: number
}

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
