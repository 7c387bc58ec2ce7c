import type { Tlv } from '../../../lib/wire/convert/index.js'
import { hex } from '../../support/hex.js'

export interface Vector {
  name: string
  /** The figure that says which octet stands where. */
  source: string
  bytes: Uint8Array
  tlvs: Tlv[]
}

/** Laid by hand from the figures of RFC 8803. */
export const VECTORS: Vector[] = [
  {
    name: 'bare header: a converter says yes',
    source: 'Figure 13',
    bytes: hex(`
      01           # Version
      01           # Total Length: 1 word
      22 63        # Magic Number
    `),
    tlvs: [],
  },
  {
    name: 'Info',
    source: 'Figure 15',
    bytes: hex(`
      01 02 22 63  # header, 2 words
      01           # Type: Info
      01           # Length: 1 word
      00 00        # Zero
    `),
    tlvs: [{ type: 'info' }],
  },
  {
    name: 'Base Connect to an IPv4 server',
    source: 'Figure 17',
    bytes: hex(`
      01 06 22 63  # header, 6 words
      0a           # Type: Connect
      05           # Length: 5 words
      01 bb        # Remote Peer Port: 443
      00 00 00 00  # Remote Peer IP Address: ::ffff:192.0.2.1
      00 00 00 00
      00 00 ff ff
      c0 00 02 01
    `),
    tlvs: [{ type: 'connect', address: '192.0.2.1', port: 443, tcpOptions: [] }],
  },
  {
    name: 'Base Connect to an IPv6 server',
    source: 'Figure 17',
    bytes: hex(`
      01 06 22 63  # header, 6 words
      0a 05        # Connect, 5 words
      1f 90        # Remote Peer Port: 8080
      20 01 0d b8  # Remote Peer IP Address: 2001:db8::a:0:0:1
      00 00 00 00
      00 0a 00 00
      00 00 00 01
    `),
    tlvs: [{ type: 'connect', address: '2001:db8::a:0:0:1', port: 8080, tcpOptions: [] }],
  },
  {
    name: 'Extended Connect with padding only',
    source: 'Figures 18 and 19',
    bytes: hex(`
      01 07 22 63  # header, 7 words
      0a 06        # Connect, 6 words: extended
      00 50        # Remote Peer Port: 80
      00 00 00 00  # Remote Peer IP Address: ::ffff:198.51.100.7
      00 00 00 00
      00 00 ff ff
      c6 33 64 07
      00 00 00 00  # TCP options: padding
    `),
    tlvs: [{ type: 'connect', address: '198.51.100.7', port: 80, tcpOptions: [], isExtended: true }],
  },
  {
    name: 'Extended Connect that asks for Multipath TCP and a Fast Open cookie',
    source: 'Figures 18 and 19',
    bytes: hex(`
      01 07 22 63  # header, 7 words
      0a 06        # Connect, 6 words
      00 50        # Remote Peer Port: 80
      00 00 00 00  # Remote Peer IP Address: ::ffff:198.51.100.7
      00 00 00 00
      00 00 ff ff
      c6 33 64 07
      1e 02        # TCP option 30, Multipath TCP, without a value
      22 02        # TCP option 34, Fast Open, without a cookie
    `),
    tlvs: [
      {
        type: 'connect',
        address: '198.51.100.7',
        port: 80,
        tcpOptions: [
          { kind: 30, value: hex('') },
          { kind: 34, value: hex('') },
        ],
      },
    ],
  },
  {
    name: 'Extended Connect with a Fast Open cookie, padded',
    source: 'Figures 18 and 19',
    bytes: hex(`
      01 09 22 63  # header, 9 words
      0a 08        # Connect, 8 words
      00 50        # Remote Peer Port: 80
      00 00 00 00  # Remote Peer IP Address: ::ffff:198.51.100.7
      00 00 00 00
      00 00 ff ff
      c6 33 64 07
      22 09        # TCP option 34, Fast Open, 9 octets
      c0 0c 1e 00  # the cookie
      ff 01 02
      00 00 00     # padding
    `),
    tlvs: [
      {
        type: 'connect',
        address: '198.51.100.7',
        port: 80,
        tcpOptions: [{ kind: 34, value: hex('c0 0c 1e 00 ff 01 02') }],
      },
    ],
  },
  {
    name: 'Extended TCP Header',
    source: 'Figure 20',
    bytes: hex(`
      01 06 22 63  # header, 6 words
      14           # Type: Extended TCP Header
      05           # Length: 5 words
      00 00        # Unassigned
      02 04 05 b4  # MSS 1460
      01 03 03 07  # NOP, Window Scale 7
      01 01 04 02  # NOP, NOP, SACK permitted
      1e 04 01 01  # Multipath TCP
    `),
    tlvs: [{ type: 'extended-tcp-header', options: hex('02 04 05 b4  01 03 03 07  01 01 04 02  1e 04 01 01') }],
  },
  {
    name: 'Supported TCP Extensions, padded',
    source: 'Figure 16',
    bytes: hex(`
      01 04 22 63  # header, 4 words
      15           # Type: Supported TCP Extensions
      03           # Length: 3 words
      00 00        # Unassigned
      1e           # Kind #1: Multipath TCP
      22           # Kind #2: Fast Open
      04           # Kind #3: SACK permitted
      08           # Kind #4: Timestamp
      fd           # Kind #5: experimental
      00 00 00     # padding
    `),
    tlvs: [{ type: 'supported-tcp-extensions', kinds: [30, 34, 4, 8, 253] }],
  },
  {
    name: 'Cookie that ends in zeros',
    source: 'Figure 21',
    bytes: hex(`
      01 04 22 63  # header, 4 words
      16           # Type: Cookie
      03           # Length: 3 words
      00 00        # Zero
      de ad be ef  # Opaque Cookie
      01 02 00 00
    `),
    tlvs: [{ type: 'cookie', cookie: hex('de ad be ef 01 02 00 00') }],
  },
  {
    name: 'Error of one word',
    source: 'Figure 22',
    bytes: hex(`
      01 02 22 63  # header, 2 words
      1e           # Type: Error
      01           # Length: 1 word
      40           # Error Code: Resource Exceeded
      1e           # Value: 30 seconds
    `),
    tlvs: [{ type: 'error', code: 64, value: hex('1e') }],
  },
  {
    name: 'Error that echoes a message',
    source: 'Figure 23',
    bytes: hex(`
      01 04 22 63  # header, 4 words
      1e           # Type: Error
      03           # Length: 3 words
      02           # Error Code: Unsupported Message
      00           # Zeros
      01 02 22 63  # the echo: a header
      c8 01 00 00  # and a TLV of type 200
    `),
    tlvs: [{ type: 'error', code: 2, value: hex('00  01 02 22 63  c8 01 00 00') }],
  },
  {
    name: 'TLV of a private type',
    source: 'Figure 14',
    bytes: hex(`
      01 03 22 63  # header, 3 words
      ff           # Type: 255, for private use
      02           # Length: 2 words
      01 02        # Value
      03 04 05 06
    `),
    tlvs: [{ type: 'unknown', code: 255, value: hex('01 02 03 04 05 06') }],
  },
  {
    name: 'Info, Cookie and Connect in one message',
    source: 'Figures 13 to 21',
    bytes: hex(`
      01 09 22 63  # header, 9 words
      01 01 00 00  # Info
      16 02 00 00  # Cookie, 2 words
      ca fe ba be
      0a 05 ff ff  # Connect, 5 words, port 65535
      20 01 0d b8  # Remote Peer IP Address: 2001:db8:0:1:1:1:1:1
      00 00 00 01
      00 01 00 01
      00 01 00 01
    `),
    tlvs: [
      { type: 'info' },
      { type: 'cookie', cookie: hex('ca fe ba be') },
      { type: 'connect', address: '2001:db8:0:1:1:1:1:1', port: 65535, tcpOptions: [] },
    ],
  },
]

/** The first vector whose name starts so. */
export function vector(name: string): Vector {
  const found = VECTORS.find(each => each.name.startsWith(name))
  if (!found) throw new Error(`no vector is called ${name}`)
  return found
}
