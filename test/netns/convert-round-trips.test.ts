/** What travels when, in round trips: read off the packets, not off clocks. */
import { afterAll, beforeAll, expect } from 'vitest'
import type { Packet } from '../../lib/lab/index.js'
import { ConvertLab, isSyn, isSynAck, roundTrips } from '../support/convert-lab.js'
import { all, mptcpFastOpen, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { ECHO } from './programs/server.js'

const labTest = requires('network namespaces and Fast Open on MPTCP sockets', all(root, netns, mptcpFastOpen))
/** In milliseconds. Programs may take half of it: they count as no round trip. */
const ROUND_TRIP = 150
const MP_CAPABLE = 0

const text = ({ tcp }: Packet) => Buffer.from(tcp!.payload).toString('latin1')
const hexOf = ({ tcp }: Packet) => Buffer.from(tcp!.payload).toString('hex')
/** Version 1, Connect TLV, port 7, ::ffff:198.51.100.2. */
const MESSAGE = '01062263 0a050007 00000000000000000000ffffc6336402'.replaceAll(' ', '')

labTest.describe('through a converter', () => {
  let rig: ConvertLab
  let port: number
  const server = () => ({ host: rig.lab.serverAddress.v4, port: ECHO })
  const fromUe = (packet: Packet) => packet.source.startsWith('10.1.')

  beforeAll(async () => {
    rig = await ConvertLab.open({
      accesses: [{ name: 'wifi', access: 'non-3gpp', link: { delayMs: ROUND_TRIP / 2 } }],
    })
    port = rig.nextPort()
    await rig.converter(port)
  })
  afterAll(() => rig?.close())

  labTest('the SYN carries MP_CAPABLE and the Convert message, and is the only one', async () => {
    const [{ connections, end }, packets] = await rig.captured(() =>
      rig.run({ connect: { ...server(), converters: rig.at(port) }, write: 'ping', until: 4 }),
    )
    expect(connections[0]).toMatchObject({
      text: 'ping',
      remoteAddress: '198.51.100.2',
      remotePort: ECHO,
      report: {
        protocol: 'mptcp',
        convert: '0rtt',
        synDataAccepted: true,
        attempts: 1,
        earlyBytes: 0,
        pipelinedBytes: 4,
        lessons: [],
        answer: [],
        converter: { name: rig.at(port), address: '192.0.2.1', port },
      },
    })
    expect(end.supported).toEqual({ supported: true })
    const syns = packets.filter(isSyn)
    expect(syns).toHaveLength(1)
    expect(syns[0]).toMatchObject({ destination: '192.0.2.1', tcp: { destinationPort: port } })
    expect(syns[0]!.tcp!.mptcp).toEqual({ subtype: MP_CAPABLE, version: 1 })
    expect(hexOf(syns[0]!)).toBe(MESSAGE)
    const synAck = packets.find(isSynAck)!
    expect(synAck.tcp!.acknowledgment).toBe((syns[0]!.tcp!.sequence + 1 + MESSAGE.length / 2) >>> 0)
    expect(synAck.tcp!.mptcp).toMatchObject({ subtype: MP_CAPABLE })
    // All of it in one connection to the converter: nothing to the server, no Convert message twice.
    expect(new Set(packets.map(({ tcp }) => tcp!.destinationPort)).size).toBe(2)
    expect(packets.filter(packet => fromUe(packet) && hexOf(packet).includes('01062263'))).toHaveLength(1)
  })

  labTest('a request is answered after as many round trips as without a converter', async () => {
    const trips: number[] = []
    for (const converters of [undefined, rig.at(port)]) {
      const options = { ...server(), ...(converters ? { converters } : {}) }
      const [{ connections }, packets] = await rig.captured(() =>
        rig.run({ connect: options, write: 'ping', until: 4 }),
      )
      expect(connections[0]!.text).toBe('ping')
      const response = packets.find(packet => !fromUe(packet) && text(packet).endsWith('ping'))!
      trips.push(roundTrips(packets, response, ROUND_TRIP))
    }
    expect(trips).toEqual([2, 2])
  })

  labTest('what was written at once leaves right behind the third ACK, before the answer', async () => {
    const [, packets] = await rig.captured(() =>
      rig.run({ connect: { ...server(), converters: rig.at(port) }, write: 'ping', until: 4 }),
    )
    const synAck = packets.findIndex(isSynAck)
    const next = packets.slice(synAck + 1).filter(fromUe)
    expect(next[0]!.tcp!.flags).toMatchObject({ ack: true, syn: false })
    expect(text(next[0]!)).toBe('')
    expect(text(next[1]!)).toBe('ping')
    const answer = packets.findIndex(packet => !fromUe(packet) && hexOf(packet).startsWith('01012263'))
    expect(packets.indexOf(next[1]!)).toBeLessThan(answer)
    expect(next[1]!.time - packets[synAck]!.time).toBeLessThan(ROUND_TRIP / 2)
  })

  labTest('without pipelining it leaves when the answer is there', async () => {
    const [{ connections }, packets] = await rig.captured(() =>
      rig.run({ connect: { ...server(), converters: rig.at(port), pipelining: false }, write: 'ping', until: 4 }),
    )
    expect(connections[0]!.report.pipelinedBytes).toBe(0)
    const answer = packets.findIndex(packet => !fromUe(packet) && hexOf(packet).startsWith('01012263'))
    const ping = packets.findIndex(packet => fromUe(packet) && text(packet) === 'ping')
    expect(ping).toBeGreaterThan(answer)
    expect(roundTrips(packets, packets[ping]!, ROUND_TRIP)).toBe(2)
  })

  labTest('early data is in the SYN, behind the message, and arrives once', async () => {
    const [{ connections }, packets] = await rig.captured(() =>
      rig.run({
        connect: { ...server(), converters: rig.at(port), earlyData: true },
        write: 'ping',
        thenWrite: 'pong',
        until: 8,
      }),
    )
    expect(connections[0]).toMatchObject({
      text: 'pingpong',
      report: { earlyBytes: 4, pipelinedBytes: 4, attempts: 1 },
    })
    const syns = packets.filter(isSyn)
    expect(syns.map(hexOf)).toEqual([`${MESSAGE}${Buffer.from('ping').toString('hex')}`])
    const response = packets.find(packet => !fromUe(packet) && text(packet).endsWith('ping'))!
    expect(roundTrips(packets, response, ROUND_TRIP)).toBe(2)
    expect(packets.filter(packet => fromUe(packet) && text(packet).endsWith('ping'))).toHaveLength(1)
  })

  labTest('more early data than a SYN can take: the rest follows in its order', async () => {
    const request = 'x'.repeat(5000)
    const [{ connections }, packets] = await rig.captured(() =>
      rig.run({ connect: { ...server(), converters: rig.at(port), earlyData: true }, write: request, until: 5000 }),
    )
    expect(connections[0]!.bytes).toBe(5000)
    const { earlyBytes, pipelinedBytes } = connections[0]!.report
    expect(earlyBytes).toBeGreaterThan(1000)
    expect(pipelinedBytes).toBe(5000)
    expect(packets.find(isSyn)!.tcp!.payload.length).toBe(earlyBytes + MESSAGE.length / 2)
  })

  labTest(
    'early data hides the round trip from the converter to the server, as far as that is the shorter one',
    async () => {
      const trip = 300
      await rig.lab.link('wifi').set({ delayMs: trip / 2 })
      await rig.lab.link('data').set({ delayMs: trip / 4 })
      try {
        const trips: number[] = []
        for (const earlyData of [false, true]) {
          const [, packets] = await rig.captured(() =>
            rig.run({ connect: { ...server(), converters: rig.at(port), earlyData }, write: 'ping', until: 4 }),
          )
          const response = packets.find(packet => !fromUe(packet) && text(packet).endsWith('ping'))!
          trips.push(roundTrips(packets, response, trip / 2))
        }
        expect(trips).toEqual([5, 4]) // halves
      } finally {
        await rig.lab.link('wifi').set({ delayMs: ROUND_TRIP / 2 })
        await rig.lab.link('data').set({ delayMs: 0 })
      }
    },
  )

  labTest(
    'the 1-RTT form: an empty SYN, the message and what was written right behind it, two round trips, MPTCP',
    async () => {
      const [{ connections }, packets] = await rig.captured(() =>
        rig.run({ connect: { ...server(), converters: rig.at(port), convert: '1rtt' }, write: 'ping', until: 4 }),
      )
      expect(connections[0]).toMatchObject({
        text: 'ping',
        report: { protocol: 'mptcp', convert: '1rtt', attempts: 1 },
      })
      const syns = packets.filter(isSyn)
      expect(syns.map(hexOf)).toEqual([''])
      const fromClient = packets.filter(packet => fromUe(packet) && packet.tcp!.payload.length > 0)
      expect(fromClient.map(hexOf).join('')).toBe(`${MESSAGE}${Buffer.from('ping').toString('hex')}`)
      const response = packets.find(packet => !fromUe(packet) && text(packet).endsWith('ping'))!
      expect(roundTrips(packets, response, ROUND_TRIP)).toBe(2)
    },
  )

  labTest("'connect' comes with the converter's answer, after two round trips, and not before", async () => {
    const [{ connections }, packets] = await rig.captured(() =>
      rig.run({ connect: { ...server(), converters: rig.at(port) }, destroyAfter: 1500 }),
    )
    const answer = packets.find(packet => !fromUe(packet) && hexOf(packet).startsWith('01012263'))!
    expect(roundTrips(packets, answer, ROUND_TRIP)).toBe(2)
    expect(connections[0]!.connectedAt).toBeGreaterThanOrEqual(answer.time - packets[0]!.time - 1)
  })
})
