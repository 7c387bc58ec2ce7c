/** Converters that answer in pieces, wrongly, half, late or not at all. */
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { connect, type MptcpConnectOptions } from '../../../lib/index.js'
import { native } from '../../../lib/runtime/kernel/native.js'
import {
  answer,
  behind,
  byte,
  drip,
  echo,
  end,
  errorTlv,
  type HostileConverter,
  hostileConverter,
  message,
  pause,
  reset,
  type Step,
  SUCCESS,
  send,
} from '../../support/hostile-converter.js'
import { outcomeOf } from '../../support/outcome.js'
import { mptcp } from '../../support/probes.js'
import { requires } from '../../support/requires.js'

const mptcpTest = requires('MPTCP', mptcp)
const SERVER = { host: '203.0.113.7', port: 443 }

/** A byte at a time takes long on a busy machine. */
const UNHURRIED = { converterTimeout: 30_000 }
/** "hello" */
const HELLO = '68 65 6c 6c 6f'
const SUPPORTED_EXTENSIONS = '15 02 00 00 1e 08 04 00' // kinds 30, 8, 4
const EXTENDED_TCP_HEADER = '14 02 00 00 02 04 05 b4' // MSS 1460
const UNKNOWN = '63 01 ab cd'

let converter: HostileConverter | undefined

async function dial(script: Step[], options: Partial<MptcpConnectOptions> = {}, early?: string) {
  converter = await hostileConverter([script])
  return outcomeOf(
    {
      ...SERVER,
      converters: converter.name,
      convert: '1rtt',
      converterTimeout: 3000,
      ...options,
    } as MptcpConnectOptions,
    early,
  )
}

async function dialAndClose(script: Step[]): Promise<void> {
  await using peer = await hostileConverter([script])
  const { error } = await outcomeOf({ ...SERVER, converters: peer.name, convert: '1rtt', converterTimeout: 50 })
  expect(error).toBeDefined()
}

mptcpTest.describe('answers', () => {
  afterEach(async () => {
    await converter?.close()
    converter = undefined
    // What was closed while its peer might still send stays a little longer, until that ends too.
    await expect.poll(() => native().counts()).toEqual({ descriptors: 0, waits: 0 })
  })

  describe('that say "connected"', () => {
    const good: [string, Step[], number][] = [
      ['the bare header', [send(SUCCESS)], 0],
      ['one byte at a time', [drip(SUCCESS)], 0],
      ['one byte at a time, TLVs and all', [drip(answer(EXTENDED_TCP_HEADER, SUPPORTED_EXTENSIONS), 1)], 2],
      ['in two halves of the header', [send('01 01'), pause(30), send('22 63')], 0],
      ['header and TLV apart', [send('01 03 22 63'), pause(30), send(SUPPORTED_EXTENSIONS)], 1],
      ['late', [pause(700), send(SUCCESS)], 0],
      ['with a TLV of an unknown type', [send(answer(UNKNOWN))], 1],
      ['with TLVs in any order', [send(answer(UNKNOWN, SUPPORTED_EXTENSIONS, EXTENDED_TCP_HEADER))], 3],
      ['as long as can be', [send(answer(`63 fe ${'00'.repeat(1014)}`))], 1],
      ['as long as can be, in drops', [drip(answer(`63 fe ${'00'.repeat(1014)}`), 0)], 1],
    ]
    for (const [title, steps, tlvs] of good)
      test(title, async () => {
        const { socket, error, all } = await dial([message, ...steps, send(HELLO), end], UNHURRIED)
        expect(error).toBeUndefined()
        expect(socket.mptcp).toMatchObject({ protocol: 'mptcp', convert: '1rtt', attempts: 1 })
        expect(socket.mptcp.answer).toHaveLength(tlvs)
        expect({ address: socket.remoteAddress, port: socket.remotePort }).toEqual({ address: SERVER.host, port: 443 })
        expect((await all).toString()).toBe('hello')
      })

    const behindTheAnswer: [string, Step[]][] = [
      ['in the same segment', [send(`${SUCCESS} ${HELLO}`)]],
      ['in the same segment, behind TLVs', [send(`${answer(UNKNOWN)} ${HELLO}`)]],
      ['byte by byte with it', [drip(`${answer(UNKNOWN)} ${HELLO}`)]],
      [
        'cut within the answer',
        [send('01 02 22'), pause(20), send(`63 ${UNKNOWN} 68 65`), pause(20), send('6c 6c 6f')],
      ],
      ['cut right behind it', [send(SUCCESS), pause(20), send(HELLO)]],
    ]
    for (const [title, steps] of behindTheAnswer)
      test(`the server's bytes ${title} are the application's, all and only they`, async () => {
        const { error, all } = await dial([message, ...steps, end], UNHURRIED)
        expect(error).toBeUndefined()
        expect((await all).toString()).toBe('hello')
      })

    test("what looks like an Error TLV behind the answer is the server's", async () => {
      const { error, all } = await dial([message, send(`${SUCCESS} ${answer(errorTlv(32))}`), end])
      expect(error).toBeUndefined()
      expect((await all).toString('hex')).toBe('010222631e012000')
    })

    test('a megabyte right behind the answer', async () => {
      const { error, all } = await dial([message, send(SUCCESS), { flood: 1_000_000 }, end])
      expect(error).toBeUndefined()
      expect((await all).equals(Buffer.alloc(1_000_000))).toBe(true)
    })

    test('FIN right behind the answer: connected, and over', async () => {
      const { error, all } = await dial([message, send(SUCCESS), end])
      expect(error).toBeUndefined()
      expect(await all).toHaveLength(0)
    })

    test('before the message was asked for: a converter that guesses', async () => {
      const { socket, error } = await dial([send(SUCCESS), message, echo], {}, 'ping')
      expect(error).toBeUndefined()
      await new Promise(resolve => socket.once('data', resolve))
      socket.destroy()
    })

    test('the message is the Connect TLV for the server, and the application follows it', async () => {
      const { socket, error } = await dial([message, behind(4), send(SUCCESS)], {}, 'ping')
      expect(error).toBeUndefined()
      expect(socket.mptcp.pipelinedBytes).toBe(4)
      const connectTlv = '0a05 01bb 00000000 00000000 0000ffff cb007107'.replaceAll(' ', '')
      expect(converter!.heard[0]!.bytes.toString('hex')).toBe(`01062263${connectTlv}70696e67`)
      socket.destroy()
    })

    test('nothing follows the message before the answer without pipelining', async () => {
      const { socket, error } = await dial([message, pause(60), send(SUCCESS)], { pipelining: false }, 'ping')
      expect(error).toBeUndefined()
      expect(socket.mptcp.pipelinedBytes).toBe(0)
      expect(converter!.heard[0]!.bytes).toHaveLength(24)
      await expect.poll(() => converter!.heard[0]!.bytes.length).toBe(28)
      socket.destroy()
    })
  })

  describe('that are none', () => {
    const bad: [string, string, string][] = [
      ['text', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n').toString('hex'), 'version'],
      ['version 0', '00 01 22 63', 'version'],
      ['version 2', '02 01 22 63', 'version'],
      ['Total Length 0', '01 00 22 63', 'total-length'],
      ['the magic number the wrong way round', '01 01 63 22', 'magic'],
      ['no magic number, as in the drafts', '01 01 00 00', 'magic'],
      ['a TLV of length 0', '01 02 22 63 14 00 00 00', 'tlv-length'],
      ['an Error TLV of length 0', '01 02 22 63 1e 00 20 00', 'tlv-length'],
      ['a TLV that ends behind the message', '01 02 22 63 14 02 00 00 00 00 00 00', 'framing'],
      ['a TLV that begins in the last word and claims 255', '01 02 22 63 14 ff 00 00', 'framing'],
      ['the same TLV twice', answer(UNKNOWN, UNKNOWN), 'duplicate'],
      ['an Error TLV twice', answer(errorTlv(32), errorTlv(64)), 'duplicate'],
      ['a TLV of type 0', answer('00 01 00 00'), 'reserved-type'],
      ['our own message', answer('0a 05 01 bb 00 00 00 00 00 00 00 00 00 00 ff ff cb 00 71 07'), 'value'],
      ['an Info TLV, which is for clients', answer('01 01 00 00'), 'value'],
    ]
    for (const [title, bytes, reason] of bad)
      for (const [how, steps] of [
        ['', [send(`${bytes} ${HELLO}`)]],
        [', in drops', [drip(bytes), send(HELLO)]],
      ] as const)
        test(`${title}${how}: reset, and nothing of it reaches the application`, async () => {
          const { error, bytes: seen } = await dial([message, ...steps])
          expect(error).toMatchObject({ code: 'ERR_CONVERT_MALFORMED', name: 'ConvertError' })
          expect(error!.cause).toMatchObject({ name: 'WireError', reason })
          expect(seen).toHaveLength(0)
          expect(await converter!.ended(0)).toBe('reset')
        })

    test('garbage, many times over: always malformed or waited for, never more', async () => {
      let state = 7
      const random = () => {
        state = (state * 1_103_515_245 + 12_345) % 2 ** 31
        return byte((state >> 16) & 0xff)
      }
      for (let round = 0; round < 60; round++) {
        // Every other one has a good header, and garbage for TLVs.
        const text = Array.from({ length: 40 }, random).join(' ')
        const { error, bytes: seen } = await dial([message, send(round % 2 ? `01 0b 22 63 ${text}` : text)])
        expect(error).toMatchObject({ code: 'ERR_CONVERT_MALFORMED' })
        expect(seen).toHaveLength(0)
        expect(await converter!.ended(0)).toBe('reset')
        await converter!.close()
      }
    })
  })

  describe('that do not come to their end', () => {
    const closed: [string, Step[]][] = [
      ['FIN at once', [end]],
      ['FIN after the message', [message, end]],
      ['FIN in the middle of the header', [message, send('01 01'), end]],
      ['FIN between header and TLV', [message, send('01 02 22 63'), end]],
      ['FIN in the middle of a TLV', [message, send('01 02 22 63 63'), pause(20), end]],
    ]
    for (const [title, steps] of closed)
      test(title, async () => {
        const { error, bytes } = await dial(steps)
        expect(error).toMatchObject({ code: 'ERR_CONVERT_CLOSED', converter: converter!.name })
        expect(bytes).toHaveLength(0)
      })

    const broken: [string, Step[]][] = [
      ['RST at once', [reset]],
      ['RST after the message', [message, reset]],
      ['RST in the middle of the header', [message, send('01 01'), pause(30), reset]],
      ['RST in the middle of a TLV', [message, send('01 02 22 63 63'), pause(30), reset]],
    ]
    for (const [title, steps] of broken)
      test(title, async () => {
        const { error, bytes } = await dial(steps)
        expect(error).toMatchObject({ code: 'ECONNRESET', syscall: 'connect', port: converter!.port })
        expect(bytes).toHaveLength(0)
      })

    for (const [title, steps] of [
      ['FIN at once', [end]],
      ['RST at once', [reset]],
    ] as const)
      test(`${title}, with bytes to send: no throw, no crash, one error`, async () => {
        for (let round = 0; round < 20; round++) {
          const { socket, error } = await dial([...steps], {}, 'x'.repeat(60_000))
          expect(error?.code).toMatch(/^(ECONNRESET|EPIPE|ERR_CONVERT_CLOSED)$/)
          expect(socket.destroyed).toBe(true)
          await converter!.close()
        }
      })

    const silent: [string, Step[]][] = [
      ['silence', []],
      ['silence after the message', [message]],
      ['half a header, then silence', [message, send('01 01')]],
      ['a header, then silence', [message, send('01 05 22 63')]],
      ['all but the last byte', [message, send('01 02 22 63 63 01 00')]],
    ]
    for (const [title, steps] of silent)
      test(`${title}: bounded by converterTimeout`, async () => {
        const { error, took, bytes } = await dial(steps, { converterTimeout: 150 })
        expect(error).toMatchObject({ code: 'ERR_CONVERT_TIMEOUT' })
        expect(took).toBeGreaterThan(140)
        expect(took).toBeLessThan(1500)
        expect(bytes).toHaveLength(0)
        expect(await converter!.ended(0)).toBe('reset')
      })

    test('a drop now and then does not stretch converterTimeout', async () => {
      const { error, took } = await dial([message, drip(answer(`63 fe ${'00'.repeat(1014)}`), 20)], {
        converterTimeout: 200,
      })
      expect(error).toMatchObject({ code: 'ERR_CONVERT_TIMEOUT' })
      expect(took).toBeLessThan(1500)
    })

    test('silence: bounded by connectTimeout', async () => {
      const { error, took } = await dial([], { converterTimeout: 0, connectTimeout: 150 })
      expect(error).toMatchObject({ code: 'ETIMEDOUT', syscall: 'connect', port: converter!.port })
      expect(took).toBeLessThan(1500)
    })

    for (const [title, steps] of [
      ['nothing', []],
      ['half of the answer', [send('01 04 22 63 00')]],
    ] as const)
      test(`destroyed when ${title} of the answer has arrived: the converter is reset, and no event follows`, async () => {
        converter = await hostileConverter([[message, ...steps]])
        const socket = connect({ ...SERVER, converters: converter.name, convert: '1rtt' })
        const events: string[] = []
        for (const name of ['connect', 'error', 'data', 'end']) socket.on(name, () => events.push(name))
        await expect.poll(() => converter!.heard[0]?.bytes.length).toBe(24)
        await sleep(20)
        socket.destroy()
        await once(socket, 'close')
        expect(await converter.ended(0)).toBe('reset')
        expect(events).toEqual([])
      })

    test('no descriptor is left, of the process either', async () => {
      const scripts: Step[][] = [
        [end],
        [reset],
        [message, send('01 00')],
        [message, send(answer(errorTlv(32)))],
        [message],
      ]
      const round = () => Promise.all(scripts.map(script => dialAndClose(script)))
      await round()
      await sleep(20)
      const before = readdirSync('/proc/self/fd').length
      for (let i = 0; i < 10; i++) await round()
      await expect.poll(() => readdirSync('/proc/self/fd').length).toBe(before)
    })
  })

  test('the answer is cut off by RST while it is delivered with the server data', async () => {
    const { error, all } = await dial([message, send(`${SUCCESS} ${HELLO}`), pause(50), reset])
    expect(error).toBeUndefined()
    expect((await all).toString()).toBe('hello')
  })

  test('bytes that left early are not sent to another way once one has failed', async () => {
    await using second = await hostileConverter([[message, send(SUCCESS), echo]])
    converter = await hostileConverter([[message, behind(4), send('01 00 22 63')]])
    const { error } = await outcomeOf(
      { ...SERVER, converters: [converter.name, second.name], convert: '1rtt' } as MptcpConnectOptions,
      'ping',
    )
    expect(error).toMatchObject({ code: 'ERR_CONVERT_MALFORMED' })
    expect(second.heard).toHaveLength(0)
  })

  test('without bytes under way the next converter is tried', async () => {
    await using second = await hostileConverter([[message, send(SUCCESS), echo]])
    converter = await hostileConverter([[message, send('01 00 22 63')]])
    const { socket, error } = await outcomeOf({
      ...SERVER,
      converters: [converter.name, second.name],
      convert: '1rtt',
    } as MptcpConnectOptions)
    expect(error).toBeUndefined()
    expect(socket.mptcp.converter).toMatchObject({ name: second.name, port: second.port })
    socket.destroy()
  })
})
