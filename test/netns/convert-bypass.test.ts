/** Servers that speak MPTCP themselves are reached without a converter (RFC 8803 §3), over a link with 40 ms of round trip. */
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { ConvertLab, expectNoLeak, isSyn, outcome } from '../support/convert-lab.js'
import { all, mptcpFastOpen, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import type { ConnectionResult, Task } from './programs/client.js'
import { ECHO, NOBODY } from './programs/server.js'

const labTest = requires('network namespaces and Fast Open on MPTCP sockets', all(root, netns, mptcpFastOpen))

labTest.describe("bypass: 'learned'", () => {
  let rig: ConvertLab
  let port: number
  beforeAll(async () => {
    rig = await ConvertLab.open({ accesses: [{ name: 'wifi', access: 'non-3gpp', link: { delayMs: 20 } }] })
    port = rig.nextPort()
    await rig.converter(port)
  })
  afterAll(() => rig?.close())
  afterEach(() => rig?.lab.link('wifi').set({ mangle: [] }))

  const ping = (options: Partial<Task['connect']> = {}, to = ECHO): Task => ({
    connect: {
      ...{ host: rig.lab.serverAddress.v4, port: to, converters: rig.at(port), bypass: 'learned', fallback: 'fail' },
      ...options,
    } as Task['connect'],
    write: 'ping',
    until: 4,
  })
  const brief = ({ text, report: { converter, bypass, protocol, attempts } }: ConnectionResult) => ({
    ...{ text, protocol, attempts, bypass },
    through: converter ? 'converter' : 'none',
  })
  const LEARNS = { text: 'ping', protocol: 'mptcp', attempts: 1, bypass: false, through: 'converter' }
  const BYPASSES = { ...LEARNS, bypass: true, through: 'none' }

  /** Three connections; `change` comes after the first one. */
  async function three(change: () => Promise<unknown>): Promise<ReturnType<typeof brief>[]> {
    const client = rig.client({ ...ping(), pause: 1_500 }, ping(), ping())
    await client.event('closed')
    await pause(500) // its end has been acknowledged
    await change()
    const result = await outcome(client)
    expectNoLeak(result)
    return result.connections.map(brief)
  }

  labTest(
    'the first connection learns of the server, the others go to it directly, with MPTCP in their SYNs',
    async () => {
      const [result, packets] = await rig.captured(() => rig.run(ping(), ping(), ping({ mptcp: 'require' })))
      expect(result.connections.map(brief)).toEqual([LEARNS, BYPASSES, BYPASSES])
      const to = (packet: (typeof packets)[number]) => `${packet.destination}:${packet.tcp!.destinationPort}`
      const direct = `${rig.lab.serverAddress.v4}:${ECHO}`
      expect(packets.filter(isSyn).map(to)).toEqual([rig.at(port), direct, direct])
      expect(packets.filter(isSyn).every(({ tcp }) => tcp!.mptcp !== undefined)).toBe(true)
      expectNoLeak(result)
    },
  )

  labTest('off by default; and nothing is learned of TCP alone', async () => {
    const off = await rig.run(ping({ bypass: 'never' }), ping({ bypass: 'never' }))
    expect(off.connections.map(brief)).toEqual([LEARNS, LEARNS])
    const tcp = await rig.run(ping({ mptcp: 'off' }), ping({ mptcp: 'off' }))
    expect(tcp.connections.map(brief)).toEqual([0, 1].map(() => ({ ...LEARNS, protocol: 'tcp' })))
  })

  labTest('what is silent directly goes through the converter, and is left to it from then on', async () => {
    const blackhole = ['rule', 'add', 'iif', 'wifi', 'to', rig.lab.serverAddress.v4, 'blackhole']
    const results = await three(() => rig.lab.converter.run('ip', blackhole))
    await rig.lab.converter.run('ip', blackhole.with(1, 'del'))
    expect(results).toEqual([LEARNS, { ...LEARNS, attempts: 2 }, LEARNS])
  })

  labTest('what is refused directly, too', async () => {
    const prohibit = ['rule', 'add', 'iif', 'wifi', 'to', rig.lab.serverAddress.v4, 'prohibit']
    const results = await three(() => rig.lab.converter.run('ip', prohibit))
    await rig.lab.converter.run('ip', prohibit.with(1, 'del'))
    expect(results).toEqual([LEARNS, { ...LEARNS, attempts: 2 }, LEARNS])
  })

  labTest('what is only TCP directly, too', async () => {
    const results = await three(() => rig.lab.link('wifi').set({ mangle: [{ action: 'strip-mptcp' }] }))
    const tcp = { ...LEARNS, protocol: 'tcp' }
    expect(results.map(({ attempts: _, ...rest }) => rest)).toEqual(
      [LEARNS, tcp, tcp].map(({ attempts: _, ...rest }) => rest),
    )
  })

  labTest('a converter that refuses is final, as ever', async () => {
    const { connections } = await rig.run(ping({}, NOBODY))
    expect(connections[0]).toMatchObject({ error: { code: 'ECONNREFUSED' }, report: { bypass: false, attempts: 1 } })
  })
})
