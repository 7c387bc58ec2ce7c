/** What comes after 'connect', through a converter over links with delay: ends, resets, floods, hashes, many at once. */
import { afterAll, beforeAll, expect } from 'vitest'
import { ConvertLab, expectNoLeak, outcome, type Program } from '../support/convert-lab.js'
import { all, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import type { ConnectionResult, Task } from './programs/client.js'
import { patternHash } from './programs/pattern.js'
import { BYE, ECHO, FLOOD, RESET, type ServerLine, SINK, SOURCE, TRICKLE } from './programs/server.js'

const labTest = requires('network namespaces', all(root, netns))
const ROUND_TRIP = 40
const HUNDRED_MB = 100_000_000

labTest.describe('a stream', () => {
  let rig: ConvertLab
  let port: number
  let converter: Program
  const to = (serverPort: number, task: Partial<Task> = {}, options: Partial<Task['connect']> = {}): Task => ({
    connect: {
      host: rig.lab.serverAddress.v4,
      port: serverPort,
      converters: rig.at(port),
      ...options,
    } as Task['connect'],
    ...task,
  })
  const direct = { converters: [] }

  beforeAll(async () => {
    rig = await ConvertLab.open({ accesses: [{ name: 'wifi', access: 'non-3gpp', link: { delayMs: ROUND_TRIP / 2 } }] })
    port = rig.nextPort()
    converter = await rig.converter(port)
  })
  afterAll(() => rig?.close())

  for (const way of ['through the converter', 'directly'] as const) {
    const options = () => (way === 'directly' ? direct : {})

    labTest(`${way}: 100 MB up, not a byte lost, moved or doubled`, async () => {
      await rig.lab.link('wifi').set({ delayMs: 1 })
      const result = await rig.run(to(SINK, { upload: HUNDRED_MB }, options()))
      await rig.lab.link('wifi').set({ delayMs: ROUND_TRIP / 2 })
      expect(result.connections[0]!.text).toBe(`${HUNDRED_MB} ${patternHash(HUNDRED_MB)}`)
      expect(result.connections[0]!.report.protocol).toBe('mptcp')
      expectNoLeak(result)
    })

    labTest(`${way}: 100 MB down`, async () => {
      await rig.lab.link('wifi').set({ delayMs: 1 })
      const result = await rig.run(to(SOURCE, { write: `${HUNDRED_MB}\n` }, options()))
      await rig.lab.link('wifi').set({ delayMs: ROUND_TRIP / 2 })
      expect(result.connections[0]).toMatchObject({ bytes: HUNDRED_MB, sha256: patternHash(HUNDRED_MB) })
      expectNoLeak(result)
    })

    labTest(`${way}: the client's end passes, and the server still answers`, async () => {
      const result = await rig.run(
        to(SINK, { write: 'all of it', end: true }, options()),
        to(SINK, { write: 'all of it', end: true }, { ...options(), allowHalfOpen: true }),
      )
      for (const connection of result.connections) expect(connection.text).toMatch(/^9 [0-9a-f]{64}$/)
    })

    labTest(`${way}: the server's end passes, and takes what still comes`, async () => {
      const seen = rig.server.lines.length
      const result = await rig.run(to(BYE, { upload: 300_000 }, { ...options(), allowHalfOpen: true }))
      expect(result.connections[0]).toMatchObject({ text: 'bye' })
      expect(result.connections[0]!.error).toBeUndefined()
      await expect.poll(() => rig.server.lines.slice(seen)).toMatchObject([{ port: BYE, bytes: 300_000 }])
      expectNoLeak(result)
    })

    labTest(`${way}: the server's reset is ECONNRESET`, async () => {
      const result = await rig.run(to(RESET, { thenWrite: 'x' }, options()))
      expect(result.connections[0]!.error).toMatchObject({ code: 'ECONNRESET' })
      expect(result.connections[0]!.closedAt).toBeLessThan(10_000)
      expectNoLeak(result)
    })

    // With bytes unread the kernel resets the peer by itself; without, it is left to stall for net.mptcp.close_timeout.
    for (const [manner, serverPort] of [
      ['much', FLOOD],
      ['little, and all of it read', TRICKLE],
    ] as const)
      labTest(
        `${way}: destroyed while the server sends ${manner}: it is reset at once, not after a minute`,
        async () => {
          await rig.lab.link('wifi').set({ rateMbps: 50 })
          const seen = rig.server.lines.length
          const client = rig.client(to(serverPort, { destroyAfter: 700 }, options()))
          const connected = await client.event<{ at: number }>('connected')
          const result = await outcome(client)
          await rig.lab.link('wifi').set({ rateMbps: 0 })
          expect(result.connections[0]!.bytes).toBeGreaterThan(10)
          const reset = { port: serverPort, error: expect.stringMatching(/^(ECONNRESET|EPIPE)$/) }
          await expect.poll(() => rig.server.lines.slice(seen), { timeout: 10_000 }).toMatchObject([reset])
          // Within a few round trips of the end, queues included, however busy the machine is.
          expect((rig.server.lines.at(-1) as unknown as ServerLine).at - connected.at).toBeLessThan(15_000)
          expectNoLeak(result)
        },
      )
  }

  labTest('the converter dies under it: ECONNRESET, or the end of the stream, at once', async () => {
    const own = rig.nextPort()
    const mortal = await rig.converter(own)
    const client = rig.client(to(ECHO, { write: 'ping' }, { converters: rig.at(own) }))
    await client.event('connected')
    await mortal.stop('SIGTERM')
    const result = await client.event<ConnectionResult>('closed')
    expect(result.closedAt).toBeLessThan(10_000)
    await client.ended()
  })

  labTest('1,000 connections at once through the converter, each with its own bytes', async () => {
    await rig.lab.link('wifi').set({ delayMs: 5 })
    const result = await rig.run(to(ECHO, { times: 1000, write: 'ping', until: 4 }))
    expect(result.connections).toHaveLength(1000)
    const failed = result.connections.filter(({ error }) => error)
    expect(failed.slice(0, 3)).toEqual([])
    expect(result.connections.every(({ text, report }) => text === 'ping' && report.protocol === 'mptcp')).toBe(true)
    expectNoLeak(result)
    await rig.lab.link('wifi').set({ delayMs: ROUND_TRIP / 2 })
  })

  labTest('destroyed at every stage: nothing is left, here or at the converter', async () => {
    await rig.lab.link('wifi').set({ delayMs: 100 })
    await rig.lab.link('data').set({ delayMs: 100 })
    // SYN out at 0, SYN+ACK at 200, answer and response at 400 to 600 ms.
    const moments = [0, 1, 50, 150, 195, 205, 250, 350, 395, 405, 500, 595, 605, 700]
    const result = await rig.run(
      ...moments.map(destroyAfter => to(ECHO, { write: 'ping', destroyAfter, times: 5 })),
      ...[0, 50, 150, 350].map(destroyAfter => to(ECHO, { write: 'ping', destroyAfter, times: 5, lookupTakes: 100 })),
      ...[0, 300].map(destroyAfter => to(ECHO, { destroyAfter, times: 5 }, { convert: '1rtt' })),
    )
    await rig.lab.link('wifi').set({ delayMs: ROUND_TRIP / 2 })
    await rig.lab.link('data').set({ delayMs: 0 })
    expect(result.connections).toHaveLength((moments.length + 6) * 5)
    expect(result.connections.filter(({ error }) => error)).toEqual([])
    expectNoLeak(result)
    // The converter has as many ends as beginnings.
    const open = async () => {
      const { stdout } = await rig.lab.converter.run('ss', ['-Htn', 'state', 'established', `( sport = :${port} )`])
      return stdout.trim()
    }
    await expect.poll(open, { timeout: 5000, interval: 200 }).toBe('')
    expect(converter.complaints).toBe('')
  })

  labTest('destroyed while the fresh SYN is under way beside the lost one', async () => {
    await rig.lab.link('wifi').set({ uplink: { mangle: [{ action: 'drop', match: 'syn' }] } })
    const result = await outcome(
      rig.client(to(ECHO, { destroyAfter: 700, times: 10 }, { synTimeout: 150, attemptDelay: 50 })),
    )
    await rig.lab.link('wifi').set({ mangle: [] })
    expect(result.connections.every(({ error }) => error === undefined)).toBe(true)
    expectNoLeak(result)
  })
})
