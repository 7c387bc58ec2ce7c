import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { type Lab, type Mangling, MPTCP_SUBTYPE, openLab, type Packet } from '../../lib/lab/index.js'
import { mptcpEcho, mptcpHello, result, start } from '../support/lab-programs.js'
import { all, mptcp, mptcpFastOpen, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'

const labTest = requires(
  'network namespaces and MPTCP and Fast Open on MPTCP sockets',
  all(root, netns, mptcp, mptcpFastOpen),
)

const text = (packet: Packet | undefined) => Buffer.from(packet?.tcp?.payload ?? []).toString()
const isSyn = ({ tcp }: Packet) => tcp?.flags.syn === true && !tcp.flags.ack
const isMptcp = ({ tcp }: Packet) => tcp?.mptcp !== undefined

labTest.describe('a middlebox', () => {
  const folder = mkdtempSync(join(tmpdir(), 'atsss-lab-'))
  let lab: Lab
  beforeAll(async () => {
    lab = await openLab()
    await start(lab.converter, mptcpEcho)
  })
  afterAll(async () => {
    await lab?.close()
    rmSync(folder, { recursive: true })
  })
  afterEach(() => lab?.link('wifi').set({ mangle: [] }))

  /** What both ends of the wifi link see of a connection that says hello to the converter in its SYN. */
  const conversation = async (mangle: Mangling[], address = lab.converterAddress.v4) => {
    const link = lab.link('wifi')
    await link.set({ mangle })
    await using ue = await link.capture(join(folder, 'ue.pcap'))
    await using network = await link.capture(join(folder, 'network.pcap'), { end: 'network' })
    expect(await result(lab.ue, mptcpHello(address))).toEqual({ bytes: 5 })
    const sent = await ue.packets()
    const port = sent.find(isSyn)!.tcp!.sourcePort // some packets may still be of the connection before
    const ours = ({ tcp }: Packet) => tcp?.sourcePort === port || tcp?.destinationPort === port
    return { ue: sent.filter(ours), network: (await network.packets()).filter(ours) }
  }

  for (const family of ['v4', 'v6'] as const) {
    labTest(`that does nothing lets a SYN with MP_CAPABLE and data pass (${family})`, async () => {
      const { ue, network } = await conversation([], lab.converterAddress[family])
      for (const [syn] of [ue, network]) {
        expect(isSyn(syn!)).toBe(true)
        expect(syn!.tcp!.mptcp).toEqual({ subtype: MPTCP_SUBTYPE.MP_CAPABLE, version: 1 })
        expect(syn!.tcp!.checksumValid).toBe(true)
        expect(text(syn)).toBe('hello')
      }
      // The SYN+ACK acknowledges the SYN and the five bytes.
      expect(ue[1]!.tcp!.acknowledgment).toBe((ue[0]!.tcp!.sequence + 6) >>> 0)
    })

    labTest(`that strips the data from SYNs (${family})`, async () => {
      const { ue, network } = await conversation([{ action: 'strip-syn-data' }], lab.converterAddress[family])
      expect(text(ue[0])).toBe('hello')
      expect(isSyn(network[0]!)).toBe(true)
      expect(text(network[0])).toBe('')
      expect(network[0]!.tcp!.options).toEqual(ue[0]!.tcp!.options)
      expect(network.every(packet => packet.tcp!.checksumValid)).toBe(true)
      expect(ue[1]!.tcp!.acknowledgment).toBe((ue[0]!.tcp!.sequence + 1) >>> 0)
    })

    labTest(`that strips MPTCP options (${family})`, async () => {
      const { ue, network } = await conversation([{ action: 'strip-mptcp' }], lab.converterAddress[family])
      expect(isMptcp(ue[0]!)).toBe(true)
      expect(network.filter(isMptcp)).toEqual([])
      expect(network.every(packet => packet.tcp!.checksumValid)).toBe(true)
      expect(text(network[0])).toBe('hello')
    })
  }

  labTest('that drops SYNs with data lets the retransmitted one pass, which has none', async () => {
    const { ue, network } = await conversation([{ action: 'drop', match: 'syn-data' }])
    expect(ue.filter(isSyn).map(text)).toEqual(['hello', ''])
    expect(network.filter(isSyn).map(text)).toEqual([''])
    expect(ue[1]!.time - ue[0]!.time).toBeGreaterThan(900)
  })

  labTest('that drops a number of SYNs', async () => {
    const { ue, network } = await conversation([{ action: 'drop', match: 'syn', count: 1 }])
    expect(ue.filter(isSyn)).toHaveLength(2)
    expect(network.filter(isSyn)).toHaveLength(1)
  })

  labTest('that drops SYNs with MP_CAPABLE makes the kernel go back to TCP', async () => {
    const { ue, network } = await conversation([{ action: 'drop', match: 'mp-capable' }])
    expect(ue.filter(isSyn).filter(isMptcp).length).toBeGreaterThanOrEqual(2)
    expect(network.filter(isSyn).map(isMptcp)).toEqual([false])
    // What the kernel remembers of it is not for the next test.
    await lab.ue.sysctl('net.mptcp.blackhole_timeout', 0)
  })
})

labTest.describe('both accesses', () => {
  labTest('carry one MPTCP connection, with a configured kernel path manager', async () => {
    await using lab = await openLab()
    await lab.ue.run('ip', ['mptcp', 'endpoint', 'add', lab.accesses.cell!.address.v4, 'dev', 'cell', 'subflow'])
    await start(lab.converter, mptcpEcho)
    const bytes = 4_000_000
    expect(await result(lab.ue, mptcpHello(lab.converterAddress.v4, { synData: false, more: bytes }))).toEqual({
      bytes: bytes + 5,
    })
    for (const name of ['wifi', 'cell']) {
      const { uplink, downlink } = await lab.link(name).stats()
      // That both carry it is asked here; how much each does is the kernel's scheduler.
      expect(uplink.bytes).toBeGreaterThan(bytes / 40)
      expect(downlink.bytes).toBeGreaterThan(bytes / 40)
    }
  })

  labTest('show the join of the second, unless something drops it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'atsss-lab-'))
    try {
      await using lab = await openLab()
      await lab.ue.run('ip', ['mptcp', 'endpoint', 'add', lab.accesses.cell!.address.v4, 'dev', 'cell', 'subflow'])
      await start(lab.converter, mptcpEcho)
      await using ue = await lab.link('cell').capture(join(folder, 'ue.pcap'))
      await lab.link('cell').set({ uplink: { mangle: [{ action: 'drop', match: 'mp-join' }] } })
      await result(lab.ue, mptcpHello(lab.converterAddress.v4, { more: 1_000_000 }))
      const syns = (await ue.packets()).filter(isSyn)
      expect(syns[0]!.tcp!.mptcp).toEqual({ subtype: MPTCP_SUBTYPE.MP_JOIN })
      expect((await lab.link('cell').stats()).uplink.dropped.mangling).toBe(syns.length)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
