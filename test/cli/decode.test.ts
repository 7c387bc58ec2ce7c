import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { fromText } from '../../lib/cli/decode/input.js'
import { hex } from '../support/hex.js'
import { atsss } from './atsss.js'

const directory = mkdtempSync(join(tmpdir(), 'atsss-decode-'))
afterAll(() => rmSync(directory, { recursive: true }))

/** RFC 8803 figures 13 and 17: Connect to 192.0.2.1:443. */
const CONNECT = '010622630a0501bb00000000000000000000ffffc0000201'

describe('what is text', () => {
  const bytes = hex(CONNECT)
  test.each([
    ['digits', CONNECT],
    ['with spaces and colons', '01:06:22:63 0a05 01bb 0000000000000000 0000 ffff c0000201'],
    ['as C has it', bytes.reduce((text, octet) => `${text}0x${octet.toString(16).padStart(2, '0')}, `, '')],
    ['with comments', '01 06 22 63 # header\n0a 05 01 bb\n00000000 00000000 0000ffff # mapped\nc0000201'],
    [
      'xxd',
      '00000000: 0106 2263 0a05 01bb 0000 0000 0000 0000  .."c............\n00000010: 0000 ffff c000 0201                      ........',
    ],
    [
      'hexdump -C',
      '00000000  01 06 22 63 0a 05 01 bb  00 00 00 00 00 00 00 00  |.."c............|\n00000010  00 00 ff ff c0 00 02 01                           |........|',
    ],
    ['tcpdump -x', '\t0x0000:  0106 2263 0a05 01bb 0000 0000 0000 0000\n\t0x0010:  0000 ffff c000 0201'],
    ['base64', 'AQYiYwoFAbsAAAAAAAAAAAAA///AAAIB'],
    ['base64url, broken up', 'AQYiYwoFAbsAAAAA\nAAAAAAAA___AAAIB'],
  ])('%s', (_name, text) => {
    expect(fromText(text)).toEqual(bytes)
  })

  test.each(['', 'hello, world', '0102 030', 'x', '{"a":1}'])('%j is not hexadecimal or base64', text => {
    expect(fromText(text)).toBeUndefined()
  })
})

test('a Convert message: offsets, octets, names', async () => {
  const { status, stdout, stderr } = await atsss(['decode', CONNECT])
  expect([status, stderr]).toEqual([0, ''])
  expect(stdout.split('\n').map(line => line.trimEnd())).toEqual([
    'Convert (RFC 8803), 24 bytes',
    '    0  01 06 22 63 0a 05 …  Convert message: 24 bytes',
    '    0  01                     Version: 1',
    '    1  06                     Total Length: 6 words, 24 bytes',
    '    2  22 63                  Magic Number: 0x2263',
    '    4  0a 05 01 bb 00 00 …    Connect TLV',
    '    4  0a                       Type: 10',
    '    5  05                       Length: 5 words',
    '    6  01 bb                    Remote Peer Port: 443',
    '    8  00 00 00 00 00 00 …      Remote Peer IP Address: 192.0.2.1',
    '',
  ])
})

test('from standard input, from a file of bytes, and as JSON', async () => {
  const file = join(directory, 'connect')
  writeFileSync(file, hex(CONNECT))
  const [input, named, json] = await Promise.all([
    atsss(['decode'], CONNECT),
    atsss(['decode', file]),
    atsss(['decode', '--json', '-'], hex(CONNECT)),
  ])
  expect([input.status, named.status, json.status]).toEqual([0, 0, 0])
  expect(named.stdout).toBe(input.stdout)
  expect(JSON.parse(json.stdout)).toMatchObject({
    kind: 'convert',
    length: 24,
    fields: [{ name: 'Convert message', offset: 0, length: 24 }],
    value: { length: 24, tlvs: [{ type: 'connect', address: '192.0.2.1', port: 443 }] },
  })
}, 15_000)

test('malformed bytes: the tree up to the fault, then where and what it is; status 1', async () => {
  const [cut, zero] = await Promise.all([
    atsss(['decode', CONNECT.slice(0, 24)]),
    atsss(['decode', '01022263 0a000000', '--json']),
  ])
  expect(cut.status).toBe(1)
  expect(cut.stdout).toContain('    2  22 63                  Magic Number: 0x2263\n')
  expect(cut.stdout).toMatch(/Broken at byte 12: cut short: the message has 24 bytes, 12 are there\n$/)
  expect(zero.status).toBe(1)
  expect(JSON.parse(zero.stdout)).toMatchObject({
    error: { code: 'ERR_CONVERT_MALFORMED', offset: 5, message: 'TLV 10 of length 0' },
  })
}, 15_000)

test.each([
  [['ffffffff'], "unrecognised format: 4 bytes that begin with 'ffffffff'; choose one with --as convert|nas|pcp|atsss"],
  [['no-such-file.bin!'], "'no-such-file.bin!' is not a file, and neither hexadecimal nor base64"],
  [['--as', 'convrt', CONNECT], '--as must be one of convert, nas, pcp, atsss'],
])('%j is a wrong command line', async (args, message) => {
  const { status, stderr, stdout } = await atsss(['decode', ...args])
  expect([status, stdout]).toEqual([2, ''])
  expect(stderr).toContain(message)
})

describe('captures', () => {
  /** Laid by hand from RFC 791, RFC 9293, RFC 8684 figure 4: a SYN with MP_CAPABLE, and the message in it. */
  const SYN = hex(`
    45 00 00 54 00 01 00 00 40 06 00 00  # IPv4, 84 octets, TCP
    0a 01 00 02 c0 00 02 01              # 10.1.0.2 to 192.0.2.1
    9c 40 14 04                          # port 40000 to 5124
    00 00 00 01 00 00 00 00              # sequence number 1
    a0 02 ff ff 00 00 00 00              # header of 10 words, SYN
    22 02 01 01                          # Fast Open without a cookie, padding
    1e 04 01 01 01 01 01 01 01 01 01 01 01 01 01 01  # MP_CAPABLE, version 1
    ${CONNECT}
  `)
  /** Its next octets, of application data. */
  const frame = Buffer.concat([hex('020000000001 020000000002 0800'), SYN])
  const u32 = (...values: number[]) => Buffer.from(Uint32Array.from(values).buffer)
  const pcap = (link: number, data: Uint8Array) =>
    Buffer.concat([
      u32(0xa1b2c3d4),
      hex('02000400'),
      u32(0, 0, 65_535, link),
      u32(1, 0, data.length, data.length),
      data,
    ])
  const padded = Buffer.concat([frame, Buffer.alloc((4 - (frame.length % 4)) % 4)])
  const pcapng = Buffer.concat([
    u32(0x0a0d0d0a, 28, 0x1a2b3c4d),
    hex('01000000'),
    u32(0xffffffff, 0xffffffff, 28),
    u32(1, 20),
    hex('01000000'),
    u32(65_535, 20),
    u32(6, 32 + padded.length, 0, 0, 1_000_000, frame.length, frame.length),
    padded,
    u32(32 + padded.length),
  ])

  test.each([
    ['pcap of raw IP', pcap(101, SYN)],
    ['pcap of Ethernet', pcap(1, frame)],
    ['pcapng', pcapng],
  ])('%s', async (_name, bytes) => {
    const { status, stdout } = await atsss(['decode'], bytes)
    expect(stdout).toMatch(/^Packet 1, 0\.0 ms: 10\.1\.0\.2:40000 → 192\.0\.2\.1:5124, SYN MP_CAPABLE\nConvert/)
    expect(stdout).toContain('Remote Peer IP Address: 192.0.2.1')
    expect(stdout).toMatch(/\n1 packets, 1 messages in 1 connections\n$/)
    expect(status).toBe(0)
  })

  test('one that ends within a packet: what is there, and status 1', async () => {
    const { status, stdout } = await atsss(['decode', '--json'], pcap(101, SYN).subarray(0, -1))
    expect(status).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({ packets: 0, broken: 'the file ends within a packet, at 24' })
  })
})
