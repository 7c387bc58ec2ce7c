/** TS 29.244 E.2.3, RFC 8803 §5.2: hosts of the data network reach the UE, and an access that goes takes nothing with it. */
import { readFileSync, rmSync, statSync } from 'node:fs'
import { afterEach, beforeEach, expect, onTestFinished } from 'vitest'
import { echoes, IncomingLab, intruder, PORTS, type Talking } from '../support/incoming-lab.js'
import { hashOf, LARGE_PAGE } from '../support/large-page.js'
import { all, mptcpFastOpen, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { asUser, RunningHelper } from '../support/steering-helper.js'

const labTest = requires('network namespaces and Fast Open on MPTCP sockets', all(root, netns, mptcpFastOpen))
const HOST = { v4: '198.51.100.2', v6: '2001:db8:d::2' }
const pause = (milliseconds: number) => new Promise(resolve => setTimeout(resolve, milliseconds))

/** Until a connection has its second subflow: the loop has asked for it, and it is there. */
async function joined(ue: Talking): Promise<void> {
  const created = () => ue.of('action').filter(({ action }) => (action as { do: string }).do === 'create').length
  await expect.poll(created, { timeout: 15_000, interval: 20 }).toBeGreaterThan(0)
  await pause(500)
}

interface Ends {
  error?: string
  received: number
  whole: boolean
  gap: number
}

labTest.describe('a service of the UE', () => {
  let rig: IncomingLab

  // What one test leaves (mappings that nobody else may have, addresses that were silent) is not the next one's.
  beforeEach(async () => {
    rig = await IncomingLab.open()
  })
  afterEach(() => rig?.close())

  labTest('curl opens its page over IPv4 and IPv6; it knows the host; the Connect TLV is in the SYN', async () => {
    // In any spelling they are the converters that connections come from.
    const ue = await rig.ue(['http'], {}, { converters: ['192.0.2.1:5124', '[2001:DB8:C:0::1]:5124'] })
    await rig.reachable(ue, 1)
    for (const [family, url] of [
      ['v4', `http://192.0.2.1:${PORTS.http}/`],
      ['v6', `http://[2001:db8:c::1]:${PORTS.http}/`],
    ] as const) {
      const capture = await rig.lab.link('wifi').capture(`/tmp/incoming-${process.pid}-${family}.pcap`)
      const { stdout } = await rig.curl(url)
      const about = JSON.parse(stdout)
      expect(about).toMatchObject({
        remoteAddress: HOST[family],
        mptcp: {
          protocol: 'mptcp',
          convert: '0rtt',
          interface: 'wifi',
          converter: { address: family === 'v4' ? '192.0.2.1' : '2001:db8:c::1' },
        },
      })
      const packets = await capture.packets()
      await capture.stop()
      const syn = packets.find(({ tcp }) => tcp?.flags.syn && !tcp.flags.ack && tcp.destinationPort === PORTS.http)?.tcp
      expect(syn?.mptcp).toMatchObject({ subtype: 0 })
      // RFC 8803 §6.1, §6.2.5: 6 words of message; Connect, 5 words, the remote host's port.
      expect(Buffer.from(syn!.payload).toString('hex').slice(0, 16)).toBe(
        `010622630a05${about.remotePort.toString(16).padStart(4, '0')}`,
      )
    }
  })

  labTest('https over it, of an ordinary user, without a helper', async () => {
    const ue = await rig.ue(['https'], {}, {}, undefined, asUser(61_001, false))
    await rig.reachable(ue, 1)
    expect(ue.of('degraded')).toMatchObject([{ what: 'level' }])
    const { stdout, stderr } = await rig.curl(`https://192.0.2.1:${PORTS.https}/`, '-k')
    expect(stderr).toBe('')
    expect(JSON.parse(stdout)).toMatchObject({ remoteAddress: HOST.v4 })
  })

  labTest('200 connections at once, each whole', async () => {
    const ue = await rig.ue(['echo'])
    await rig.reachable(ue, 1)
    // Enough to last: their accesses look silent, and clients join while the converter has ended its streams.
    const script = echoes('192.0.2.1', PORTS.echo, { connections: 200, bytes: 50_000 })
    const ends = await rig.run<Ends[]>(rig.lab.server, script)
    expect(ends.filter(end => end.whole)).toHaveLength(200)
    expect(await ue.asks('stats', 'stats')).toMatchObject({ refusals: { echo: {} } })
  })

  labTest(
    'curl fetches a page while its access is cut: not a byte is lost, and the log has the real address',
    async () => {
      const ue = await rig.ue(['http'])
      await rig.reachable(ue, 1)
      const file = `/tmp/incoming-${process.pid}.bin`
      const about = '%{http_code} %{local_port} %{size_download}'
      const fetched = rig.curl(`http://192.0.2.1:${PORTS.http}/large`, '-o', file, '-w', about)
      // 8 MB at 50 Mbit/s.
      await expect
        .poll(() => statSync(file, { throwIfNoEntry: false })?.size ?? 0, { interval: 10, timeout: 15_000 })
        .toBeGreaterThan(1e6)
      await rig.lab.link('wifi').set({ carrier: false })
      const size = statSync(file).size
      const { stdout, stderr } = await fetched
      const [code, port, received] = stdout.split(' ')
      expect({ stderr, code, received }).toEqual({ stderr: '', code: '200', received: '8000000' })
      expect(size).toBeLessThan(8_000_000)
      expect(hashOf(readFileSync(file))).toBe(hashOf(LARGE_PAGE))
      rmSync(file)
      expect(ue.of('request')).toMatchObject([{ url: '/large', remoteAddress: HOST.v4, remotePort: Number(port) }])
      expect((await ue.asks('stats', 'stats')).handovers).toBeGreaterThanOrEqual(1)
    },
  )

  labTest('of an ordinary user, through the steering helper: the second access is joined, and takes over', async () => {
    const helper = await RunningHelper.start(rig.lab.ue)
    onTestFinished(() => helper.stop())
    const ue = await rig.ue(['echo'], {}, { helper: helper.path }, undefined, asUser(61_001))
    await rig.reachable(ue, 1)
    const script = echoes('192.0.2.1', PORTS.echo, { connections: 3, bytes: 1_000_000, pace: 15 })
    const running = rig.run<Ends[]>(rig.lab.server, script)
    await joined(ue)
    await rig.lab.link('wifi').set({ carrier: false })
    for (const end of await running) expect(end).toMatchObject({ received: 1_000_000, whole: true })
    expect(ue.of('degraded')).toEqual([])
    expect((await ue.asks('stats', 'stats')).handovers).toBeGreaterThanOrEqual(1)
  })

  for (const [name, family, lose] of [
    ['its carrier', 'v4', { carrier: false }],
    ['without a word', 'v6', { down: true }],
  ] as const)
    labTest(`an access is lost (${name}) in the middle of a stream, and comes back: nothing else is`, async () => {
      const ue = await rig.ue(['echo'])
      await rig.reachable(ue, 1)
      const address = family === 'v4' ? '192.0.2.1' : '2001:db8:c::1'
      // With timestamps an IPv6 address and a port to join at do not fit into the TCP options (ADD_ADDR: 30 bytes of 28).
      if (family === 'v6') await rig.lab.converter.sysctl('net.ipv4.tcp_timestamps', 0)
      const script = echoes(address, PORTS.echo, { bytes: 4_000_000, pace: 15 })
      const running = rig.run<Ends[]>(rig.lab.server, script)
      await joined(ue)
      await rig.lab.link('wifi').set(lose)
      const overCell = async () => (await rig.lab.link('cell').stats()).uplink.bytes
      const before = await overCell()
      await expect.poll(overCell, { timeout: 10_000 }).toBeGreaterThan(before + 200_000)
      await rig.lab.link('wifi').set({ carrier: true, down: false })
      const [end] = await running
      console.log(`access lost, ${name}: the longest gap was ${end!.gap} ms`)
      expect(end).toMatchObject({ received: 4_000_000, whole: true })
      expect((await ue.asks('stats', 'stats')).handovers).toBeGreaterThanOrEqual(1)
    })

  labTest(
    "a converter that sends no data in SYNs (tcp_fastopen's bit 1): one round trip more, and no other loss",
    async () => {
      await rig.lab.converter.sysctl('net.ipv4.tcp_fastopen', 2)
      const ue = await rig.ue(['http', 'echo'])
      await rig.reachable(ue, 2)
      const page = async () => JSON.parse((await rig.curl(`http://192.0.2.1:${PORTS.http}/`)).stdout)
      const behind = { remoteAddress: HOST.v4, mptcp: { protocol: 'mptcp', convert: '1rtt', interface: 'wifi' } }
      expect(await page()).toMatchObject(behind)
      expect(await page()).toMatchObject(behind)
      expect(rig.converter.of('degraded')).toMatchObject([
        { what: 'fast-open', remedy: expect.stringContaining('sysctl -w net.ipv4.tcp_fastopen=3') },
      ])
      // The connection can have a second subflow: a socket on which the kernel refused Fast Open cannot.
      const script = echoes('192.0.2.1', PORTS.echo, { bytes: 2_000_000, pace: 15 })
      const running = rig.run<Ends[]>(rig.lab.server, script)
      await pause(1000)
      await rig.lab.link('wifi').set({ carrier: false })
      expect((await running)[0]).toMatchObject({ received: 2_000_000, whole: true })
      expect((await ue.asks('stats', 'stats')).handovers).toBeGreaterThanOrEqual(1)
    },
  )

  labTest('an access is lost: new connections come over the other one at once', async () => {
    const ue = await rig.ue(['http'])
    await rig.reachable(ue, 1)
    await rig.lab.link('wifi').set({ carrier: false })
    await pause(500)
    const { stdout } = await rig.curl(`http://192.0.2.1:${PORTS.http}/`)
    expect(JSON.parse(stdout).mptcp).toMatchObject({ interface: 'cell', protocol: 'mptcp' })
    expect(ue.of('mapping').filter(({ change }) => change === 'lost')).toEqual([])
    // Of which nobody is told, too: the converter tries the other address.
    await rig.lab.link('wifi').set({ carrier: true, down: true })
    await pause(500)
    const { stdout: again } = await rig.curl(`http://192.0.2.1:${PORTS.http}/`)
    expect(JSON.parse(again).mptcp).toMatchObject({ interface: 'cell' })
  })

  labTest('under the rule that matches the remote host: on its access; or, without any, refused', async () => {
    const over = (active: string, standby: string) => ({ steerModeValue: 'ACTIVE_STANDBY', active, standby })
    const rules = [
      {
        ...{ precedence: 1, trafficDescriptor: { remoteAddresses: ['198.51.100.0/24'] } },
        steeringMode: over('3GPP_ACCESS', 'NON_3GPP_ACCESS'),
      },
      {
        ...{ precedence: 2, trafficDescriptor: { remoteAddresses: ['203.0.113.0/24'] } },
        steeringMode: over('NON_3GPP_ACCESS', '3GPP_ACCESS'),
      },
    ]
    const ue = await rig.ue(['echo', 'http'], {}, { rules, unmatched: 'refuse' })
    await rig.reachable(ue, 2)
    // Connections begin over the access of the last rule. This one's is the other.
    const bytes = async () => ({
      wifi: (await rig.lab.link('wifi').stats()).uplink.bytes,
      cell: (await rig.lab.link('cell').stats()).uplink.bytes,
    })
    const { stdout } = await rig.curl(`http://192.0.2.1:${PORTS.http}/`)
    expect(JSON.parse(stdout).mptcp).toMatchObject({ interface: 'wifi' })
    const before = await bytes()
    const [end] = await rig.run<Ends[]>(rig.lab.server, echoes('192.0.2.1', PORTS.echo, { bytes: 2_000_000, pace: 10 }))
    const after = await bytes()
    expect(end).toMatchObject({ received: 2_000_000, whole: true })
    expect(after.cell - before.cell).toBeGreaterThan(2 * (after.wifi - before.wifi))
    const { stderr } = await rig.curl(`http://[2001:db8:c::1]:${PORTS.http}/`)
    expect(stderr).toMatch(/reset by peer|Empty reply/)
    expect(ue.of('refused')).toMatchObject([{ name: 'http', why: 'by-rule', address: HOST.v6 }])
  })

  labTest(
    'peers that are not converters, are silent, or send garbage or false addresses are reset; other connections are not affected',
    async () => {
      const ue = await rig.ue(['echo'], { messageTimeout: 500 })
      await rig.reachable(ue, 1)
      const honest = rig.run<Ends[]>(rig.lab.server, echoes('192.0.2.1', PORTS.echo, { bytes: 1_000_000, pace: 20 }))
      const wifi = rig.lab.accesses.wifi!.address.v4
      const connect = (address: string, port = '01bb') => `010622630a05${port}${address}`
      const mapped = (tail: string) => `00000000000000000000ffff${tail}`
      for (const [from, host, bytes, why] of [
        [HOST.v4, rig.lab.server, connect(mapped('c6336402')), 'wrong-source'],
        ['192.0.2.1', rig.lab.converter, Buffer.from('GET / HTTP/1.1\r\n').toString('hex'), 'not-convert'],
        ['192.0.2.1', rig.lab.converter, '01022263 01010000'.replaceAll(' ', ''), 'not-convert'],
        ['192.0.2.1', rig.lab.converter, connect(mapped('7f000001')), 'forbidden-address'],
        ['192.0.2.1', rig.lab.converter, connect(mapped('e0000001')), 'forbidden-address'],
        ['192.0.2.1', rig.lab.converter, connect(mapped('c6336402'), '0000'), 'forbidden-address'],
        ['192.0.2.1', rig.lab.converter, '0106', 'timeout'],
      ] as const) {
        const before = ue.of('refused').length
        const { how, heard } = await rig.run<{ how: string; heard: string }>(
          host,
          intruder(from, wifi, PORTS.echo, bytes),
        )
        expect({ how, heard, why }).toEqual({ how: 'ECONNRESET', heard: '', why })
        expect(await ue.heard('refused', before + 1)).toMatchObject({ why, address: from })
      }
      expect(await honest).toMatchObject([{ received: 1_000_000, whole: true }])
      expect(await ue.asks('stats', 'stats')).toMatchObject({
        refusals: { echo: { 'wrong-source': 1, 'not-convert': 2, 'forbidden-address': 3, timeout: 1 } },
      })
    },
  )

  labTest('the converter restarts and forgets: it announces it, and is asked for the same again', async () => {
    const ue = await rig.ue(['http'])
    await rig.reachable(ue, 1)
    // A server that restarts within two seconds of its start cannot be told from one that has not (RFC 6887 §8.5).
    await pause(4000)
    await rig.converter.stop()
    await rig.startConverter()
    expect(rig.converter.of('mapping')).toEqual([])
    // Within 5 s of an announcement (RFC 6887 §14.1.3), instead of the hour to the next renewal.
    await rig.converter.heard('mapping', 2, 20_000)
    await pause(300)
    const { stdout } = await rig.curl(`http://192.0.2.1:${PORTS.http}/`)
    expect(JSON.parse(stdout)).toMatchObject({ remoteAddress: HOST.v4 })
    expect(ue.of('mapping').map(({ change }) => change)).toEqual(['made', 'made'])
  })

  labTest(
    'the network moves its converter: the service is reached through the new one, and the old mapping is deleted',
    async () => {
      /** TS 24.193 §6.1.4: no addresses of the UE are IPv4 0.0.0.0; one proxy, IPv4, at port 5124 (0x1404), a Transport Converter. */
      const at = (address: string) => `02 0013 01 00000000 01 00000000 08 01 ${address} 1404 01`.replaceAll(' ', '')
      await rig.lab.converter.run('ip', ['address', 'add', '192.0.2.3/32', 'dev', 'lo'])
      const other = await rig.spawnConverter(['192.0.2.3:5124'])
      const page = async (address: string) => (await rig.curl(`http://${address}:${PORTS.http}/`, '-m', '2')).stdout
      try {
        const ue = await rig.ue(['http'], {}, { converters: 'network' }, at('c0000201'))
        await ue.heard('mapping')
        await pause(300)
        expect(JSON.parse(await page('192.0.2.1'))).toMatchObject({ remoteAddress: HOST.v4 })
        const ended = rig.converter.of('mapping').filter(({ change }) => change === 'ended').length
        ue.child.stdin.write(`update ${at('c0000203')}\n`)
        await other.heard('mapping')
        await pause(300)
        expect(JSON.parse(await page('192.0.2.3'))).toMatchObject({ remoteAddress: HOST.v4 })
        await expect
          .poll(() => rig.converter.of('mapping').filter(({ change }) => change === 'ended').length, {
            timeout: 15_000,
          })
          .toBe(ended + 1)
        expect(await page('192.0.2.1')).toBe('')
        const { externals } = (await ue.asks('stats', 'stats')) as unknown as { externals: Record<string, object[]> }
        expect(externals.http).toMatchObject([{ address: '192.0.2.3', port: PORTS.http }])
        await ue.asks('close', 'closed')
      } finally {
        await other.stop()
        await rig.lab.converter.run('ip', ['address', 'del', '192.0.2.3/32', 'dev', 'lo'])
      }
    },
  )

  labTest('closed: the mapping is deleted, and its port no longer answers', async () => {
    const ue = await rig.ue(['http'])
    await rig.reachable(ue, 1)
    const ended = rig.converter.of('mapping').filter(({ change }) => change === 'ended').length
    await ue.asks('close', 'closed')
    await expect
      .poll(() => rig.converter.of('mapping').filter(({ change }) => change === 'ended').length, { timeout: 15_000 })
      .toBe(ended + 2)
    const { stderr } = await rig.curl(`http://192.0.2.1:${PORTS.http}/`, '-m', '1')
    expect(stderr).toContain('timed out')
  })

  labTest('filters: other hosts get no answer', async () => {
    const ue = await rig.ue(['http'], {
      filters: [{ address: '198.51.100.3' }, { address: '2001:db8:d::', prefixLength: 64 }],
    })
    await rig.reachable(ue, 1)
    const { stderr } = await rig.curl(`http://192.0.2.1:${PORTS.http}/`, '-m', '1')
    expect(stderr).toContain('timed out')
    const { stdout } = await rig.curl(`http://[2001:db8:c::1]:${PORTS.http}/`)
    expect(JSON.parse(stdout)).toMatchObject({ remoteAddress: HOST.v6 })
  })

  labTest('the default routers as PCP servers: one on each access, each with a mapping', async () => {
    await rig.converter.stop()
    await rig.startConverter('--pcp-listen', '10.1.0.1', '--pcp-listen', '10.2.0.1')
    const ue = await rig.ue(['http'], { pcpServers: 'routers' })
    await ue.heard('mapping', 2)
    const { externals } = await ue.asks('stats', 'stats')
    expect(externals).toMatchObject({ http: [{ address: '192.0.2.1' }, { address: '192.0.2.1' }] })
    const ports = (externals as { http: { port: number }[] }).http.map(({ port }) => port)
    expect(new Set(ports).size).toBe(2)
  })
})
