import type { PcpRequest, PcpResponse } from '../../../lib/wire/pcp/index.js'
import { hex } from '../../support/hex.js'

interface Vector<Message> {
  name: string
  /** The figures that say which octet stands where. */
  source: string
  bytes: Uint8Array
  message: Message
}

const NONCE = hex('01 23 45 67 89 ab cd ef 10 32 54 76')

/** Laid by hand from the figures of RFC 6887. */
export const REQUESTS: Vector<PcpRequest>[] = [
  {
    name: 'ANNOUNCE',
    source: 'Figure 2, §14.1.1',
    bytes: hex(`
      02           # Version
      00           # R = 0, Opcode: ANNOUNCE
      00 00        # Reserved
      00 00 00 00  # Requested Lifetime
      00 00 00 00  # PCP Client's IP Address: ::ffff:10.1.0.2
      00 00 00 00
      00 00 ff ff
      0a 01 00 02
    `),
    message: { lifetime: 0, clientAddress: '10.1.0.2', operation: { type: 'announce' }, options: [] },
  },
  {
    name: 'MAP of TCP port 8080, any external IPv4 address',
    source: 'Figures 2, 9',
    bytes: hex(`
      02 01 00 00  # Version, MAP, Reserved
      00 00 1c 20  # Requested Lifetime: 7200
      00 00 00 00  00 00 00 00  00 00 ff ff  0a 01 00 02  # ::ffff:10.1.0.2
      01 23 45 67  # Mapping Nonce
      89 ab cd ef
      10 32 54 76
      06           # Protocol: TCP
      00 00 00     # Reserved
      1f 90        # Internal Port: 8080
      00 00        # Suggested External Port: any
      00 00 00 00  # Suggested External IP Address: ::ffff:0.0.0.0
      00 00 00 00
      00 00 ff ff
      00 00 00 00
    `),
    message: {
      lifetime: 7200,
      clientAddress: '10.1.0.2',
      operation: {
        type: 'map',
        nonce: NONCE,
        protocol: 6,
        internalPort: 8080,
        externalPort: 0,
        externalAddress: '0.0.0.0',
      },
      options: [],
    },
  },
  {
    name: 'MAP with THIRD_PARTY, PREFER_FAILURE and three FILTERs, IPv6',
    source: 'Figures 9, 13, 14, 15',
    bytes: hex(`
      02 01 00 00 00 00 0e 10                                # MAP, 3600 s
      20 01 0d b8  00 01 00 00  00 00 00 00  00 00 00 02     # 2001:db8:1::2
      01 23 45 67 89 ab cd ef 10 32 54 76                    # Mapping Nonce
      11 00 00 00                                            # Protocol: UDP
      01 bb  9c 40                                           # Internal Port 443, Suggested External Port 40000
      20 01 0d b8  00 0c 00 00  00 00 00 00  00 00 00 01     # 2001:db8:c::1
      01           # Option Code: THIRD_PARTY
      00           # Reserved
      00 10        # Option Length: 16
      20 01 0d b8  00 01 00 00  00 00 00 00  00 00 00 03     # Internal IP Address 2001:db8:1::3
      02 00 00 00  # PREFER_FAILURE, length 0
      03 00 00 14  # FILTER, length 20
      00           # Reserved
      00           # Prefix Length 0: no filter
      00 00        # Remote Peer Port
      00 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00
      03 00 00 14  # FILTER
      00 40 00 00  # /64, all ports
      20 01 0d b8  00 0d 00 00  00 00 00 00  00 00 00 00     # 2001:db8:d::
      03 00 00 14  # FILTER
      00 78 1f 90  # 120 bits: /24, port 8080
      00 00 00 00  00 00 00 00  00 00 ff ff  c6 33 64 00     # ::ffff:198.51.100.0
    `),
    message: {
      lifetime: 3600,
      clientAddress: '2001:db8:1::2',
      operation: {
        type: 'map',
        nonce: NONCE,
        protocol: 17,
        internalPort: 443,
        externalPort: 40000,
        externalAddress: '2001:db8:c::1',
      },
      options: [
        { type: 'third-party', internalAddress: '2001:db8:1::3' },
        { type: 'prefer-failure' },
        { type: 'clear-filters' },
        { type: 'filter', address: '2001:db8:d::', prefixLength: 64, port: 0 },
        { type: 'filter', address: '198.51.100.0', prefixLength: 24, port: 8080 },
      ],
    },
  },
  {
    name: 'MAP that deletes, with an option that nobody knows, padded',
    source: 'Figures 4, 9, §15.1',
    bytes: hex(`
      02 01 00 00 00 00 00 00                                # MAP, lifetime 0
      00 00 00 00  00 00 00 00  00 00 ff ff  0a 01 00 02
      01 23 45 67 89 ab cd ef 10 32 54 76
      06 00 00 00  1f 90 00 00
      00 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00     # ::
      c8           # Option Code 200: optional to process
      00           # Reserved
      00 05        # Option Length: 5
      61 62 63 64 65  00 00 00  # Data, and 3 octets to the next multiple of 4
    `),
    message: {
      lifetime: 0,
      clientAddress: '10.1.0.2',
      operation: { type: 'map', nonce: NONCE, protocol: 6, internalPort: 8080, externalPort: 0, externalAddress: '::' },
      options: [{ type: 'unknown', code: 200, data: hex('61 62 63 64 65') }],
    },
  },
  {
    name: 'PEER',
    source: 'Figures 2, 11',
    bytes: hex(`
      02 02 00 00 ff ff ff ff                                # PEER, 2^32-1 s
      00 00 00 00  00 00 00 00  00 00 ff ff  0a 01 00 02
      01 23 45 67 89 ab cd ef 10 32 54 76                    # Mapping Nonce
      06 00 00 00                                            # Protocol: TCP
      c0 01  c0 02                                           # Internal Port 49153, Suggested External Port 49154
      00 00 00 00  00 00 00 00  00 00 ff ff  c0 00 02 01     # 192.0.2.1
      00 50        # Remote Peer Port: 80
      00 00        # Reserved
      00 00 00 00  00 00 00 00  00 00 ff ff  c6 33 64 02     # 198.51.100.2
    `),
    message: {
      lifetime: 0xffff_ffff,
      clientAddress: '10.1.0.2',
      operation: {
        type: 'peer',
        nonce: NONCE,
        protocol: 6,
        internalPort: 49153,
        externalPort: 49154,
        externalAddress: '192.0.2.1',
        remotePort: 80,
        remoteAddress: '198.51.100.2',
      },
      options: [],
    },
  },
  {
    name: 'an opcode that nobody knows',
    source: 'Figure 2',
    bytes: hex('02 7f 00 00 00 00 00 00  00 00 00 00 00 00 00 00 00 00 ff ff 0a 01 00 02  de ad be ef'),
    message: {
      lifetime: 0,
      clientAddress: '10.1.0.2',
      operation: { type: 'unknown', opcode: 127, payload: hex('de ad be ef') },
      options: [],
    },
  },
]

export const RESPONSES: Vector<PcpResponse>[] = [
  {
    name: 'ANNOUNCE: the server has restarted',
    source: 'Figure 3, §14.1.3',
    bytes: hex(`
      02           # Version
      80           # R = 1, Opcode: ANNOUNCE
      00           # Reserved
      00           # Result Code: SUCCESS
      00 00 00 00  # Lifetime
      00 00 00 01  # Epoch Time
      00 00 00 00  00 00 00 00  00 00 00 00  # Reserved
    `),
    message: { version: 2, result: 0, lifetime: 0, epoch: 1, operation: { type: 'announce' }, options: [] },
  },
  {
    name: 'MAP: granted, with a filter',
    source: 'Figures 3, 10, 15',
    bytes: hex(`
      02 81 00 00  # Version, R = 1 and MAP, Reserved, SUCCESS
      00 00 0e 10  # Lifetime: 3600
      00 01 51 80  # Epoch Time: 86400
      00 00 00 00  00 00 00 00  00 00 00 00
      01 23 45 67 89 ab cd ef 10 32 54 76
      06 00 00 00
      1f 90  4e 20                                           # Internal Port 8080, Assigned External Port 20000
      00 00 00 00  00 00 00 00  00 00 ff ff  c0 00 02 01     # Assigned External IP Address
      03 00 00 14  00 60 00 00                               # FILTER, 96 bits: every IPv4 address
      00 00 00 00  00 00 00 00  00 00 ff ff  00 00 00 00
    `),
    message: {
      version: 2,
      result: 0,
      lifetime: 3600,
      epoch: 86400,
      operation: {
        type: 'map',
        nonce: NONCE,
        protocol: 6,
        internalPort: 8080,
        externalPort: 20000,
        externalAddress: '192.0.2.1',
      },
      options: [{ type: 'filter', address: '0.0.0.0', prefixLength: 0, port: 0 }],
    },
  },
  {
    name: 'PEER: cannot provide external',
    source: 'Figures 3, 12',
    bytes: hex(`
      02 82 00 0b  # PEER, CANNOT_PROVIDE_EXTERNAL
      00 00 00 1e  # Lifetime: 30
      00 00 00 05  # Epoch Time
      00 00 00 00  00 00 00 00  00 00 00 00
      01 23 45 67 89 ab cd ef 10 32 54 76
      06 00 00 00  c0 01 c0 02
      20 01 0d b8  00 0c 00 00  00 00 00 00  00 00 00 01
      00 50 00 00
      20 01 0d b8  00 0d 00 00  00 00 00 00  00 00 00 02
    `),
    message: {
      version: 2,
      result: 11,
      lifetime: 30,
      epoch: 5,
      operation: {
        type: 'peer',
        nonce: NONCE,
        protocol: 6,
        internalPort: 49153,
        externalPort: 49154,
        externalAddress: '2001:db8:c::1',
        remotePort: 80,
        remoteAddress: '2001:db8:d::2',
      },
      options: [],
    },
  },
]
