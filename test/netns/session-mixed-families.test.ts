/**
 * Networks as devices have them: one access with IPv4 only, the other with IPv6 only. A connection uses both, whichever it began on;
 * a converter that is known by its IPv4 address only is reached over IPv6 by the network's translator (NAT64).
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, onTestFinished } from 'vitest'
import { pause } from '../support/native-addon.js'
import { all, linux, mptcp, mptcpFastOpen, mptcpOverIpv6, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { RULES, SessionLab, type SessionUe } from '../support/session-lab.js'
import { asUser, RunningHelper } from '../support/steering-helper.js'

const labTest = requires(
  'MPTCP and Fast Open on MPTCP sockets, in network namespaces with IPv6',
  all(root, netns, mptcp, mptcpFastOpen, mptcpOverIpv6),
)

/** 64:ff9b::/96 (RFC 6052 §2.1) with the converter's address, 192.0.2.1. */
const TRANSLATED = '64:ff9b::c000:201'

labTest.describe('one access with IPv4 only, the other with IPv6 only', () => {
  let rig: SessionLab
  beforeAll(async () => {
    rig = await SessionLab.open()
  })
  afterEach(() => rig?.reset())
  afterAll(() => rig?.close())

  /** Leaves each access the addresses of one family. */
  async function families(of: { wifi: 4 | 6; cell: 4 | 6 }) {
    for (const name of ['wifi', 'cell'] as const) {
      const { v4, v6 } = rig.lab.accesses[name]!.address
      const gateway = rig.lab.converter.addresses[name]!
      const metric = name === 'wifi' ? '100' : '200'
      await ip('addr', 'flush', 'dev', name, 'scope', 'global')
      if (of[name] === 4) await ip('addr', 'add', `${v4}/24`, 'dev', name)
      else await ip('addr', 'add', `${v6}/64`, 'dev', name, 'nodad')
      const via = of[name] === 4 ? gateway.v4 : gateway.v6!
      await ip(of[name] === 4 ? '-4' : '-6', 'route', 'replace', 'default', 'via', via, 'dev', name, 'metric', metric)
    }
  }
  async function ip(...args: string[]) {
    const { code, stderr } = await rig.lab.ue.run('ip', args)
    if (code !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
  }
  /** The converter by its addresses of both families. */
  const both = () => ({ host: [rig.lab.converterAddress.v4, rig.lab.converterAddress.v6!], port: rig.port })

  for (const [wifi, cell, who] of [
    [4, 6, 'with the capability'],
    [6, 4, 'of an ordinary user, through the steering helper'],
  ] as const)
    labTest(`IPv${wifi} Wi-Fi and IPv${cell} cellular, ${who}: 0-RTT, handover and return`, async () => {
      await families({ wifi, cell })
      const options = { rules: RULES.wifiThenCell, converters: both() }
      let ue: SessionUe
      if (who === 'with the capability') ue = await rig.ue(options)
      else {
        const helper = await RunningHelper.start(rig.lab.ue)
        onTestFinished(() => helper.stop())
        ue = await rig.ue({ ...options, helper: helper.path }, asUser(61_001))
        expect(await ue.call('ready')).toEqual({ level: 'userspace', helper: helper.path })
      }
      await ue.sparse().then(({ number }) => ue.whole(number)) // what the converter takes is known then
      const { number, ...got } = await ue.sparse()
      expect(got).toMatchObject({ interface: 'wifi', protocol: 'mptcp', convert: '0rtt' })
      const ipv4 = { remoteAddress: rig.lab.serverAddress.v4, remoteFamily: 'IPv4' }
      expect(got.shown).toMatchObject(ipv4)
      const { v4, v6 } = rig.lab.accesses.wifi!.address
      const local = wifi === 4 ? { localAddress: v4, localFamily: 'IPv4' } : { localAddress: v6, localFamily: 'IPv6' }
      expect(got.shown).toMatchObject(local)
      expect(got.shown.address).toMatchObject({ address: local.localAddress, family: local.localFamily })
      await pause(500)
      await rig.lab.link('wifi').set({ carrier: false })
      await ue.until('non-3gpp', false)
      await ue.call('gap', number)
      await pause(500)
      const { received } = await ue.call('gap', number)
      const during = await rig.shares(500)
      expect(during.cell).toBeGreaterThan(2_000)
      expect((await ue.call('gap', number)).received).toBeGreaterThan(received)
      await rig.lab.link('wifi').set({ carrier: true })
      await ue.until('non-3gpp', true)
      await expect
        .poll(async () => (await rig.shares(300)).cellShare, { timeout: 10_000, interval: 10 })
        .toBeLessThan(0.02)
      await ue.whole(number)
      expect(ue.degraded()).toEqual([])
    })

  labTest('both at once, and the first connection over cellular', async () => {
    await families({ wifi: 4, cell: 6 })
    const rules = RULES.divided(50).map(rule => ({ ...rule, socket: { congestion: 'reno' } }))
    const ue = await rig.ue({ rules, converters: both() })
    const streams = [await ue.bulk(), await ue.bulk()]
    const sockets = async () => (await rig.lab.ue.run('ss', ['-tinH', 'state', 'established'])).stdout
    // Of all subflows: two of each connection.
    const ofReno = async () => (await sockets()).match(/\breno\b/g)?.length
    await expect.poll(ofReno, { timeout: 10_000 }).toBeGreaterThanOrEqual(4)
    expect(await sockets()).not.toMatch(/\bcubic\b/)
    await pause(1_000)
    const { cellShare } = await rig.shares(2_000)
    expect(cellShare).toBeGreaterThan(0.3)
    expect(cellShare).toBeLessThan(0.7)
    for (const { number } of streams) await ue.whole(number)
  })

  labTest(
    'a converter with an IPv4 address only, over IPv6-only cellular: by NAT64, or the session says why not',
    async () => {
      await families({ wifi: 4, cell: 6 })
      const at = rig.convert.at(rig.port)
      const without = await rig.ue({ rules: RULES.wifiThenCell, converters: at })
      const alone = await without.sparse()
      await expect.poll(() => without.degraded(), { timeout: 10_000 }).toMatchObject([{ what: 'peer' }])
      const [said] = without.degraded()
      expect(said!.message).toMatch(/No handover to 3gpp .*3gpp has no IPv4, .*192\.0\.2\.1 is known.*NAT64/)
      expect(await without.call('unjoined', alone.number)).toBe(said!.message)
      await without.whole(alone.number)

      // A translator is its prefix: here the converter's host has the translated address itself.
      await rig.lab.converter.run('ip', ['addr', 'add', `${TRANSLATED}/128`, 'dev', 'lo', 'nodad'])
      const translated = await rig.convert.converter(rig.convert.nextPort(), '--listen', `[${TRANSLATED}]:${rig.port}`)
      const folder = `/etc/netns/${rig.lab.ue.name}`
      mkdirSync(folder, { recursive: true })
      const nameServer = rig.lab.ue.spawn(process.execPath, ['-e', DNS64])
      try {
        writeFileSync(`${folder}/resolv.conf`, 'nameserver 127.0.0.1\n')
        const ue = await rig.ue({ rules: RULES.wifiThenCell, converters: at })
        const { number, ...first } = await ue.sparse()
        expect(first).toMatchObject({ interface: 'wifi', protocol: 'mptcp' })
        await pause(500)
        await rig.lab.link('wifi').set({ carrier: false })
        await ue.until('non-3gpp', false)
        await expect.poll(async () => (await rig.shares(300)).cell, { timeout: 10_000 }).toBeGreaterThan(2_000)
        // The next one begins over cellular, and everything shows the converter and the server as they are.
        const next = await ue.sparse()
        expect(next).toMatchObject({ interface: 'cell', protocol: 'mptcp' })
        expect(next.shown).toMatchObject({ remoteAddress: rig.lab.serverAddress.v4, remoteFamily: 'IPv4' })
        await ue.whole(next.number)
        await ue.whole(number)
        expect(ue.degraded()).toEqual([])
      } finally {
        nameServer.kill('SIGKILL')
        await translated.stop()
        rmSync(folder, { recursive: true })
      }
    },
  )
})

/** The C flag is in the events of new connections since then. */
const sayTest = requires(
  'MPTCP in network namespaces, and the C flag in events',
  all(root, netns, mptcp, linux('6.12.57', 'the events of new connections have no C flag')),
)

sayTest.describe('what the peer says of its addresses is obeyed (RFC 8684)', () => {
  let rig: SessionLab
  const folder = mkdtempSync(join(tmpdir(), 'atsss-'))
  beforeAll(async () => {
    rig = await SessionLab.open()
    for (const host of [rig.lab.converter, rig.lab.server])
      await host.sysctl('net.mptcp.allow_join_initial_addr_port', 0)
  })
  afterEach(() => rig?.reset())
  afterAll(async () => {
    await rig?.close()
    rmSync(folder, { recursive: true })
  })

  const ip = async (host: 'converter' | 'server', ...args: string[]) => {
    const { code, stderr } = await rig.lab[host].run('ip', args)
    if (code !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
  }
  /** Where joins went over cellular while `during` ran: `address port`, each once. */
  async function joinedWhile(during: () => Promise<void>): Promise<string[]> {
    const capture = await rig.lab.link('cell').capture(join(folder, 'cell.pcap'))
    await during()
    const syns = (await capture.packets()).filter(({ tcp }) => tcp?.flags.syn && !tcp.flags.ack)
    await capture.stop()
    return [...new Set(syns.map(({ destination, tcp }) => `${destination} ${tcp!.destinationPort}`))]
  }

  sayTest('a direct server: no join to the initial address; the announced one, at the same port', async () => {
    const direct = { rules: RULES.wifiThenCell, converters: [] }
    const silent = await rig.ue(direct)
    const alone = await silent.sparse()
    const before = await joinedWhile(async () => {
      await expect.poll(() => silent.degraded(), { timeout: 30_000 }).toMatchObject([{ what: 'peer' }])
    })
    expect(before).toEqual([])
    expect(silent.degraded()[0]!.message).toContain('RFC 8684 §3.1')
    await silent.whole(alone.number)

    await ip('server', 'addr', 'add', '198.51.100.7/32', 'dev', 'lo')
    await ip('converter', 'route', 'add', '198.51.100.7/32', 'via', rig.lab.serverAddress.v4)
    await ip('server', 'mptcp', 'endpoint', 'add', '198.51.100.7', 'id', '7', 'signal')
    const ue = await rig.ue(direct)
    const joined = await joinedWhile(async () => {
      const { number } = await ue.sparse()
      await expect.poll(() => ue.actions('create').length, { timeout: 5_000 }).toBeGreaterThan(0)
      await pause(300)
      await rig.lab.link('wifi').set({ carrier: false })
      await ue.until('non-3gpp', false)
      await expect.poll(async () => (await rig.shares(300)).cell, { timeout: 10_000 }).toBeGreaterThan(2_000)
      await ue.whole(number)
    })
    expect(joined).toEqual(['198.51.100.7 7'])
    expect(ue.degraded()).toEqual([])
  })

  sayTest('a converter: the announced address and port; once that is withdrawn, none', async () => {
    await ip('converter', 'addr', 'add', '192.0.2.7/32', 'dev', 'lo')
    await ip('converter', 'mptcp', 'endpoint', 'add', '192.0.2.7', 'id', '9', 'signal', 'port', '8443')
    const ue = await rig.ue({ rules: RULES.wifiThenCell })
    const { number } = await ue.sparse()
    const joined = await joinedWhile(async () => {
      await expect.poll(() => ue.actions('create').length, { timeout: 5_000 }).toBeGreaterThan(0)
      await pause(500)
    })
    expect(joined.filter(place => place !== '192.0.2.7 8443')).toEqual([])
    await ip('converter', 'mptcp', 'endpoint', 'delete', 'id', '9')
    const after = await joinedWhile(async () => {
      await expect.poll(() => ue.degraded(), { timeout: 30_000 }).toMatchObject([{ what: 'peer' }])
    })
    expect(after).toEqual([])
    await ue.whole(number)
  })
})

/** A name server of a network with NAT64, on loopback: AAAA of ipv4only.arpa is 64:ff9b::192.0.0.170. */
const DNS64 = `
  const socket = require('dgram').createSocket('udp4')
  socket.on('message', (query, from) => {
    const end = query.indexOf(0, 12) + 5
    const isIt = query.readUInt16BE(end - 4) === 28 && query.toString('latin1', 12, end).includes('ipv4only')
    const address = Buffer.from('0064ff9b0000000000000000c00000aa', 'hex')
    const record = isIt ? Buffer.concat([Buffer.of(0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 60, 0, 16), address]) : Buffer.alloc(0)
    const header = Buffer.concat([query.subarray(0, 2), Buffer.of(0x81, 0x80, 0, 1, 0, isIt ? 1 : 0, 0, 0, 0, 0)])
    socket.send(Buffer.concat([header, query.subarray(12, end), record]), from.port, from.address)
  })
  socket.bind(53, '127.0.0.1')`
