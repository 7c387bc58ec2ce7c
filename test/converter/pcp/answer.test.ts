/** What a PCP server answers to which datagram: RFC 6887 §8.2, in its order. Requests laid by hand in pcp.vectors.ts. */
import { describe, expect, test } from 'vitest'
import { answerPcp } from '../../../lib/converter/pcp/answer.js'
import { Mappings } from '../../../lib/converter/pcp/mappings.js'
import { PrefixSet } from '../../../lib/input/addresses.js'
import { decodePcpResponse } from '../../../lib/wire/pcp/index.js'
import { hex } from '../../support/hex.js'
import { seeded } from '../../support/random.js'
import { REQUESTS } from '../../wire/pcp/vectors.js'

const NOW = 1_000_000_000
const EPOCH = 77
const CLIENT = { address: '10.1.0.2', port: 40000 }
const LIMITS = {
  ...{ external: ['192.0.2.1'], ports: [[20000, 20003]] as [number, number][] },
  ...{ quota: 3, minLifetime: 120, maxLifetime: 3600, maxFilters: 2, reuseDelay: 120 },
}

function answer(bytes: Uint8Array, client = CLIENT, thirdParty: string[] = [], table = new Mappings(LIMITS)) {
  const policy = { allow: new PrefixSet(['10.0.0.0/8'], 'allow'), thirdParty: new PrefixSet(thirdParty, 'thirdParty') }
  const { bytes: said, result } = answerPcp(bytes, client, '192.0.2.1', table, policy, EPOCH, NOW)
  const header = said && new DataView(said.buffer, said.byteOffset)
  if (header) expect([header.getUint8(0), header.getUint32(8)]).toEqual([2, EPOCH])
  return { said, result, code: header?.getUint8(3), lifetime: header?.getUint32(4), table }
}

const [announce, map, , deletion, peer, unknown] = REQUESTS.map(({ bytes }) => bytes) as Uint8Array[]
const changed = (bytes: Uint8Array, at: number, digits: string) => {
  const copy = bytes.slice()
  copy.set(hex(digits), at)
  return copy
}
const withOptions = (digits: string) => new Uint8Array([...map!, ...hex(digits)])

describe('dropped without a word', () => {
  test.each<[string, Uint8Array, object]>([
    ['nothing', hex(''), CLIENT],
    ['one octet', hex('02'), CLIENT],
    ['a response', changed(map!, 1, '81'), CLIENT],
    ['23 octets', map!.subarray(0, 23), CLIENT],
    ['who is not of the internal realm', map!, { address: '198.51.100.2', port: 40000 }],
  ])('%s', (_, bytes, client) => {
    const { said, result, table } = answer(bytes, client as typeof CLIENT)
    expect([said, result, table.all]).toEqual([undefined, 'ignored', []])
  })
})

describe('refused', () => {
  const mine = '00 00 00 00 00 00 00 00 00 00 ff ff 0a 01 00 02'
  const other = '00 00 00 00 00 00 00 00 00 00 ff ff 0a 01 00 03'
  test.each<[string, Uint8Array, string, number]>([
    ['NAT-PMP', hex('00 00'), 'unsupp-version', 1],
    ['version 3', changed(map!, 0, '03'), 'unsupp-version', 1],
    ['57 octets', map!.subarray(0, 57), 'malformed-request', 3],
    ['MAP cut short', map!.subarray(0, 56), 'malformed-request', 3],
    ['1104 octets', new Uint8Array([...map!, ...new Uint8Array(1044)]), 'malformed-request', 3],
    ['an option that reaches out', withOptions('c8 00 00 08 00 00 00 00'), 'malformed-option', 6],
    ['an address that is not the source', changed(map!, 23, '03'), 'address-mismatch', 12],
    ['the same, and options that are none', changed(withOptions('03 00 00 00'), 23, '03'), 'address-mismatch', 12],
    ['PEER', peer!, 'unsupp-opcode', 4],
    ['PEER with an option cut short', new Uint8Array([...peer!, ...hex('03 00 00 14')]), 'unsupp-opcode', 4],
    ['PEER of 76 octets', peer!.subarray(0, 76), 'unsupp-opcode', 4],
    ['PEER of 77 octets', peer!.subarray(0, 77), 'malformed-request', 3],
    ['PEER of another address', changed(new Uint8Array([...peer!, 3, 0, 0, 20]), 23, '03'), 'address-mismatch', 12],
    ['an opcode that nobody knows', unknown!, 'unsupp-opcode', 4],
    ['a mandatory option that nobody knows', withOptions('7f 00 00 00'), 'unsupp-option', 5],
    ['oneself as a third party', withOptions(`01 00 00 10 ${mine}`), 'malformed-request', 3],
    ['a third party', withOptions(`01 00 00 10 ${other}`), 'unsupp-option', 5],
    ['UDP', changed(map!, 36, '11'), 'unsupp-protocol', 9],
    ['PREFER_FAILURE of any port', withOptions('02 00 00 00'), 'malformed-option', 6],
    [
      'ANNOUNCE with FILTER',
      new Uint8Array([...announce!, ...hex(`03 00 00 14 00 60 00 00 ${other}`)]),
      'malformed-option',
      6,
    ],
  ])('%s', (_, bytes, result, code) => {
    const { said, result: found, code: number, lifetime, table } = answer(bytes)
    expect([found, number, lifetime]).toEqual([result, code, 1800])
    expect(table.all).toEqual([])
    // §8.2: "Copying the entire UDP payload, or 1100 octets".
    expect(said!.subarray(24, bytes.length)).toEqual(bytes.subarray(24, 1100))
  })
})

describe('granted', () => {
  test('ANNOUNCE: the epoch', () => {
    expect(decodePcpResponse(answer(announce!).said!)).toEqual({
      ...{ version: 2, result: 0, lifetime: 0, epoch: EPOCH, operation: { type: 'announce' }, options: [] },
    })
  })

  test('MAP: what was asked, what was assigned, the options that were processed', () => {
    const filter = '03 00 00 14 00 80 00 50 00 00 00 00 00 00 00 00 00 00 ff ff c6 33 64 02'
    const { said, table } = answer(withOptions(`c8 00 00 04 01 02 03 04 ${filter}`))
    expect(decodePcpResponse(said!)).toEqual({
      ...{ version: 2, result: 0, lifetime: 3600, epoch: EPOCH },
      operation: {
        ...{ type: 'map', nonce: hex('01 23 45 67 89 ab cd ef 10 32 54 76'), protocol: 6, internalPort: 8080 },
        ...{ externalPort: 20000, externalAddress: '192.0.2.1' },
        externalPort: expect.any(Number),
      },
      options: [{ type: 'filter', address: '198.51.100.2', prefixLength: 32, port: 80 }],
    })
    expect(table.all[0]!.paths).toMatchObject([{ address: '10.1.0.2', client: CLIENT, server: '192.0.2.1' }])
  })

  test('deleting what is not there', () => {
    expect(decodePcpResponse(answer(deletion!).said!)).toMatchObject({ result: 0, lifetime: 0 })
  })

  test.each([
    ['loopback', '7f 00 00 01'],
    ['a neighbour', 'c0 a8 00 01'],
  ])('not for %s, which is no client', (_, address) => {
    const third = withOptions(`01 00 00 10 00 00 00 00 00 00 00 00 00 00 ff ff ${address}`)
    const { result, table } = answer(third, CLIENT, ['10.1.0.2'])
    expect(result).toBe('not-authorized')
    expect(table.all).toEqual([])
  })

  test('for a third party, if the client is allowed to', () => {
    const third = withOptions('01 00 00 10 00 00 00 00 00 00 00 00 00 00 ff ff 0a 01 00 03')
    const { said, table } = answer(third, CLIENT, ['10.1.0.2'])
    expect(decodePcpResponse(said!)).toMatchObject({
      result: 0,
      options: [{ type: 'third-party', internalAddress: '10.1.0.3' }],
    })
    expect(table.all[0]!.paths[0]!.address).toBe('10.1.0.3')
  })
})

test('10,000 random datagrams: an answer or none, never more octets than asked, but for padding', () => {
  const random = seeded(5351)
  const table = new Mappings(LIMITS)
  for (let i = 0; i < 10_000; i++) {
    const bytes = REQUESTS[Math.floor(random() * REQUESTS.length)]!.bytes.slice(0, Math.floor(random() * 250))
    for (let n = Math.floor(random() * 4); n > 0 && bytes.length > 0; n--)
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256)
    const { said } = answer(bytes, CLIENT, [], table)
    if (said) expect(said.length).toBeLessThanOrEqual(Math.max(Math.ceil(bytes.length / 4) * 4, 24))
  }
})
