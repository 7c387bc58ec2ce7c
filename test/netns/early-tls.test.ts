/** TLS through a converter, read off the packets: the ClientHello leaves before the converter's answer, once on each attempt. */
import { afterAll, beforeAll, expect } from 'vitest'
import type { Packet } from '../../lib/lab/index.js'
import { compiled } from '../support/compiled.js'
import { ConvertLab, isSyn, isSynAck, Program } from '../support/convert-lab.js'
import { all, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import type { Asked, TlsPlan } from './programs/tls-client.js'

const labTest = requires('network namespaces', all(root, netns))
const WAYS: Exclude<TlsPlan['way'], 'stock'>[] = [
  ...(['agent', 'connectTls', 'connector'] as const),
  ...(['preload', 'preload-tls', 'preload-http2', 'preload-fetch'] as const),
]
/** In milliseconds. Programs may take half of it: they count as no round trip. */
const ROUND_TRIP = 200

const hexOf = ({ tcp }: Packet) => Buffer.from(tcp!.payload).toString('hex')
const fromUe = (packet: Packet) => packet.source.startsWith('10.1.')
/** A handshake record of TLS, with a ClientHello in it. */
const isHello = (packet: Packet) =>
  fromUe(packet) && /^1603(01|03)....01/.test(hexOf(packet).replace(/^01062263.{40}/, ''))
const isAnswer = (packet: Packet) => !fromUe(packet) && hexOf(packet).startsWith('01012263')
/** A larger ClientHello has a second segment. */
const isData = ({ tcp }: Packet) => tcp!.payload.length > 0
const isServerHello = (packet: Packet) => !fromUe(packet) && /1603(01|03)....02/.test(hexOf(packet).slice(0, 20))

labTest.describe('TLS through a converter', () => {
  let rig: ConvertLab
  let port: number
  const program = (name: string) => compiled(`test/netns/programs/${name}.ts`)

  async function ask(plan: Omit<TlsPlan, 'host' | 'times'>): Promise<[Asked, Packet[]]> {
    const whole: TlsPlan = { host: rig.lab.serverAddress.v4, times: 1, ...plan }
    const args = [program('tls-client'), JSON.stringify(whole)]
    return rig.captured(async () => {
      const client = new Program(rig.lab.ue.spawn(process.execPath, args))
      await client.event('done')
      expect(client.complaints).toBe('')
      return client.event<Asked>('asked')
    })
  }

  beforeAll(async () => {
    rig = await ConvertLab.open({
      accesses: [{ name: 'wifi', access: 'non-3gpp', link: { delayMs: ROUND_TRIP / 2 } }],
    })
    port = rig.nextPort()
    await rig.converter(port)
    await new Program(rig.lab.server.spawn(process.execPath, [program('library-server')])).event('ready')
  }, 60_000)
  afterAll(() => rig?.close())

  for (const way of WAYS)
    labTest(
      `${way}: the ClientHello leaves with the SYN+ACK's arrival, before the converter's answer, and once`,
      async () => {
        const [{ answer }, packets] = await ask({ way, options: { converters: rig.at(port) } })
        expect(answer).toContain('connection')
        expect(packets.filter(isSyn)).toHaveLength(1)
        const hellos = packets.filter(isHello)
        expect(hellos).toHaveLength(1)
        const synAck = packets.find(isSynAck)!
        expect(hellos[0]!.time - synAck.time).toBeLessThan(ROUND_TRIP / 2)
        expect(packets.indexOf(hellos[0]!)).toBeLessThan(packets.findIndex(isAnswer))
        // The ServerHello waits for nothing else: it comes after two round trips, as without a converter.
        const before = packets.slice(0, packets.findIndex(isServerHello)).filter(isData)
        expect(before.filter(packet => fromUe(packet) && !isSyn(packet) && !isHello(packet)).length).toBeLessThan(2)
      },
    )

  labTest('with earlyData the ClientHello is in the SYN, as much of it as fits', async () => {
    const [{ answer }, packets] = await ask({ way: 'agent', options: { converters: rig.at(port), earlyData: true } })
    expect(answer).toContain('connection')
    const syns = packets.filter(isSyn)
    expect(syns).toHaveLength(1)
    expect(isHello(syns[0]!)).toBe(true)
  })

  labTest('without pipelining it waits for the answer', async () => {
    const [, packets] = await ask({ way: 'agent', options: { converters: rig.at(port), pipelining: false } })
    expect(packets.findIndex(isHello)).toBeGreaterThan(packets.findIndex(isAnswer))
  })

  labTest(
    'behind a converter that does not answer, each attempt sends one ClientHello, and the next one is answered',
    async () => {
      const silent = rig.nextPort()
      await rig.hostile(silent, [[{ expect: 'message' }, { pause: 20_000 }]])
      const options = { converters: [rig.at(silent), rig.at(port)], attemptDelay: 100, convert: '1rtt' } as const
      const [{ answer }, packets] = await ask({ way: 'agent', options })
      expect(answer).toContain('connection')
      const attempts = packets.filter(isSyn).length
      expect(attempts).toBe(2)
      expect(packets.filter(isHello)).toHaveLength(attempts)
    },
  )
})
