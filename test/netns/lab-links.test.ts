import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { type Lab, type LinkChange, openLab, type Packet } from '../../lib/lab/index.js'
import { result, start, tcpSink, tcpSource, udpCount, udpEcho, udpPing } from '../support/lab-programs.js'
import { pause } from '../support/native-addon.js'
import { all, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'

const labTest = requires('network namespaces', all(root, netns))

const UDP = 17
const quiet: LinkChange = { rateMbps: 0, delayMs: 1, jitterMs: 0, reorder: false, lossPercent: 0, bufferMs: 100 }
const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!

labTest.describe('a link', () => {
  const folder = mkdtempSync(join(tmpdir(), 'atsss-lab-'))
  let lab: Lab
  let gateway: string
  beforeAll(async () => {
    lab = await openLab({ accesses: [{ name: 'wifi', access: 'non-3gpp', link: {} }], ipv6: false })
    gateway = lab.converter.addresses.wifi!.v4
    await start(lab.converter, udpEcho)
  })
  afterAll(async () => {
    await lab?.close()
    rmSync(folder, { recursive: true })
  })
  afterEach(() => lab?.link('wifi').set({ ...quiet, down: false, carrier: true, mangle: [] }))

  /** Which of `count` numbered datagrams come out of the link, in the order in which they do. */
  const arrivals = async (count: number, size = 4, burst = 5): Promise<number[]> => {
    await using capture = await lab.link('wifi').capture(join(folder, 'arrivals.pcap'), { end: 'network' })
    await result(lab.ue, udpCount(gateway, count, { size, burst }))
    await settled()
    const numbers = (await capture.packets()).filter(packet => packet.protocol === UDP)
    return numbers.map(({ bytes }) => Number.parseInt(Buffer.from(bytes.subarray(28)).toString(), 10))
  }

  /** Resolves when nothing is waiting in the link's queues, and what has left them has had time to arrive. */
  const settled = async () => {
    for (;;) {
      const { uplink, downlink } = await lab.link('wifi').stats()
      await pause(20)
      if (uplink.queuedPackets + downlink.queuedPackets === 0) return
    }
  }

  /** For how long each packet was under way, in milliseconds, while `run` does its work. */
  const travelTimes = async (run: () => Promise<unknown>) => {
    const link = lab.link('wifi')
    await using ue = await link.capture(join(folder, 'ue.pcap'))
    await using network = await link.capture(join(folder, 'network.pcap'), { end: 'network' })
    await run()
    await settled()
    const times = (from: Packet[], to: Packet[], source: string) => {
      const sent = new Map(from.map(({ bytes, time }) => [Buffer.from(bytes).toString('hex'), time]))
      const got = to.filter(packet => packet.source === source)
      return got.map(({ bytes, time }) => time - sent.get(Buffer.from(bytes).toString('hex'))!)
    }
    const [near, far] = [await ue.packets(), await network.packets()]
    const sent = near.filter(packet => packet.source === '10.1.0.2').length
    return { sent, uplink: times(near, far, '10.1.0.2'), downlink: times(far, near, gateway) }
  }

  labTest('delays each packet by its delay, in each direction by its own', async () => {
    await lab.link('wifi').set({ uplink: { delayMs: 10 }, downlink: { delayMs: 30 } })
    const { uplink, downlink } = await travelTimes(() => result(lab.ue, udpPing(gateway)))
    for (const [times, delay] of [
      [uplink, 10],
      [downlink, 30],
    ] as const) {
      expect(times).toHaveLength(20)
      expect(Math.min(...times)).toBeGreaterThanOrEqual(delay - 0.01)
      expect(median(times)).toBeLessThan(delay + 5)
    }
  })

  labTest('sends as fast as its rate says', async () => {
    await lab.link('wifi').set({ rateMbps: 50, bufferMs: 500 })
    await using capture = await lab.link('wifi').capture(join(folder, 'rate.pcap'), { end: 'network' })
    await result(lab.ue, udpCount(gateway, 1000, { size: 1222, burst: 1000 })) // 0.2 ms each: 1250 bytes with their headers
    await settled()
    const times = (await capture.packets()).filter(packet => packet.protocol === UDP).map(packet => packet.time)
    expect(times).toHaveLength(1000)
    expect(Math.abs(times.at(-1)! - times[0]! - 999 * 0.2)).toBeLessThan(20)
  })

  labTest('carries the TCP that its rate allows', async () => {
    await lab.link('wifi').set({ rateMbps: 50, delayMs: 10 })
    const sink = await start(lab.converter, tcpSink)
    await result(lab.ue, tcpSource(gateway, 4))
    const megabits = Number(await sink.line())
    // 1448 of 1500 bytes are TCP's payload: 48.3 Mbit/s at most.
    expect(megabits).toBeGreaterThan(40)
    expect(megabits).toBeLessThan(48.4)
  })

  labTest('holds back as long as its buffer says, and drops the rest', async () => {
    const link = lab.link('wifi')
    await link.set({ uplink: { rateMbps: 10, delayMs: 0, bufferMs: 50 } })
    const before = (await link.stats()).uplink
    // 1 ms each: 1250 bytes with their headers
    const burst = udpCount(gateway, 200, { size: 1222, burst: 200 })
    const { sent, uplink } = await travelTimes(() => result(lab.ue, burst))
    const after = (await link.stats()).uplink
    expect(uplink.length).toBeGreaterThanOrEqual(50)
    expect(uplink.length).toBeLessThan(150) // the burst itself takes a while to send
    expect(after.dropped.queue - before.dropped.queue).toBe(sent - uplink.length)
    expect(Math.max(...uplink)).toBeGreaterThan(48)
    expect(Math.max(...uplink)).toBeLessThan(80)
  })

  labTest('loses its share at random, and with the same seed the same packets', async () => {
    const lost = async (seed: number) => {
      await lab.link('wifi').set({ lossPercent: 20, seed })
      return arrivals(1000)
    }
    const first = await lost(7)
    expect(first.length).toBeGreaterThan(750)
    expect(first.length).toBeLessThan(850)
    expect(await lost(7)).toEqual(first)
    expect(await lost(8)).not.toEqual(first)
  })

  labTest('keeps the order in spite of jitter, unless reordering is on', async () => {
    await lab.link('wifi').set({ delayMs: 10, jitterMs: 5 })
    const { uplink } = await travelTimes(() => result(lab.ue, udpCount(gateway, 200, { burst: 1 })))
    const inOrder = Array.from({ length: 200 }, (_, i) => i)
    expect(await arrivals(200, 4, 1)).toEqual(inOrder)
    expect(Math.min(...uplink)).toBeGreaterThanOrEqual(5)
    expect(Math.max(...uplink)).toBeGreaterThan(13)
    await lab.link('wifi').set({ reorder: true })
    const shuffled = await arrivals(200, 4, 1)
    expect(shuffled).not.toEqual(inOrder)
    expect(shuffled.toSorted((a, b) => a - b)).toEqual(inOrder)
  })

  labTest('is a black hole when down: nothing passes, and the UE does not notice', async () => {
    await lab.link('wifi').set({ down: true })
    const before = await lab.link('wifi').stats()
    expect(await result(lab.ue, udpPing(gateway, 2))).toEqual([])
    const after = await lab.link('wifi').stats()
    expect(after.uplink.dropped.down - before.uplink.dropped.down).toBe(2)
    expect(after.uplink.packets).toBe(before.uplink.packets)
    expect((await lab.ue.run('ip', ['link', 'show', 'wifi'])).stdout).toContain('LOWER_UP')
    await lab.link('wifi').set({ down: false })
    expect(await result(lab.ue, udpPing(gateway, 2))).toHaveLength(2)
  })

  labTest('loses the packets in flight when it goes down', async () => {
    await lab.link('wifi').set({ delayMs: 500 })
    await using capture = await lab.link('wifi').capture(join(folder, 'under-way.pcap'))
    const ping = result(lab.ue, udpPing(gateway, 1))
    while ((await capture.packets()).length === 0) await pause(20)
    await lab.link('wifi').set({ down: true })
    await lab.link('wifi').set({ down: false, delayMs: 1 })
    expect(await ping).toEqual([])
  })

  labTest('without carrier the UE’s interface is not running, and nothing passes', async () => {
    const carrier = async () => (await lab.ue.run('cat', ['/sys/class/net/wifi/carrier'])).stdout.trim()
    expect(await carrier()).toBe('1')
    await lab.link('wifi').set({ carrier: false })
    expect(await carrier()).toBe('0')
    const { stdout } = await lab.ue.run('ip', ['link', 'show', 'wifi'])
    expect(stdout).toContain('NO-CARRIER')
    expect(stdout).toContain('state DOWN')
    expect(await result(lab.ue, udpPing(gateway, 1))).toEqual([])
    await lab.link('wifi').set({ carrier: true })
    expect(await carrier()).toBe('1')
    expect(await result(lab.ue, udpPing(gateway, 2))).toHaveLength(2)
  })
})
