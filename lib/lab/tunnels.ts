/** IP packets in IP packets: tunnels, whose contents are read, or which are at least named. Bytes to values; no I/O. */
import { byEtherType, type Found, inEthernet } from './link-layer.js'
import type { Packet } from './packet.js'

/** What the packet carries; undefined if that is no packet. */
export function tunnelled({ protocol, payload, unread }: Packet): Found {
  if (unread !== undefined) return { unknown: unread }
  switch (protocol) {
    case 4: // RFC 2003
    case 41: // RFC 2473, RFC 4213
      return { packet: payload }
    case 17:
      return inUdp(payload)
    case 47:
      return inGre(payload)
    case 50:
      return { unknown: 'encrypted packets (ESP)' }
    case 115:
      return { unknown: 'L2TP tunnels' }
    default:
      return undefined
  }
}

const UDP_HEADER = 8

function inUdp(datagram: Uint8Array): Found {
  const body = datagram.subarray(UDP_HEADER)
  const ports = [half(datagram, 0), half(datagram, 2)]
  for (const port of ports) {
    if (port === 2152) return inGtp(body)
    if (port === 4789) return inEthernet(body.subarray(8)) // VXLAN, RFC 7348 §5
    const name = OVER_UDP.get(port)
    if (name !== undefined) return { unknown: name }
  }
  return undefined
}

const OVER_UDP = new Map([
  [1194, 'OpenVPN tunnels'],
  [1701, 'L2TP tunnels'],
  [3544, 'Teredo tunnels'],
  [4500, 'encrypted packets (IPsec over UDP)'],
  [6081, 'Geneve tunnels'],
  [51820, 'WireGuard tunnels'],
])

/** TS 29.281 §5.1: flags, type, length, TEID; with one of three flags four more octets, the last one the type of an extension. */
function inGtp(body: Uint8Array): Found {
  const [flags = 0, type] = body
  if (flags >> 5 !== 1) return { unknown: 'GTP tunnels of another version than GTPv1-U' }
  if (type !== 0xff) return undefined // echo, error indication: no user data
  let at = 8
  if ((flags & 0x07) !== 0) {
    at = 12
    // The length of an extension counts words of four octets, its own octet and the next type included.
    for (let next = body[11] ?? 0; next !== 0 && at < body.length; ) {
      const length = (body[at] ?? 0) * 4
      if (length === 0) return { unknown: 'GTP-U tunnels with a broken extension header' }
      next = body[at + length - 1] ?? 0
      at += length
    }
  }
  const packet = body.subarray(at)
  return [4, 6].includes((packet[0] ?? 0) >> 4) ? { packet } : { unknown: 'GTP-U tunnels that carry no IP' }
}

/** RFC 2784 §2, RFC 2890 §2: a checksum, a key and a sequence number, each if its flag is set. */
function inGre(body: Uint8Array): Found {
  const flags = half(body, 0)
  if ((flags & 7) !== 0) return { unknown: 'GRE tunnels of another version (PPTP)' }
  const optional = [0x8000, 0x2000, 0x1000].filter(flag => (flags & flag) !== 0).length
  const type = half(body, 2)
  const inner = body.subarray(4 + 4 * optional)
  return type === 0x6558 ? inEthernet(inner) : byEtherType(type, inner)
}

function half(bytes: Uint8Array, at: number): number {
  return at + 2 > bytes.length ? 0 : (bytes[at]! << 8) | bytes[at + 1]!
}
