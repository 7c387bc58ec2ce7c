import { setTimeout } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { decodeTcpOptions } from '../../../lib/wire/convert/index.js'
import { hex } from '../../support/hex.js'
import { mptcp } from '../../support/probes.js'
import { requires } from '../../support/requires.js'
import { connectTlv, echo, message, rig, serve, serveMptcp, silentPort, until } from '../rig.js'

const INFO = hex('0101 0000')
const hello = Buffer.from('hello')

describe('what is answered', () => {
  test('a Connect: the bare header, and nothing else', async () => {
    const { port } = await echo()
    const { client, closed } = await rig()
    const speaker = client(message(connectTlv(port)))
    expect(await speaker.hears(4)).toBe('01012263')
    speaker.socket.end()
    expect(await speaker.hearsAll()).toBe('01012263')
    expect(await closed()).toMatchObject({
      state: 'closed',
      target: { address: '127.0.0.1', port },
      serverProtocol: 'tcp',
    })
  })

  test('an Info alone: what the kernel supports, and the end', async () => {
    const { client, closed } = await rig({ protocol: 'tcp' })
    expect(await client(message(INFO)).hearsAll()).toMatch(/^0103226315020000(04080000|04000000|08000000)$/)
    expect((await closed()).error).toBeUndefined()
  })

  test('Info and Connect, in either order', async () => {
    const { port } = await echo()
    const { client } = await rig()
    for (const tlvs of [
      [INFO, connectTlv(port)],
      [connectTlv(port), INFO],
    ])
      expect(await client(message(...tlvs)).hears(12)).toMatch(/^0103226315020000/)
  })

  test('an unsolicited cookie is ignored', async () => {
    const { client } = await rig()
    expect(await client(message(hex('1602 0000 01020304'))).hearsAll()).toBe('01012263')
  })

  test('an extended Connect: the options of the SYN+ACK', async () => {
    const { port } = await echo()
    const { client } = await rig()
    const speaker = client(message(connectTlv(port, '127.0.0.1', 1), hex('0402 0802')))
    await speaker.hears(8)
    const options = decodeTcpOptions(speaker.received.subarray(8))
    expect(speaker.received.length % 4).toBe(0)
    expect(options.map(({ kind }) => kind)).toEqual([2, 4, 8, 3])
    expect(options[0]!.value).toHaveLength(2)
  })

  test('an extended Connect with padding only: the options of the SYN+ACK, too (§6.2.6)', async () => {
    const { port } = await echo()
    const { client } = await rig()
    const speaker = client(message(connectTlv(port, '127.0.0.1', 1), hex('00000000')))
    await speaker.hears(8)
    // Header, then the Extended TCP Header TLV (20 = 0x14).
    expect(speaker.received.subarray(2, 5)).toEqual(Buffer.from(hex('2263 14')))
  })

  requires('MPTCP', mptcp)('an extended Connect with MPTCP: not in the answer of a server without it', async () => {
    const { port } = await echo()
    const { client, closed } = await rig()
    const speaker = client(message(connectTlv(port, '127.0.0.1', 1), hex('1e02 0000')))
    await speaker.hears(8)
    expect(decodeTcpOptions(speaker.received.subarray(8)).map(({ kind }) => kind)).not.toContain(30)
    speaker.socket.end()
    expect((await closed()).serverProtocol).toBe('tcp')
  })

  requires('MPTCP', mptcp)('an extended Connect with MPTCP, to a server that has it', async () => {
    const port = await serveMptcp(socket => void socket.pipe(socket))
    const { client, closed } = await rig()
    const speaker = client(message(connectTlv(port, '127.0.0.1', 1), hex('1e02 0000')))
    await speaker.hears(8)
    const options = decodeTcpOptions(speaker.received.subarray(8))
    expect(options.find(({ kind }) => kind === 30)?.value).toEqual(hex('01 01'))
    speaker.socket.end('over MPTCP')
    await speaker.hearsAll()
    expect(await closed()).toMatchObject({ serverProtocol: 'mptcp', bytes: { fromClient: 10, fromServer: 10 } })
  })

  test('over IPv6, to IPv6', async () => {
    const { port } = await serve(socket => void socket.pipe(socket), { host: '::1', port: 0 })
    const { client, closed } = await rig({ listen: '[::1]:0' })
    const speaker = client(Buffer.concat([message(connectTlv(port, '::1')), hello]), '::1')
    expect(await speaker.hears(9)).toBe(`01012263${hello.toString('hex')}`)
    speaker.socket.end()
    expect((await closed()).target).toEqual({ address: '::1', port })
  })
})

describe('how it comes', () => {
  test('with application data behind it, in one segment', async () => {
    const { port } = await echo()
    const { client } = await rig()
    const speaker = client(Buffer.concat([message(connectTlv(port)), hello]))
    expect(await speaker.hears(9)).toBe(`01012263${hello.toString('hex')}`)
  })

  test('with a megabyte behind it, and the end', async () => {
    const { port } = await echo()
    const { client } = await rig()
    const data = Buffer.alloc(1 << 20, 'atsss ')
    const speaker = client(Buffer.concat([message(connectTlv(port)), data]))
    speaker.socket.end()
    await speaker.hearsAll()
    expect(speaker.received.subarray(4).equals(data)).toBe(true)
  })

  test('one byte at a time', async () => {
    const { port } = await echo()
    const { client } = await rig()
    const speaker = client()
    for (const value of Buffer.concat([message(INFO, connectTlv(port)), hello])) {
      speaker.socket.write(Uint8Array.of(value))
      await setTimeout(1)
    }
    expect(await speaker.hears(17)).toMatch(/^0103226315020000........68656c6c6f$/)
  })

  test('in two parts, wherever it is cut', async () => {
    const { port } = await echo()
    const { client } = await rig()
    const bytes = Buffer.concat([message(connectTlv(port)), hello])
    const speakers = [...bytes.keys()].slice(1).map(cut => {
      const speaker = client(bytes.subarray(0, cut))
      setTimeout(10).then(() => speaker.socket.write(bytes.subarray(cut)))
      return speaker
    })
    for (const speaker of speakers) expect(await speaker.hears(9)).toBe(`01012263${hello.toString('hex')}`)
  })

  test('with the end behind it, while the server has not accepted', async () => {
    const { port } = await echo()
    const { client } = await rig()
    const speaker = client()
    speaker.socket.end(Buffer.concat([message(connectTlv(port)), hello]))
    expect(await speaker.hearsAll()).toBe(`01012263${hello.toString('hex')}`)
  })
})

describe('what is not Convert gets no answer', () => {
  test.each([
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: example\r\n\r\n')],
    ['TLS', hex('16 03 01 02 00 01 00 01 fc 03 03')],
    ['zeros', new Uint8Array(2000)],
    ['a message of an early draft, without the magic', hex('01060000 0a050050 00000000 00000000 0000ffff c0000201')],
  ])('%s', async (_, bytes) => {
    const { client, closed, converter } = await rig()
    const speaker = client(bytes)
    await closed()
    await speaker.fails()
    expect(speaker.hex).toBe('')
    expect(converter.stats()).toMatchObject({ clientErrors: { magic: 1 }, refused: {} })
  })

  test('a Total Length of zero is reset', async () => {
    const { client, converter } = await rig()
    const speaker = client(hex('0100 2263 01010000'))
    expect(await speaker.fails()).toBe('ECONNRESET')
    expect(speaker.hex).toBe('')
    expect(converter.stats().clientErrors).toEqual({ 'total-length': 1 })
  })

  test.each([
    ['nothing', ''],
    ['one byte', '01'],
    ['a header', '0106 2263'],
    ['all but the last byte', '0102 2263 010100'],
  ])('%s, and silence', async (_, text) => {
    const { client, converter } = await rig({ messageTimeout: 50 })
    expect(await client(hex(text)).fails()).toBe('ECONNRESET')
    expect(converter.stats().clientErrors).toEqual({ timeout: 1 })
  })
})

describe('a client that goes away', () => {
  test.each([
    ['before it says anything', ''],
    ['within the header', '0106'],
    ['within the message', '0106 2263 0a05'],
  ])('%s: FIN, and RST', async (_, text) => {
    const { client, converter, events } = await rig()
    client(hex(text)).socket.end()
    const second = client(hex(text))
    await until(() => converter.stats().accepted === 2)
    await setTimeout(20)
    second.socket.resetAndDestroy()
    await until(() => events.filter(([name]) => name === 'closed').length === 2)
    expect(converter.stats().clientErrors).toEqual({ ended: 1, reset: 1 })
  })

  test('while its server is being connected to', async () => {
    const { client, closed, converter } = await rig()
    const speaker = client(message(connectTlv(silentPort())))
    await until(() => converter.stats().pending === 1)
    await setTimeout(20)
    speaker.socket.resetAndDestroy()
    expect(await closed()).toMatchObject({ bytes: { fromClient: 0, fromServer: 0 } })
    expect(converter.stats()).toMatchObject({ connections: 0, clientErrors: { reset: 1 } })
  })

  test('right after its message', async () => {
    const { port } = await echo()
    const { client, converter, events } = await rig()
    for (let i = 0; i < 50; i++) {
      const { socket } = client()
      socket.once('connect', () => socket.write(message(connectTlv(port)), () => socket.resetAndDestroy()))
    }
    // Some may have gone before they were accepted.
    await until(() => events.filter(([name]) => name === 'closed').length + converter.stats().abandoned === 50)
  })

  test('after an Error TLV, as RFC 8803 has it', async () => {
    const { client, closed } = await rig({ lingerTimeout: 60_000 })
    const speaker = client(message(connectTlv(0)))
    await speaker.hears(8)
    speaker.socket.resetAndDestroy()
    expect((await closed()).error).toEqual({ name: 'malformed-message', code: 1 })
  })

  test('never, after an Error TLV: then it is reset', async () => {
    const { client, closed } = await rig({ lingerTimeout: 100 })
    const speaker = client(message(connectTlv(0)))
    await speaker.hearsAll()
    speaker.socket.write('more, which is let go')
    expect((await closed()).times.closed).toBeGreaterThan(90)
    speaker.socket.write('more')
    await until(() => speaker.error)
    expect(['ECONNRESET', 'EPIPE']).toContain(speaker.error?.code)
  })
})
