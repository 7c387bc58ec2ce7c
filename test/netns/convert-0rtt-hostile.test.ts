/** Hostile answers to a message in the SYN, over a link with 40 ms of round trip. The same to the 1-RTT form: test/runtime. */
import { afterAll, beforeAll, expect } from 'vitest'
import { ConvertLab, expectNoLeak } from '../support/convert-lab.js'
import {
  answer,
  behind,
  clientEnd,
  drip,
  echo,
  end,
  errorTlv,
  message,
  pause,
  reset,
  type Step,
  SUCCESS,
  send,
} from '../support/hostile-converter.js'
import { all, mptcpFastOpen, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import type { Task } from './programs/client.js'

const labTest = requires('network namespaces and Fast Open on MPTCP sockets', all(root, netns, mptcpFastOpen))
/** Longer than the third ACK takes: what is written before it is not sent (by an MPTCP listener on Linux). */
const established = pause(150)

labTest.describe('to a message in the SYN', () => {
  let rig: ConvertLab
  const dial = (port: number, task: Partial<Task> = {}, options: Partial<Task['connect']> = {}): Task => ({
    connect: {
      host: '203.0.113.7',
      port: 443,
      converters: rig.at(port),
      convert: '0rtt',
      converterTimeout: 2000,
      ...options,
    } as Task['connect'],
    ...task,
  })

  beforeAll(async () => {
    rig = await ConvertLab.open({ accesses: [{ name: 'wifi', access: 'non-3gpp', link: { delayMs: 20 } }] })
  })
  afterAll(() => rig?.close())

  const cases: [string, Step[], { error?: string; text?: string; how?: string }][] = [
    ['the header', [send(SUCCESS), send('68 69'), end], { text: 'hi' }],
    ['the header and the server’s bytes in one segment', [send(`${SUCCESS} 68 69`), end], { text: 'hi' }],
    ['drops', [drip(`${answer('63 01 00 00')} 68 69`, 5), end], { text: 'hi' }],
    ['an Error TLV', [send(answer(errorTlv(32)))], { error: 'ERR_CONVERT_NOT_AUTHORIZED', how: 'reset' }],
    ['an Error TLV and bytes', [send(`${answer(errorTlv(96))} 68 69`)], { error: 'ECONNREFUSED', how: 'reset' }],
    ['text', [send('48 54 54 50 2f 31 2e 31')], { error: 'ERR_CONVERT_MALFORMED', how: 'reset' }],
    ['Total Length 0', [send('01 00 22 63')], { error: 'ERR_CONVERT_MALFORMED', how: 'reset' }],
    ['a TLV of length 0', [send('01 02 22 63 1e 00 00 00')], { error: 'ERR_CONVERT_MALFORMED', how: 'reset' }],
    ['half an answer and FIN', [send('01 02 22 63'), end], { error: 'ERR_CONVERT_CLOSED' }],
    ['half an answer and RST', [send('01 02 22 63'), pause(60), reset], { error: 'ECONNRESET' }],
    ['FIN', [end], { error: 'ERR_CONVERT_CLOSED' }],
    ['RST', [reset], { error: 'ECONNRESET' }],
    ['silence', [], { error: 'ERR_CONVERT_TIMEOUT', how: 'reset' }],
  ]
  for (const [title, steps, { error, text, how }] of cases)
    labTest(`${title}: ${error ?? 'connected'}, and no byte that is not the server's`, async () => {
      const port = rig.nextPort()
      const converter = await rig.hostile(port, [[message, established, ...steps]])
      const result = await rig.run(dial(port))
      const [connection] = result.connections
      expect(connection!.error?.code).toBe(error)
      expect(connection!.text).toBe(text ?? '')
      expect(connection!.report.attempts).toBe(1)
      expect(connection!.closedAt).toBeLessThan(3000)
      if (how) expect((await rig.heard(converter, 0)).how).toBe(how)
      expectNoLeak(result)
      await converter.stop()
    })

  labTest('RST before the handshake is done: an error, at once', async () => {
    const port = rig.nextPort()
    const converter = await rig.hostile(port, [[message, reset]])
    const result = await rig.run(dial(port, { write: 'ping' }), dial(port, {}, { convert: 'auto' }))
    for (const { error, closedAt } of result.connections) {
      expect(error?.code).toMatch(/^(ECONNRESET|ECONNREFUSED|EPIPE|ERR_CONVERT_CLOSED)$/)
      expect(closedAt).toBeLessThan(3000)
    }
    expectNoLeak(result)
    await converter.stop()
  })

  labTest(
    'an Error TLV written before the handshake is done, so never sent: had by the 1-RTT form, and remembered',
    async () => {
      const port = rig.nextPort()
      const converter = await rig.hostile(port, [[message, send(answer(errorTlv(32)))]])
      const auto = { convert: 'auto' } as const
      const result = await rig.run(dial(port, {}, auto), dial(port, {}, auto), dial(port, {}, auto))
      expect(result.connections.map(({ error }) => error?.code)).toEqual(Array(3).fill('ERR_CONVERT_NOT_AUTHORIZED'))
      expect(result.connections.map(({ report }) => report.attempts)).toEqual([2, 2, 1])
      for (const { closedAt } of result.connections) expect(closedAt).toBeLessThan(2000)
      expectNoLeak(result)
      await converter.stop()
    },
  )

  labTest(
    'an answer never sent, with bytes pipelined: not sent twice, but the next connection goes the other way',
    async () => {
      const port = rig.nextPort()
      const converter = await rig.hostile(port, [
        [message, send(SUCCESS)],
        [message, behind(4), send(SUCCESS), echo, clientEnd, end],
      ])
      const options = { convert: 'auto', converterTimeout: 700 } as const
      const task = { write: 'ping', until: 4 }
      const { connections } = await rig.run(dial(port, task, options), dial(port, task, options))
      expect(connections[0]!.error).toMatchObject({ code: 'ERR_CONVERT_TIMEOUT' })
      expect(connections[0]!.report.attempts).toBe(1)
      expect(connections[1]).toMatchObject({ text: 'ping', report: { convert: '1rtt', attempts: 1 } })
      await converter.stop()
    },
  )
})
