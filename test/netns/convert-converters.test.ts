/** Converters of all sorts, over a link with 40 ms of round trip: old, naive, dead, silent, one of several. */
import { afterAll, beforeAll, expect } from 'vitest'
import { ConvertLab, expectNoLeak, isSyn } from '../support/convert-lab.js'
import { answer, clientEnd, echo, end, errorTlv, message, pause, SUCCESS, send } from '../support/hostile-converter.js'
import { all, mptcpFastOpen, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import type { Task } from './programs/client.js'
import { ECHO, NOBODY } from './programs/server.js'

const labTest = requires('network namespaces and Fast Open on MPTCP sockets', all(root, netns, mptcpFastOpen))
/** Packets for it vanish at the converter's host. */
const SILENT = '192.0.2.66'

labTest.describe('a converter', () => {
  let rig: ConvertLab
  const ping = (converters: string | string[], options: Partial<Task['connect']> = {}): Task => ({
    connect: { host: rig.lab.serverAddress.v4, port: ECHO, converters, ...options } as Task['connect'],
    write: 'ping',
    until: 4,
  })

  beforeAll(async () => {
    rig = await ConvertLab.open({ accesses: [{ name: 'wifi', access: 'non-3gpp', link: { delayMs: 20 } }] })
    await rig.lab.converter.run('ip', ['route', 'add', 'blackhole', `${SILENT}/32`])
  })
  afterAll(() => rig?.close())

  labTest('without Fast Open: the 1-RTT form, MPTCP, and remembered', async () => {
    const port = rig.nextPort()
    const converter = await rig.converter(port, '--no-fast-open')
    const result = await rig.run(ping(rig.at(port)), ping(rig.at(port)))
    expect(
      result.connections.map(({ text, report }) => [text, report.protocol, report.convert, report.attempts]),
    ).toEqual([
      ['ping', 'mptcp', '1rtt', 2],
      ['ping', 'mptcp', '1rtt', 1],
    ])
    expect(result.connections[0]!.report.lessons).toEqual(['syn-data-not-acknowledged'])
    expectNoLeak(result)
    await converter.stop()
  })

  labTest('that answers before the handshake is done: recovered soon, and remembered at the second time', async () => {
    const port = rig.nextPort()
    const converter = await rig.converter(port, '--answer-early')
    // Long enough for the converter to be quicker than the client's third ACK.
    await rig.lab.link('wifi').set({ delayMs: 60 })
    for (const write of [false, true]) {
      const own = write ? ping(rig.at(port)) : { connect: ping(rig.at(port)).connect, thenWrite: 'ping', until: 4 }
      const result = await rig.run(own, own, own)
      const [first, second, third] = result.connections
      expect(first).toMatchObject({ text: 'ping', report: { protocol: 'mptcp' } })
      // Half a second after the SYN at the latest, on a machine that is not busy.
      expect(first!.firstByteAt).toBeLessThan(2500)
      expect(second).toMatchObject({ text: 'ping', report: { protocol: 'mptcp' } })
      if (!write) {
        expect(first!.report).toMatchObject({ convert: '1rtt', lessons: ['no-answer-to-syn-data'] })
        expect(second!.report).toMatchObject({ convert: '1rtt', attempts: 2 })
        expect(third!.report).toMatchObject({ convert: '1rtt', attempts: 1 })
      }
      expectNoLeak(result)
    }
    await rig.lab.link('wifi').set({ delayMs: 20 })
    await converter.stop()
  })

  for (const [answered, pauses] of [
    ['0rtt', [2_000, 20_000]],
    ['1rtt', [20_000, 1_600]],
  ] as const)
    labTest(
      `that answers slowly, so both forms are tried at the same time: bytes go to the ${answered} only`,
      async () => {
        const port = rig.nextPort()
        const scripts = pauses.map(time => [message, pause(time), send(SUCCESS), echo, clientEnd, end])
        const converter = await rig.hostile(port, scripts)
        // Written when both are under way, so neither may have it before it is known which one is answered.
        const { connect } = ping(rig.at(port))
        const result = await rig.run({ connect, later: { after: 1_200, write: 'ping' }, until: 4 })
        expect(result.connections[0]).toMatchObject({ text: 'ping', report: { convert: answered, attempts: 2 } })
        expectNoLeak(result)
        const heard = await Promise.all([0, 1].map(index => rig.heard(converter, index)))
        const [with0Rtt, with1Rtt] = heard.map(({ bytes }) => Buffer.from(bytes, 'hex').toString('latin1'))
        const [winner, loser] = answered === '0rtt' ? [with0Rtt, with1Rtt] : [with1Rtt, with0Rtt]
        expect(winner).toBe(`${loser}ping`)
        expect(heard[answered === '0rtt' ? 1 : 0]!.how).toBe('reset')
        await converter.stop()
      },
    )

  labTest('that answers a 0-RTT client never, and a 1-RTT client at once', async () => {
    const port = rig.nextPort()
    const answers = [message, send(SUCCESS), echo, clientEnd, end]
    const converter = await rig.hostile(port, [[message], answers, [message], answers])
    const slowly = ping(rig.at(port), { pipelining: false })
    const { connections } = await rig.run(slowly, slowly, ping(rig.at(port)))
    expect(connections[0]).toMatchObject({
      text: 'ping',
      report: { convert: '1rtt', attempts: 2, lessons: ['no-answer-to-syn-data'] },
    })
    expect(connections[0]!.firstByteAt).toBeLessThan(2500)
    // It could have been a slow server: it is believed the second time.
    expect(connections[1]).toMatchObject({ text: 'ping', report: { convert: '1rtt', attempts: 2 } })
    expect(connections[2]).toMatchObject({ text: 'ping', report: { convert: '1rtt', attempts: 1 } })
    expect((await rig.heard(converter, 0)).how).toBe('reset')
    await converter.stop()
  })

  labTest('that waits long for its server: the 0-RTT answer counts, and nothing is learned', async () => {
    const port = rig.nextPort()
    const script = [message, pause(900), send(SUCCESS), echo, clientEnd, end]
    const converter = await rig.hostile(port, [script])
    const { connections } = await rig.run(
      ping(rig.at(port), { pipelining: false }),
      ping(rig.at(port), { pipelining: false }),
    )
    for (const connection of connections)
      expect(connection).toMatchObject({ text: 'ping', report: { convert: '0rtt', lessons: [] } })
    await converter.stop()
  })

  labTest('that speaks TCP only: TCP through it, which says so, and fails where MPTCP is required', async () => {
    const port = rig.nextPort()
    const converter = await rig.converter(port, '--protocol', 'tcp')
    const result = await rig.run(ping(rig.at(port)), ping(rig.at(port), { mptcp: 'require' }))
    expect(result.connections[0]).toMatchObject({ text: 'ping', report: { protocol: 'tcp', converter: { port } } })
    expect(result.connections[0]!.report.fallback).toMatch(/does not speak MPTCP/)
    expect(result.connections[1]!.error).toMatchObject({ code: 'ERR_MPTCP_FALLBACK' })
    expectNoLeak(result)
    await converter.stop()
  })

  labTest('that is down: ECONNREFUSED with its address; direct where that is allowed', async () => {
    const port = rig.nextPort()
    const result = await rig.run(ping(rig.at(port)), ping(rig.at(port), { fallback: 'direct' }))
    expect(result.connections[0]!.error).toMatchObject({
      code: 'ECONNREFUSED',
      message: `connect ECONNREFUSED ${rig.at(port)}: this is the converter, and nothing listens on its port`,
    })
    expect(result.connections[1]).toMatchObject({
      text: 'ping',
      report: { protocol: 'mptcp', converterError: { code: 'ECONNREFUSED' } },
    })
    expect(result.connections[1]!.report.converter).toBeUndefined()
    expectNoLeak(result)
  })

  labTest('that is silent: ETIMEDOUT when the SYNs are spent; direct where that is allowed', async () => {
    const options = { synTimeout: 200, synRetries: 2 }
    const result = await rig.run(
      ping(`${SILENT}:5124`, options),
      ping(`${SILENT}:5124`, { ...options, fallback: 'direct' }),
      ping(`${SILENT}:5124`, { fallback: 'direct', connectTimeout: 400 }),
    )
    const [failed, direct, tooLate] = result.connections
    expect(failed!.error).toMatchObject({
      code: 'ETIMEDOUT',
      message: `connect ETIMEDOUT ${SILENT}:5124: this is the converter, and it does not answer`,
    })
    expect(direct).toMatchObject({ text: 'ping', report: { protocol: 'mptcp', converterError: { code: 'ETIMEDOUT' } } })
    expect(tooLate!.error).toMatchObject({ code: 'ETIMEDOUT' })
    expectNoLeak(result)
  })

  labTest('without a route to it: the error of the network, at once', async () => {
    const { connections } = await rig.run(ping('203.0.113.99:5124'), ping('203.0.113.99:5124', { fallback: 'direct' }))
    expect(connections[0]!.error).toMatchObject({ code: expect.stringMatching(/^E(NET|HOST)UNREACH$/) })
    expect(connections[0]!.closedAt).toBeLessThan(5000)
    expect(connections[1]).toMatchObject({ text: 'ping' })
  })

  labTest('dead, with others behind it: the next one after attemptDelay, or at once when it refuses', async () => {
    const port = rig.nextPort()
    const refusing = rig.nextPort()
    const converter = await rig.converter(port)
    const [result, packets] = await rig.captured(() =>
      rig.run(ping([`${SILENT}:5124`, rig.at(port)]), ping([rig.at(refusing), rig.at(port)])),
    )
    const [beside, after] = result.connections
    expect(beside).toMatchObject({ text: 'ping', report: { convert: '0rtt', converter: { port }, attempts: 2 } })
    expect(after).toMatchObject({ text: 'ping', report: { convert: '0rtt', converter: { port }, attempts: 2 } })
    const syns = packets.filter(isSyn).slice(0, 2)
    expect(syns.map(({ destination }) => destination)).toEqual([SILENT, '192.0.2.1'])
    // After `attemptDelay`, 250 ms, and not when the first one's SYN is given up.
    const between = syns[1]!.time - syns[0]!.time
    expect(between).toBeGreaterThan(240)
    expect(between).toBeLessThan(850)
    expectNoLeak(result)
    await converter.stop()
  })

  labTest('that comes back with an error after bytes were pipelined: the next converter gets them, once', async () => {
    const port = rig.nextPort()
    const second = rig.nextPort()
    const converter = await rig.hostile(port, [[message, pause(100), send(answer(errorTlv(32)))]])
    const good = await rig.converter(second)
    const { connections } = await rig.run(ping([rig.at(port), rig.at(second)]))
    expect(connections[0]).toMatchObject({ text: 'ping', report: { converter: { port: second } } })
    expect((await rig.heard(converter, 0)).how).toBe('reset')
    await good.stop()
    await converter.stop()
  })

  labTest('asked for a cookie over 0-RTT: learned and sent, in two connections; then in one', async () => {
    const port = rig.nextPort()
    const converter = await rig.converter(port, '--cookies')
    const [{ connections }, packets] = await rig.captured(() => rig.run(ping(rig.at(port)), ping(rig.at(port))))
    expect(connections.map(({ text, report }) => [text, report.convert, report.protocol, report.attempts])).toEqual([
      ['ping', '0rtt', 'mptcp', 2],
      ['ping', '0rtt', 'mptcp', 1],
    ])
    const payloads = packets.filter(isSyn).map(({ tcp }) => tcp!.payload.length)
    expect(payloads[0]).toBe(24)
    expect(payloads[1]).toBeGreaterThan(24)
    expect(payloads[2]).toBe(payloads[1])
    await converter.stop()
  })

  labTest("the server's refusal, and its absence, are those of net.connect", async () => {
    const port = rig.nextPort()
    const converter = await rig.converter(port)
    const { v4 } = rig.lab.serverAddress
    const options = { fallback: 'direct' } as const
    const { connections } = await rig.run(
      ping(rig.at(port), { ...options, host: v4, port: NOBODY }),
      ping(rig.at(port), { ...options, host: '203.0.113.99', port: ECHO }),
    )
    expect(connections[0]!.error).toMatchObject({
      code: 'ECONNREFUSED',
      message: `connect ECONNREFUSED ${v4}:${NOBODY}`,
    })
    expect(connections[1]!.error).toMatchObject({ code: expect.stringMatching(/^E(NET|HOST)UNREACH$/) })
    expect(connections[1]!.error!.message).toContain('203.0.113.99:7')
    await converter.stop()
  })
})
