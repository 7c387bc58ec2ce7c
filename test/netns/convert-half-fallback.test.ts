/**
 * Handshakes that are completed without the client's key. The converter's kernel turns to TCP at the next segment in order that
 * lacks it; as long as that is lost it does not, and what it sends comes twice.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { MPTCP_SUBTYPE } from '../../lib/lab/packet.js'
import { ConvertLab, expectNoLeak } from '../support/convert-lab.js'
import { behind, clientEnd, echo, end, message, pause, SUCCESS, send } from '../support/hostile-converter.js'
import { all, mptcpFastOpen, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import type { Task } from './programs/client.js'
import { ECHO } from './programs/server.js'

const labTest = requires('network namespaces and Fast Open on MPTCP sockets', all(root, netns, mptcpFastOpen))
/** From the SYN on: it is repeated after a second, as is the SYN+ACK, and the ACK comes within 50 ms then. */
const established = pause(1200)
/** The kernel repeats the SYN, or the SYN+ACK, before we send a fresh one. */
const SYN_TIMEOUT = 1900

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

labTest.describe('a handshake without the key', () => {
  let rig: ConvertLab
  const dial = (port: number, task: Partial<Task>, options: Partial<Task['connect']> = {}): Task => ({
    connect: {
      host: rig.lab.serverAddress.v4,
      port: ECHO,
      converters: rig.at(port),
      synTimeout: SYN_TIMEOUT,
      converterTimeout: 6000,
      ...options,
    } as Task['connect'],
    until: 4,
    ...task,
  })
  /** The kernel repeats its SYN, and completes the handshake without the key. */
  const loseSynAck = () =>
    rig.lab.link('wifi').set({ downlink: { mangle: [{ action: 'drop', match: 'syn-ack', count: 1 }] } })
  /**
   * Nothing of the client's passes between its SYN and the SYN+ACK that the converter's kernel repeats, and of its data not
   * the next `repetitions` either: the handshake is completed by an ACK that is out of order and has no key.
   */
  const losing = async <T>(repetitions: number, during: () => Promise<T>): Promise<T> => {
    const link = rig.lab.link('wifi')
    const before = (await link.stats()).uplink.packets
    const result = during()
    while ((await link.stats()).uplink.packets === before) await sleep(2)
    await link.set({ uplink: { down: true } })
    await sleep(950)
    const mangle = repetitions > 0 ? [{ action: 'drop', match: 'data', count: repetitions } as const] : []
    await link.set({ uplink: { down: false, mangle } })
    return result
  }

  beforeAll(async () => {
    rig = await ConvertLab.open({ accesses: [{ name: 'wifi', access: 'non-3gpp', link: { delayMs: 20 } }] })
  })
  afterAll(() => rig?.close())
  afterEach(() => rig.lab.link('wifi').set({ mangle: [] }))

  /** Answers the message in the SYN once the handshake is complete, as any converter on Linux might. */
  const unaware = (port: number) =>
    rig.hostile(port, [
      [message, established, send(SUCCESS), echo, clientEnd, end],
      [message, send(SUCCESS), echo, clientEnd, end],
    ])

  labTest(
    'nothing had left: both have turned to TCP, and every byte comes once; the next has the 1-RTT form',
    async () => {
      const port = rig.nextPort()
      const converter = await unaware(port)
      await loseSynAck()
      const task = dial(port, { thenWrite: 'ping' })
      const result = await rig.run(task, task)
      expect(result.connections).toMatchObject([
        { text: 'ping', report: { protocol: 'tcp', convert: '0rtt', lessons: ['turned-to-tcp'] } },
        { text: 'ping', report: { protocol: 'mptcp', convert: '1rtt', attempts: 1 } },
      ])
      expectNoLeak(result)
      await converter.stop()
    },
  )

  labTest('bytes had left and not arrived: an error, and no byte that is not the server’s', async () => {
    const port = rig.nextPort()
    const converter = await unaware(port)
    const [result, packets] = await rig.captured(() =>
      losing(3, () => rig.run(dial(port, { write: 'ping' }, { convert: '0rtt' }))),
    )
    expect(result.connections[0]).toMatchObject({
      text: '',
      error: { code: 'ERR_MPTCP_HALF_FALLBACK' },
      report: { attempts: 1 },
    })
    // It was so: the converter's end spoke MPTCP, and this end did not.
    const answer = packets.find(({ tcp }) => tcp!.sourcePort === port && tcp!.payload.length > 0)
    expect(answer!.tcp!.mptcp?.subtype).toBe(MPTCP_SUBTYPE.DSS)
    const next = packets.find(({ tcp, time }) => tcp!.destinationPort === port && time > answer!.time)
    expect(next!.tcp!.mptcp?.subtype).not.toBe(MPTCP_SUBTYPE.DSS)
    expectNoLeak(result)
    await converter.stop()
  })

  labTest('bytes had left and arrived, so that both turned to TCP: connected, over TCP, which says so', async () => {
    const port = rig.nextPort()
    const converter = await rig.hostile(port, [[message, behind(4), send(SUCCESS), echo, clientEnd, end]])
    await loseSynAck()
    const result = await rig.run(dial(port, { write: 'ping', thenWrite: 'pong', until: 8 }, { convert: '0rtt' }))
    expect(result.connections[0]).toMatchObject({
      text: 'pingpong',
      report: { protocol: 'tcp', convert: '0rtt', lessons: ['turned-to-tcp'] },
    })
    expect(result.connections[0]!.report.fallback).toMatch(/does not speak MPTCP/)
    expectNoLeak(result)
    await converter.stop()
  })

  labTest('the reference converter says nothing until the bytes come, and the key with them: MPTCP', async () => {
    const port = rig.nextPort()
    const converter = await rig.converter(port)
    const task = dial(port, { write: 'ping' }, { convert: '0rtt' })
    const [result, packets] = await rig.captured(() => losing(0, () => rig.run(task)), 'wifi', 'network')
    expect(result.connections[0]).toMatchObject({ text: 'ping', report: { protocol: 'mptcp', convert: '0rtt' } })
    const sent = packets.filter(({ tcp }) => tcp!.payload.length > 0 && !tcp!.flags.syn)
    expect(sent.map(({ tcp }) => hexOf(tcp!.payload)).slice(0, 3)).toEqual(['70696e67', '01012263', '70696e67'])
    const completed = packets.find(({ tcp }) => tcp!.destinationPort === port && tcp!.flags.ack)
    expect(completed!.tcp!.mptcp?.subtype).toBe(MPTCP_SUBTYPE.DSS)
    expectNoLeak(result)
    await converter.stop()
  })

  labTest('the reference converter answers once the first bytes have shown what the client is', async () => {
    const port = rig.nextPort()
    const converter = await rig.converter(port)
    await loseSynAck()
    const task = { write: 'ping', thenWrite: 'pong', until: 8 }
    const result = await rig.run(dial(port, task, { convert: '0rtt' }))
    expect(result.connections[0]).toMatchObject({ text: 'pingpong', report: { protocol: 'tcp', convert: '0rtt' } })
    expectNoLeak(result)
    await converter.stop()
  })
})
