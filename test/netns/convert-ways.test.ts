/** Which way a connection takes: address families, interfaces, and a UE without MPTCP. */
import { afterAll, beforeAll, expect } from 'vitest'
import { ConvertLab, expectNoLeak, isSyn } from '../support/convert-lab.js'
import { all, mptcpFastOpen, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import type { Task } from './programs/client.js'
import { ECHO } from './programs/server.js'

const labTest = requires('network namespaces and Fast Open on MPTCP sockets', all(root, netns, mptcpFastOpen))

labTest.describe('a connection', () => {
  let rig: ConvertLab
  let port: number
  const ping = (options: Partial<Task['connect']> = {}): Task => ({
    connect: { host: rig.lab.serverAddress.v4, port: ECHO, converters: rig.at(port), ...options } as Task['connect'],
    write: 'ping',
    until: 4,
  })

  beforeAll(async () => {
    rig = await ConvertLab.open({
      accesses: [
        { name: 'wifi', access: 'non-3gpp', link: { delayMs: 10 } },
        { name: 'cell', access: '3gpp', link: { delayMs: 30 } },
      ],
    })
    port = rig.nextPort()
    await rig.converter(port)
  })
  afterAll(() => rig?.close())

  for (const [converterFamily, host, remoteAddress] of [
    [4, 'v4', '198.51.100.2'],
    [6, 'v6', '2001:db8:d::2'],
    [6, 'v4', '198.51.100.2'],
    [4, 'v6', '2001:db8:d::2'],
    [4, 'mapped', '::ffff:198.51.100.2'],
    [6, 'mapped', '::ffff:198.51.100.2'],
  ] as const)
    labTest(`to an address ${host} through a converter at IPv${converterFamily}`, async () => {
      const destination = host === 'mapped' ? `::ffff:${rig.lab.serverAddress.v4}` : rig.lab.serverAddress[host]!
      const [{ connections }, packets] = await rig.captured(() =>
        rig.run(ping({ host: destination, converters: rig.at(port, converterFamily) })),
      )
      expect(connections[0]).toMatchObject({
        text: 'ping',
        remoteAddress,
        report: { protocol: 'mptcp', convert: '0rtt', synDataAccepted: true, attempts: 1 },
      })
      const [syn] = packets.filter(isSyn)
      expect(syn!.version).toBe(converterFamily)
      // The Remote Peer IP Address: 128 bits, an IPv4 one mapped (RFC 8803 §6.2.5).
      const target = Buffer.from(syn!.tcp!.payload.subarray(8, 24)).toString('hex')
      expect(target).toBe(
        remoteAddress.startsWith('2001') ? '20010db8000d00000000000000000002' : '00000000000000000000ffffc6336402',
      )
    })

  labTest('direct, to either family', async () => {
    const { v4, v6 } = rig.lab.serverAddress
    const { connections } = await rig.run(...[v4, v6!, `::ffff:${v4}`].map(host => ping({ host, converters: [] })))
    expect(connections.map(({ text, report }) => [text, report.protocol])).toEqual(Array(3).fill(['ping', 'mptcp']))
  })

  for (const [name, other] of [
    ['wifi', 'cell'],
    ['cell', 'wifi'],
  ] as const)
    labTest(`leaves through ${name} when bound to it, whatever the routing table prefers`, async () => {
      for (const family of [4, 6] as const) {
        const task = ping({ interface: name, converters: rig.at(port, family) })
        const [[result, mine], others] = await rig.captured(() => rig.captured(() => rig.run(task), name), other)
        expect(result.connections[0]).toMatchObject({ text: 'ping', report: { interface: name, protocol: 'mptcp' } })
        const { v4, v6 } = rig.lab.accesses[name]!.address
        expect(result.connections[0]!.localAddress).toBe(family === 4 ? v4 : v6)
        expect(mine.filter(isSyn)).toHaveLength(1)
        expect(others.filter(isSyn)).toHaveLength(0)
      }
    })

  labTest('bound to an interface that is not there: ENODEV, with its name, and no fallback to another', async () => {
    const result = await rig.run(ping({ interface: 'wlan9' }), ping({ interface: 'wlan9', fallback: 'direct' }))
    for (const { error } of result.connections) {
      expect(error!.code).toBe('ENODEV')
      expect(error!.message).toContain('bind ENODEV wlan9')
    }
    expectNoLeak(result)
  })

  labTest('bound to an interface that vanishes before the next one: ENODEV for that', async () => {
    for (const words of [
      'link add usb0 type veth peer name usb1',
      'link set usb0 up',
      'link set usb1 up',
      'addr add 10.99.0.2/24 dev usb0',
      'route add default via 10.99.0.1 dev usb0 metric 900',
    ])
      expect(await rig.lab.ue.run('ip', words.split(' '))).toMatchObject({ code: 0 })
    const options = { interface: 'usb0', synTimeout: 200, synRetries: 1 }
    const client = rig.client({ ...ping(options), pause: 400 }, ping(options))
    const { error } = await client.event<{ error: { code: string } }>('closed')
    expect(error.code).toMatch(/^E(NET|HOST)UNREACH$|^ETIMEDOUT$/)
    await rig.lab.ue.run('ip', ['link', 'del', 'usb0'])
    await client.ended()
    expect((client.lines.filter(line => line.event === 'closed')[1] as { error: object }).error).toMatchObject({
      code: 'ENODEV',
    })
  })

  labTest('bound to an interface without carrier: an error within the time given, and nothing hangs', async () => {
    await rig.lab.link('cell').set({ carrier: false })
    try {
      const result = await rig.run(ping({ interface: 'cell', connectTimeout: 1500 }))
      expect(result.connections[0]!.error?.code).toMatch(/^(ENETUNREACH|EHOSTUNREACH|ETIMEDOUT)$/)
      expect(result.connections[0]!.closedAt).toBeLessThan(10_000)
      expectNoLeak(result)
    } finally {
      await rig.lab.link('cell').set({ carrier: true })
    }
  })

  labTest('bound to a local address', async () => {
    const { v4 } = rig.lab.accesses.wifi!.address
    const { connections } = await rig.run(ping({ localAddress: v4, localPort: 25_678 }))
    expect(connections[0]).toMatchObject({ text: 'ping', localAddress: v4, report: { protocol: 'mptcp' } })
  })

  labTest('bound to a local port: the fresh one after stripped SYN data can still be made', async () => {
    await rig.lab.link('wifi').set({ uplink: { mangle: [{ action: 'strip-syn-data', match: 'syn-data' }] } })
    try {
      const own = rig.nextPort()
      await rig.converter(own)
      const { v4 } = rig.lab.accesses.wifi!.address
      const { connections } = await rig.run(ping({ localAddress: v4, localPort: 25_679, converters: rig.at(own) }))
      expect(connections[0]).toMatchObject({ text: 'ping', report: { convert: '1rtt', protocol: 'mptcp' } })
    } finally {
      await rig.lab.link('wifi').set({ mangle: [] })
    }
  })

  labTest(
    'of a UE where MPTCP is switched off: TCP through the converter, which says so, and how to change it',
    async () => {
      await rig.lab.ue.sysctl('net.mptcp.enabled', 0)
      try {
        const [result, packets] = await rig.captured(() =>
          rig.run(ping(), ping({ mptcp: 'require' }), ping({ mptcp: 'off' }), ping({ converters: [] })),
        )
        expect(result.end.supported).toEqual({
          supported: false,
          reason: expect.stringContaining('sysctl -w net.mptcp.enabled=1'),
        })
        const [preferred, required, off, direct] = result.connections
        expect(preferred).toMatchObject({
          text: 'ping',
          report: { protocol: 'tcp', convert: '0rtt', synDataAccepted: true },
        })
        expect(preferred!.report.fallback).toContain('net.mptcp.enabled=1')
        expect(required!.error).toMatchObject({ code: 'ERR_MPTCP_UNSUPPORTED' })
        expect(required!.error!.message).toContain('net.mptcp.enabled=1')
        expect(off).toMatchObject({ text: 'ping', report: { protocol: 'tcp' } })
        expect(off!.report.fallback).toBeUndefined()
        expect(direct).toMatchObject({ text: 'ping', report: { protocol: 'tcp' } })
        expect(packets.filter(isSyn).map(({ tcp }) => tcp!.payload.length)).toEqual([24, 24, 0])
        expectNoLeak(result)
      } finally {
        await rig.lab.ue.sysctl('net.mptcp.enabled', 1)
      }
    },
  )

  labTest('over TCP, first SYN lost: the fresh one carries the message too', async () => {
    await rig.lab.link('wifi').set({ uplink: { mangle: [{ action: 'drop', match: 'syn', count: 1 }] } })
    const { connections } = await rig.run(ping({ mptcp: 'off' }))
    expect(connections[0]).toMatchObject({
      text: 'ping',
      report: { protocol: 'tcp', convert: '0rtt', synDataAccepted: true },
    })
    await rig.lab.link('wifi').set({ mangle: [] })
  })
})
