/** What the sampler says of subflows over links that are known. */
import { afterAll, beforeAll, expect } from 'vitest'
import { type Lab, openLab } from '../../lib/lab/index.js'
import { compiled } from '../support/compiled.js'
import { Program } from '../support/convert-lab.js'
import { pause } from '../support/native-addon.js'
import { all, byteCounters, linux, mptcp, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { traffic, Ue } from '../support/ue.js'
import { FLOOD, SINK } from './programs/server.js'

const samplerTest = requires('MPTCP in network namespaces', all(root, netns, mptcp))
const keepsInterface = linux('6.9', 'SUBFLOW_CREATE drops the interface')
const boundTest = requires(
  'subflows bound to interfaces, in network namespaces',
  all(root, netns, mptcp, keepsInterface),
)

samplerTest.describe('the sampler', () => {
  let lab: Lab
  let ue: Ue
  let fd: number
  beforeAll(async () => {
    lab = await openLab({
      accesses: [
        { name: 'wifi', access: 'non-3gpp', link: { rateMbps: 20, delayMs: 10, bufferMs: 50 } },
        { name: 'cell', access: '3gpp', link: { rateMbps: 10, delayMs: 30, bufferMs: 50 } },
      ],
    })
    await lab.ue.sysctl('net.mptcp.pm_type', 1)
    await lab.converter.run('ip', ['mptcp', 'limits', 'set', 'subflow', '8', 'add_addr_accepted', '8'])
    await new Program(lab.converter.spawn(process.execPath, [compiled('test/netns/programs/server.ts'), 'run'])).event(
      'ready',
    )
    ue = await Ue.start(lab.ue)
    const connected = await ue.call('connect', '192.0.2.1', SINK, 'wifi')
    fd = connected.fd
    await ue.call('write', fd, 'x')
    await pause(200)
    const { links } = await ue.call('network')
    const interfaceIndex = links.find(({ name }) => name === 'cell')!.index
    await ue.call('createSubflow', {
      token: connected.token!,
      localId: 2,
      local: { address: '10.2.0.2', interfaceIndex },
      remote: { address: '192.0.2.1', port: SINK },
    })
    await pause(400)
  })
  afterAll(() => lab?.close())

  const sample = async () => (await ue.call('sample', fd))[0]!

  boundTest('knows the round trip times of idle subflows', async () => {
    const [wifi, cell] = (await sample()).subflows
    expect(wifi!.minRtt).toBeGreaterThan(19_900)
    expect(wifi!.minRtt).toBeLessThan(40_000)
    expect(cell!.minRtt).toBeGreaterThan(59_900)
    expect(cell!.minRtt).toBeLessThan(90_000)
    expect((await sample()).errno).toBe(0)
    if (byteCounters() === undefined)
      expect(await sample()).toMatchObject({ outstanding: 0, bytesSent: 1, bytesAcked: 1 })
  })

  requires("MPTCP's counters of bytes in network namespaces", all(root, netns, byteCounters, keepsInterface))(
    'counts on each subflow what its link carries, and on the connection what the peer has',
    async () => {
      const bytes = traffic(lab)
      await ue.call('flood', fd)
      await pause(1000)
      await bytes()
      const before = await sample()
      await pause(1500)
      const after = await sample()
      const { wifi, cell } = await bytes()
      const grown = after.subflows.map((subflow, i) => subflow.bytesAcked - before.subflows[i]!.bytesAcked)
      for (const [acked, carried] of [
        [grown[0]!, wifi!.uplink],
        [grown[1]!, cell!.uplink],
      ] as const) {
        // Looked at one after the other, on a machine that may be busy.
        expect(acked / carried).toBeGreaterThan(0.7)
        expect(acked / carried).toBeLessThan(1.3)
      }
      const acked = after.bytesAcked! - before.bytesAcked!
      expect(acked / (grown[0]! + grown[1]!)).toBeGreaterThan(0.7)
      expect(acked / (grown[0]! + grown[1]!)).toBeLessThan(1.3)
      expect(after.outstanding).toBeGreaterThan(0)
      expect(after.subflows[0]!.deliveryRate).toBeGreaterThan(20e6 / 8 / 4)
    },
  )

  samplerTest('a download: its segments, and a round trip that contains the queue of the link', async () => {
    const { fd: download } = await ue.call('connect', '192.0.2.1', FLOOD, 'wifi')
    await ue.call('write', download, 'x')
    await pause(300)
    const sampled = async () => (await ue.call('sample', download))[0]!.subflows[0]!
    const before = await sampled()
    await pause(1500)
    const after = await sampled()
    await ue.call('close', download)
    const segments = after.dataSegsIn! - before.dataSegsIn!
    const bytes = after.bytesReceived - before.bytesReceived
    // A segment carries at most 1460 bytes; the kernel counts those that it has merged one by one.
    expect(segments).toBeGreaterThanOrEqual(bytes / 1460)
    expect(segments).toBeLessThan((2 * bytes) / 1460)
    // The queue holds 50 ms; the link itself takes 20 ms there and back, which is all that the sender's own estimate shows.
    expect(after.receiveRtt).toBeGreaterThan(20_000)
    expect(after.receiveRtt).toBeLessThan(300_000)
    expect(after.rtt).toBeLessThan(after.receiveRtt!)
    expect(after.outOfOrder).toBeGreaterThanOrEqual(0)
  })

  boundTest('a black hole: silence, segments in flight, timeouts', async () => {
    await lab.link('wifi').set({ down: true })
    await pause(1500)
    const { subflows } = await sample()
    const [wifi, cell] = subflows
    expect(wifi!.lastAckRecv).toBeGreaterThan(1000)
    expect(wifi!.retransmits).toBeGreaterThan(0)
    expect(wifi!.unacked).toBeGreaterThan(0)
    expect(cell!.lastAckRecv).toBeLessThan(1000)
    const acked = wifi!.bytesAcked
    await pause(300)
    expect((await sample()).subflows[0]!.bytesAcked).toBe(acked)
    await lab.link('wifi').set({ down: false })
  })

  samplerTest('the same ids and ports as the addresses have', async () => {
    const { subflows } = await sample()
    const addresses = await ue.call('subflowAddresses', fd)
    expect(subflows.map(({ id, localPort }) => [id, localPort])).toEqual(
      addresses.map(({ id, local }) => [id, local.port]),
    )
    expect(addresses.map(({ local }) => local.address)).toEqual(['10.1.0.2', '10.2.0.2'])
  })
})
