import { describe, expect, test } from 'vitest'
import { WireError } from '../../../lib/errors.js'
import {
  decodePcpRequest,
  decodePcpResponse,
  encodePcpError,
  encodePcpRequest,
  encodePcpRequestInto,
  encodePcpResponse,
  isMandatory,
  RESULTS,
  resultName,
} from '../../../lib/wire/pcp/index.js'
import { hex } from '../../support/hex.js'
import { REQUESTS, RESPONSES } from './vectors.js'

describe.each(REQUESTS)('request: $name ($source)', ({ bytes, message }) => {
  test('decodes', () => {
    expect(decodePcpRequest(bytes)).toStrictEqual(message)
  })

  test('encodes', () => {
    expect(encodePcpRequest(message)).toStrictEqual(bytes)
  })

  test('encodes into a dirty buffer, and not beyond', () => {
    const dirty = new Uint8Array(bytes.length + 8).fill(0xa5)
    expect(encodePcpRequestInto(dirty, message)).toBe(bytes.length)
    expect(dirty.subarray(0, bytes.length)).toStrictEqual(bytes)
    expect(dirty.subarray(bytes.length)).toStrictEqual(new Uint8Array(8).fill(0xa5))
    expect(() => encodePcpRequestInto(new Uint8Array(bytes.length - 1), message)).toThrow(WireError)
  })

  test('is no message at a proper prefix, unless options are missing', () => {
    for (let end = 0; end < bytes.length; end++) expectLess(() => decodePcpRequest(bytes.subarray(0, end)), message)
  })

  test('shares no memory with what was received', () => {
    const received = Buffer.from(bytes)
    const decoded = decodePcpRequest(received)
    received.fill(0xa5)
    expect(decoded).toStrictEqual(message)
  })

  test('is no response', () => {
    expect(() => decodePcpResponse(bytes)).toThrow(expect.objectContaining({ reason: 'pcp-direction' }))
  })
})

describe.each(RESPONSES)('response: $name ($source)', ({ bytes, message }) => {
  test('decodes', () => {
    expect(decodePcpResponse(bytes)).toStrictEqual(message)
  })

  test('encodes', () => {
    expect(encodePcpResponse(message)).toStrictEqual(bytes)
  })

  test('is no message at a proper prefix, unless options are missing', () => {
    for (let end = 0; end < bytes.length; end++) expectLess(() => decodePcpResponse(bytes.subarray(0, end)), message)
  })

  test('is no request', () => {
    expect(() => decodePcpRequest(bytes)).toThrow(expect.objectContaining({ reason: 'pcp-direction' }))
  })
})

/** A `WireError`, or the same message with fewer options. */
function expectLess(decode: () => object, whole: { operation: object; options: object[] }): void {
  try {
    const { operation, options } = decode() as typeof whole
    if (whole.operation && 'payload' in whole.operation) return
    expect(operation).toStrictEqual(whole.operation)
    expect(options.length).toBeLessThan(whole.options.length)
    expect(options).toStrictEqual(whole.options.slice(0, options.length))
  } catch (error) {
    expect(error).toBeInstanceOf(WireError)
    expect(error).toMatchObject({ code: 'ERR_PCP_MALFORMED' })
  }
}

const map = REQUESTS[1]!
/** With some octets changed, from an offset on. */
const changed = (bytes: Uint8Array, at: number, digits: string) => {
  const copy = bytes.slice()
  copy.set(hex(digits), at)
  return copy
}
const withOptions = (digits: string) => new Uint8Array([...map.bytes, ...hex(digits)])

describe('ignored when received', () => {
  test('reserved octets of a request', () => {
    const bytes = changed(changed(map.bytes, 2, 'a5 a5'), 37, 'a5 a5 a5')
    expect(decodePcpRequest(bytes)).toStrictEqual(map.message)
  })

  test('reserved octets of a response', () => {
    const { bytes, message } = RESPONSES[0]!
    expect(decodePcpResponse(changed(changed(bytes, 2, 'a5'), 12, 'a5'.repeat(12)))).toStrictEqual(message)
  })

  test('reserved octets and padding of options', () => {
    expect(decodePcpRequest(withOptions('c8 a5 00 01 07 a5 a5 a5')).options).toStrictEqual([
      { type: 'unknown', code: 200, data: hex('07') },
    ])
    const filter = 'a5 60 00 00 00 00 00 00 00 00 00 00 00 00 ff ff 00 00 00 00'
    expect(decodePcpRequest(withOptions(`03 a5 00 14 ${filter}`)).options).toStrictEqual([
      { type: 'filter', address: '0.0.0.0', prefixLength: 0, port: 0 },
    ])
  })
})

describe('malformed requests, in the order of RFC 6887 §8.2', () => {
  const mapped = '00 00 00 00 00 00 00 00 00 00 ff ff c0 00 02 01'
  test.each<[string, Uint8Array, string]>([
    ['nothing', hex(''), 'framing'],
    ['one octet', hex('02'), 'framing'],
    ['the R bit', hex('01 81'), 'pcp-direction'],
    ['version 1', hex('01 01'), 'version'],
    ['version 0: NAT-PMP', hex('00 00'), 'version'],
    ['version 3', changed(map.bytes, 0, '03'), 'version'],
    ['23 octets', map.bytes.subarray(0, 23), 'framing'],
    ['no multiple of 4', new Uint8Array([...map.bytes, 0]), 'framing'],
    ['1104 octets', new Uint8Array([...map.bytes, ...new Uint8Array(1044)]), 'framing'],
    ['MAP cut short', map.bytes.subarray(0, 56), 'framing'],
    ['PEER cut short', REQUESTS[4]!.bytes.subarray(0, 76), 'framing'],
    ['an option that reaches out', withOptions('c8 00 00 08 00 00 00 00'), 'pcp-option'],
    ['THIRD_PARTY of 15 octets', withOptions(`01 00 00 0f ${mapped}`), 'pcp-option'],
    ['THIRD_PARTY without data', withOptions('01 00 00 00'), 'pcp-option'],
    ['PREFER_FAILURE with data', withOptions('02 00 00 04 00 00 00 00'), 'pcp-option'],
    ['FILTER of 16 octets', withOptions(`03 00 00 10 ${mapped}`), 'pcp-option'],
    ['FILTER of 95 bits for IPv4', withOptions(`03 00 00 14 00 5f 00 00 ${mapped}`), 'pcp-option'],
    ['FILTER of 129 bits', withOptions(`03 00 00 14 00 81 00 00 ${mapped}`), 'pcp-option'],
    ['PREFER_FAILURE twice', withOptions('02 00 00 00 02 00 00 00'), 'pcp-option'],
    ['THIRD_PARTY twice', withOptions(`01 00 00 10 ${mapped} 01 00 00 10 ${mapped}`), 'pcp-option'],
  ])('%s', (_, bytes, reason) => {
    expect(() => decodePcpRequest(bytes)).toThrow(expect.objectContaining({ code: 'ERR_PCP_MALFORMED', reason }))
  })

  test('the longest message that may be', () => {
    // 1100 octets: the MAP, and an option of 1036 octets of data.
    const bytes = withOptions(`c8 00 04 0c ${'07'.repeat(1036)}`)
    expect(bytes).toHaveLength(1100)
    expect(encodePcpRequest(decodePcpRequest(bytes))).toStrictEqual(bytes)
  })
})

describe('UNSUPP_VERSION', () => {
  const unsupported = (version: number, opcode: number) => ({
    version,
    result: 1,
    lifetime: 0,
    epoch: 0,
    operation: { type: 'unknown', opcode, payload: hex('') },
    options: [],
  })

  // RFC 6886 §3.5: version 0, opcode, 16-bit result code 1, seconds since the start of the epoch.
  test('of a NAT-PMP server', () => {
    expect(decodePcpResponse(hex('00 81 00 01 00 01 e2 40'))).toStrictEqual(unsupported(0, 1))
  })

  test('of a version to come', () => {
    expect(decodePcpResponse(hex('03 81 00 01'))).toStrictEqual(unsupported(3, 1))
  })

  test('of version 2, with its lifetime and epoch', () => {
    const bytes = changed(RESPONSES[1]!.bytes, 3, '01')
    expect(decodePcpResponse(bytes)).toStrictEqual({ ...RESPONSES[1]!.message, result: 1 })
  })

  test('another result in another version is nothing', () => {
    expect(() => decodePcpResponse(hex('00 81 00 02 00 01 e2 40'))).toThrow(
      expect.objectContaining({ reason: 'version' }),
    )
  })
})

describe('an error is a copy of the request (§8.2)', () => {
  const about = { result: RESULTS['unsupp-option'], lifetime: 1800, epoch: 7 }

  test('parsed: reserved octets are zero', () => {
    const expected = changed(changed(map.bytes, 1, '81 00 05 00 00 07 08 00 00 00 07'), 12, '00'.repeat(12))
    expect(encodePcpError(map.bytes, { ...about, parsed: true })).toStrictEqual(expected)
    expect(decodePcpResponse(expected)).toMatchObject({ result: 5, lifetime: 1800, epoch: 7 })
  })

  test('not parsed: the last 96 bits of the address stay (§7.2)', () => {
    const expected = changed(map.bytes, 1, '81 00 03 00 00 07 08 00 00 00 07')
    expect(encodePcpError(map.bytes, { ...about, result: 3, parsed: false })).toStrictEqual(expected)
  })

  test('padded, cut to 1100 octets, and of version 2', () => {
    expect(encodePcpError(new Uint8Array(1303), { ...about, parsed: false })).toHaveLength(1100)
    expect(encodePcpError(map.bytes.subarray(0, 57), { ...about, parsed: false })).toHaveLength(60)
    const error = encodePcpError(hex('00 00'), { ...about, result: 1, parsed: false })
    expect(error).toStrictEqual(hex('02 80 00 01 00 00 07 08 00 00 00 07 00 00 00 00 00 00 00 00 00 00 00 00'))
  })
})

describe('the encoder refuses', () => {
  const operation = map.message.operation as Extract<typeof map.message.operation, { type: 'map' }>
  const peer = REQUESTS[4]!.message
  const request = (change: object = {}, options: object[] = [], rest: object = {}) =>
    ({ ...map.message, operation: { ...operation, ...change }, options, ...rest }) as typeof map.message
  const unknown = (code: number, data: unknown) => request({}, [{ type: 'unknown', code, data }])

  test.each<[string, object]>([
    ['a nonce of 11 octets', request({ nonce: new Uint8Array(11) })],
    ['a nonce that is text', request({ nonce: 'abcdefghijkl' })],
    ['protocol 256', request({ protocol: 256 })],
    ['port 65536', request({ internalPort: 65536 })],
    ['external port -1', request({ externalPort: -1 })],
    ['a name', request({ externalAddress: 'example.com' })],
    ['a client without an address', request({}, [], { clientAddress: undefined })],
    ['a lifetime of 2^32', request({}, [], { lifetime: 2 ** 32 })],
    ['a port of all protocols', request({ protocol: 0 })],
    ['ANNOUNCE with a lifetime', request({ type: 'announce' }, [], { lifetime: 1 })],
    ['PEER of protocol 0', { ...peer, operation: { ...peer.operation, protocol: 0 } }],
    ['PEER of internal port 0', { ...peer, operation: { ...peer.operation, internalPort: 0 } }],
    ['PEER of remote port 0', { ...peer, operation: { ...peer.operation, remotePort: 0 } }],
    ['PEER with FILTER', { ...peer, options: [{ type: 'clear-filters' }] }],
    ['PEER with PREFER_FAILURE', { ...peer, options: [{ type: 'prefer-failure' }] }],
    ['oneself as a third party', request({}, [{ type: 'third-party', internalAddress: '10.1.0.2' }])],
    ['oneself in another spelling', request({}, [{ type: 'third-party', internalAddress: '::ffff:a01:2' }])],
    [
      'two third parties',
      request(
        {},
        ['10.1.0.3', '10.1.0.4'].map(internalAddress => ({ type: 'third-party', internalAddress })),
      ),
    ],
    ['two PREFER_FAILURE', request({ externalPort: 1 }, [{ type: 'prefer-failure' }, { type: 'prefer-failure' }])],
    ['PREFER_FAILURE of any port', request({}, [{ type: 'prefer-failure' }])],
    ['deleting with FILTER', request({}, [{ type: 'clear-filters' }], { lifetime: 0 })],
    ['deleting with a suggestion', request({ externalPort: 1 }, [], { lifetime: 0 })],
    ['IPv6 prefixes of no bits', request({}, [{ type: 'filter', address: '::', prefixLength: 0, port: 0 }])],
    ['IPv4 prefixes of 33 bits', request({}, [{ type: 'filter', address: '10.0.0.0', prefixLength: 33, port: 0 }])],
    ['a known option called unknown', unknown(1, new Uint8Array(16))],
    ['a known opcode called unknown', request({ type: 'unknown', opcode: 1, payload: new Uint8Array(0) })],
    ['a payload of 3 octets', request({ type: 'unknown', opcode: 9, payload: new Uint8Array(3) })],
    ['an option without data', unknown(200, undefined)],
    ['more than 1100 octets', unknown(200, new Uint8Array(1037))],
    ['an operation that nobody knows', request({ type: 'mop' })],
    ['an option that nobody knows', request({}, [{ type: 'filters' }])],
  ])('%s', (_, refused) => {
    expect(() => encodePcpRequest(refused as typeof map.message)).toThrow(
      expect.objectContaining({ name: 'WireError', code: 'ERR_PCP_ENCODE' }),
    )
  })
})

test.each(['0::0', '::ffff:0.0.0.0'])('%s is any address: deleting a mapping suggests none', externalAddress => {
  const { operation } = map.message
  const request = { ...map.message, lifetime: 0, operation: { ...operation, externalPort: 0, externalAddress } }
  expect(decodePcpRequest(encodePcpRequest(request as typeof map.message)).lifetime).toBe(0)
})

test('result codes (§7.4), by name and number', () => {
  expect([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14].map(resultName)).toStrictEqual([
    ...['success', 'unsupp-version', 'not-authorized', 'malformed-request', 'unsupp-opcode', 'unsupp-option'],
    ...['malformed-option', 'network-failure', 'no-resources', 'unsupp-protocol', 'user-ex-quota'],
    ...['cannot-provide-external', 'address-mismatch', 'excessive-remote-peers', undefined],
  ])
  expect(Object.values(RESULTS)).toStrictEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13])
})

test('the mandatory bit of unknown options (§7.3)', () => {
  const option = (code: number) => ({ type: 'unknown' as const, code, data: hex('') })
  expect([4, 127, 128, 255].map(code => isMandatory(option(code)))).toStrictEqual([true, true, false, false])
})
