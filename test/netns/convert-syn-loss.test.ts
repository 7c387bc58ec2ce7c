/** Middleboxes that take the SYN's data or the SYN itself, lost SYNs, and converters that are none the wiser. */
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import type { Mangling, Packet } from '../../lib/lab/index.js'
import { ConvertLab, expectNoLeak, isSyn } from '../support/convert-lab.js'
import { all, mptcpFastOpen, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import type { Task } from './programs/client.js'
import { ECHO } from './programs/server.js'

const labTest = requires('network namespaces and Fast Open on MPTCP sockets', all(root, netns, mptcpFastOpen))
const MP_CAPABLE = 0
/**
 * The kernel repeats a SYN every second, and turns to TCP with the third repetition. A socket is given up before the second
 * one; on a busy machine a moment after it.
 */
const REPETITIONS = 2

labTest.describe('a SYN with data', () => {
  let rig: ConvertLab
  let port: number
  const ping = (options: Partial<Task['connect']> = {}): Task => ({
    connect: { host: rig.lab.serverAddress.v4, port: ECHO, converters: rig.at(port), ...options } as Task['connect'],
    write: 'ping',
    until: 4,
  })
  const uplink = (...mangle: Mangling[]) => rig.lab.link('wifi').set({ uplink: { mangle } })
  /** The kernel keeps MPTCP on in the UE, whatever was lost. */
  const expectMptcpOn = async () => {
    const counters = await rig.counters()
    expect(counters['MPTcpExt.Blackhole']).toBe(0)
    expect(counters['MPTcpExt.MPCapableSYNTXDrop']).toBe(0)
    expect(counters['MPTcpExt.MPCapableSYNTXDisabled']).toBe(0)
  }
  /** Of each connection tried, in its order: the SYNs, as milliseconds since the first of all and bytes of payload. */
  const synsOf = (packets: Packet[]) => {
    const syns = packets.filter(isSyn)
    const ports = [...new Set(syns.map(({ tcp }) => tcp!.sourcePort))]
    return ports.map(source =>
      syns
        .filter(({ tcp }) => tcp!.sourcePort === source)
        .map(({ time, tcp }) => ({ at: time - syns[0]!.time, data: tcp!.payload.length, mptcp: tcp!.mptcp?.subtype })),
    )
  }

  beforeAll(async () => {
    rig = await ConvertLab.open({ accesses: [{ name: 'wifi', access: 'non-3gpp', link: { delayMs: 25 } }] })
    port = rig.nextPort()
    await rig.converter(port)
  })
  afterAll(() => rig?.close())
  afterEach(async () => {
    await rig.lab.link('wifi').set({ mangle: [], delayMs: 25, down: false })
    await expectMptcpOn()
  })

  labTest('loses its data: dialed anew in the 1-RTT form at once, over MPTCP, and remembered', async () => {
    await uplink({ action: 'strip-syn-data', match: 'syn-data' })
    const [result, packets] = await rig.captured(() => rig.run(ping(), ping()))
    const [first, second] = result.connections
    expect(first).toMatchObject({
      text: 'ping',
      report: { protocol: 'mptcp', convert: '1rtt', attempts: 2, lessons: ['syn-data-not-acknowledged'] },
    })
    expect(second).toMatchObject({
      text: 'ping',
      report: { protocol: 'mptcp', convert: '1rtt', attempts: 1, lessons: [] },
    })
    const syns = synsOf(packets)
    expect(syns.map(of => of.map(({ data }) => data))).toEqual([[24], [0], [0]])
    // Not when the time for a SYN's answer is over.
    expect(syns[1]![0]!.at).toBeLessThan(800)
    expectNoLeak(result)
  })

  labTest("loses its data, and the form is the user's: TCP, which says so", async () => {
    await uplink({ action: 'strip-syn-data', match: 'syn-data' })
    const { connections } = await rig.run(ping({ convert: '0rtt' }), ping({ convert: '0rtt', mptcp: 'require' }))
    expect(connections[0]).toMatchObject({
      text: 'ping',
      report: { protocol: 'tcp', convert: '0rtt', synDataAccepted: false, attempts: 1 },
    })
    expect(connections[0]!.report.fallback).toMatch(/does not speak MPTCP/)
    expect(connections[1]!.error).toMatchObject({ code: 'ERR_MPTCP_FALLBACK' })
  })

  labTest('loses early data with it: it is sent again, behind the message, and arrives once', async () => {
    await uplink({ action: 'strip-syn-data', match: 'syn-data' })
    const { connections } = await rig.run({ ...ping({ earlyData: true }), thenWrite: 'pong', until: 8 })
    expect(connections[0]).toMatchObject({
      text: 'pingpong',
      report: { convert: '1rtt', earlyBytes: 0, protocol: 'mptcp' },
    })
  })

  labTest(
    'is lost once: a fresh one with data follows before the empty one of the kernel; nothing is learned',
    async () => {
      await uplink({ action: 'drop', match: 'syn', count: 1 })
      const [result, packets] = await rig.captured(() => rig.run(ping(), ping()))
      expect(result.connections[0]).toMatchObject({
        text: 'ping',
        report: { protocol: 'mptcp', convert: '0rtt', synDataAccepted: true, attempts: 2, lessons: [] },
      })
      expect(result.connections[1]).toMatchObject({ report: { convert: '0rtt', attempts: 1 } })
      const [lost, fresh] = synsOf(packets)
      expect(lost![0]).toMatchObject({ at: 0, data: 24 })
      expect(fresh![0]).toMatchObject({ data: 24, mptcp: MP_CAPABLE })
      expect(fresh![0]!.at).toBeGreaterThan(850)
      expect(fresh![0]!.at).toBeLessThan(lost![1]?.at ?? 1000)
      expectNoLeak(result)
    },
  )

  labTest('is lost once on a long way: the empty repetition that arrives too teaches nothing', async () => {
    await rig.lab.link('wifi').set({ delayMs: 150 })
    await uplink({ action: 'drop', match: 'syn', count: 1 })
    const later: Task = { connect: ping().connect, thenWrite: 'ping', until: 4 }
    const [result, packets] = await rig.captured(() => rig.run(later, later))
    expect(
      result.connections.map(({ text, report }) => ({ text, convert: report.convert, lessons: report.lessons })),
    ).toEqual([
      { text: 'ping', convert: '0rtt', lessons: [] },
      { text: 'ping', convert: '0rtt', lessons: [] },
    ])
    expect(result.connections[1]!.report.attempts).toBe(1)
    // The kernel has repeated the first one, empty, after the fresh one.
    expect(synsOf(packets).map(of => of.map(({ data }) => data))).toEqual([[24, 0], [24], [24]])
  })

  labTest('is answered by a SYN+ACK that is lost: MPTCP all the same', async () => {
    await rig.lab.link('wifi').set({ downlink: { mangle: [{ action: 'drop', match: 'syn-ack', count: 1 }] } })
    const { connections } = await rig.run(ping())
    expect(connections[0]).toMatchObject({ text: 'ping', report: { protocol: 'mptcp' } })
    expect(connections[0]!.firstByteAt).toBeLessThan(2500)
  })

  labTest('is always lost, and an empty one is not: the 1-RTT form, before a third one, remembered', async () => {
    const own = rig.nextPort()
    await rig.converter(own)
    await uplink({ action: 'drop', match: 'syn-data' })
    const [{ connections }, packets] = await rig.captured(() =>
      rig.run(ping({ converters: rig.at(own) }), ping({ converters: rig.at(own) })),
    )
    expect(connections[0]).toMatchObject({ text: 'ping', report: { protocol: 'mptcp', convert: '1rtt' } })
    expect(connections[1]).toMatchObject({ text: 'ping', report: { protocol: 'mptcp', convert: '1rtt', attempts: 1 } })
    const withData = synsOf(packets)
      .flat()
      .filter(({ data }) => data > 0)
    expect(withData[0]).toMatchObject({ at: 0, data: 24 })
    expect(withData.length).toBeLessThanOrEqual(2)
  })

  labTest(
    'is always lost, as is any: fresh ones at growing pauses, no socket that turns to TCP, then ETIMEDOUT',
    async () => {
      const own = rig.nextPort()
      await uplink({ action: 'drop', match: 'syn' })
      const [result, packets] = await rig.captured(() =>
        rig.run(ping({ converters: rig.at(own), synTimeout: 200, synRetries: 3 })),
      )
      expect(result.connections[0]!.error).toMatchObject({
        code: 'ETIMEDOUT',
        message: `connect ETIMEDOUT ${rig.at(own)}: this is the converter, and it does not answer`,
      })
      const syns = synsOf(packets).filter(([first]) => first!.mptcp === MP_CAPABLE)
      expect(syns).toHaveLength(4)
      // TCP was tried beside it at last, and did no better.
      expect(result.connections[0]!.report.attempts).toBeGreaterThan(4)
      for (const [index, [first, ...repeated]] of syns.entries()) {
        expect(first!.data).toBe(24)
        expect(first!.at).toBeGreaterThan([0, 200, 600, 1400][index]! - 20)
        expect(repeated.length).toBeLessThanOrEqual(REPETITIONS)
      }
      expectNoLeak(result)
      await expectMptcpOn()
    },
  )

  labTest(
    'many connections at once with every SYN lost: MPTCP stays on, and works when the network is back',
    async () => {
      await uplink({ action: 'drop', match: 'syn' })
      const lost = await rig.run({ ...ping({ synTimeout: 150, synRetries: 3 }), times: 20 })
      expect(lost.connections.map(({ error }) => error?.code)).toEqual(Array(20).fill('ETIMEDOUT'))
      expectNoLeak(lost)
      await expectMptcpOn()
      await uplink()
      const { connections } = await rig.run(ping())
      expect(connections[0]).toMatchObject({ text: 'ping', report: { protocol: 'mptcp' } })
    },
  )

  labTest('direct connections lose theirs too: MPTCP stays on', async () => {
    await uplink({ action: 'drop', match: 'syn' })
    const options = { converters: [], connectTimeout: 5000 }
    const [{ connections }, packets] = await rig.captured(() => rig.run({ ...ping(options), times: 5 }))
    expect(connections.map(({ error }) => error?.code)).toEqual(Array(5).fill('ETIMEDOUT'))
    for (const [first, ...repeated] of synsOf(packets))
      if (first!.mptcp === MP_CAPABLE) expect(repeated.length).toBeLessThanOrEqual(REPETITIONS)
    await expectMptcpOn()
  })

  labTest('the network comes back while the SYNs are repeated: connected with the next one', async () => {
    await rig.lab.link('wifi').set({ down: true })
    const client = rig.client(ping())
    setTimeout(() => void rig.lab.link('wifi').set({ down: false }), 1600)
    const { text, report } = await client.event<{ text: string; report: object }>('closed')
    // The next SYN may be the kernel's repetition, which is empty: then the 1-RTT form keeps MPTCP.
    expect({ text, report }).toMatchObject({ text: 'ping', report: { protocol: 'mptcp' } })
    await client.ended()
  })

  for (const converters of [true, false])
    labTest(
      `with MPTCP is always lost, without is not: TCP after a while, which says so (${converters ? 'through a converter' : 'directly'})`,
      async () => {
        await uplink({ action: 'drop', match: 'mp-capable' })
        const options = converters ? { synTimeout: 200 } : { converters: [] }
        const { connections } = await rig.run(
          ping(options),
          ping({ ...options, mptcp: 'require', connectTimeout: 2000 }),
        )
        expect(connections[0]).toMatchObject({ text: 'ping', report: { protocol: 'tcp' } })
        expect(connections[0]!.report.fallback).toMatch(/SYNs with MPTCP were not answered/)
        expect(connections[0]!.firstByteAt).toBeLessThan(8000)
        expect(connections[1]!.error).toMatchObject({ code: 'ETIMEDOUT' })
      },
    )

  labTest(
    'takes longer than a second there and back: the kernel repeats it, and MPTCP is lost; not again',
    async () => {
      const own = rig.nextPort()
      await rig.converter(own)
      await rig.lab.link('wifi').set({ delayMs: 600 })
      const { connections } = await rig.run(ping({ converters: rig.at(own) }), ping({ converters: rig.at(own) }))
      expect(connections[0]).toMatchObject({ text: 'ping', report: { protocol: 'tcp', lessons: ['turned-to-tcp'] } })
      expect(connections[0]!.report.fallback).toMatch(/does not speak MPTCP/)
      expect(connections[1]).toMatchObject({
        text: 'ping',
        report: { protocol: 'mptcp', convert: '1rtt', attempts: 1 },
      })
    },
  )

  labTest('takes longer than an MPTCP socket is given: TCP, rather than nothing', async () => {
    await rig.lab.link('wifi').set({ delayMs: 1100 })
    const { connections } = await rig.run(ping())
    expect(connections[0]).toMatchObject({ text: 'ping', report: { protocol: 'tcp' } })
  })

  labTest('may get lost, as may all else: every connection is made, and over MPTCP', async () => {
    await rig.lab.link('wifi').set({ lossPercent: 8, seed: 42 })
    const result = await rig.run({ ...ping(), times: 60 })
    await rig.lab.link('wifi').set({ lossPercent: 0 })
    // Of those that the kernel has turned to TCP half-way one may have lost too much to be trusted.
    const failed = result.connections.filter(({ error }) => error)
    expect(failed.filter(({ error }) => error!.code !== 'ERR_MPTCP_HALF_FALLBACK')).toEqual([])
    expect(failed.length).toBeLessThanOrEqual(1)
    expect(result.connections.filter(({ text, error }) => text !== 'ping' && !error)).toEqual([])
    expect(failed.filter(({ text }) => text !== '')).toEqual([])
    const overMptcp = result.connections.filter(({ report }) => report.protocol === 'mptcp').length
    expect(overMptcp).toBeGreaterThan(50)
    expectNoLeak(result)
  })

  labTest('is lost, and the local port is given: connected all the same', async () => {
    await uplink({ action: 'drop', match: 'syn', count: 1 })
    const { v4 } = rig.lab.accesses.wifi!.address
    // Below the range that the kernel chooses from: what had the port by chance may still be in TIME-WAIT.
    const { connections } = await rig.run(ping({ localAddress: v4, localPort: 25_670 }))
    expect(connections[0]!.error).toBeUndefined()
    expect(connections[0]).toMatchObject({ text: 'ping', report: { protocol: 'mptcp' } })
    expect(connections[0]!.firstByteAt).toBeLessThan(3000)
  })

  labTest('MPTCP options taken away on the path: TCP through the converter, which says so', async () => {
    await rig.lab.link('wifi').set({ mangle: [{ action: 'strip-mptcp' }] })
    const own = rig.nextPort()
    await rig.converter(own)
    const { connections } = await rig.run(ping({ converters: rig.at(own) }))
    expect(connections[0]).toMatchObject({ text: 'ping', report: { protocol: 'tcp' } })
    expect(connections[0]!.report.fallback).toMatch(/does not speak MPTCP/)
  })
})
