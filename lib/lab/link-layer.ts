/** What is between a captured frame and the IP packet in it: link types, VLAN tags, PPPoE, MPLS, 802.11. Bytes to values; no I/O. */

/** The bytes of an IP packet; or what keeps us from finding one; undefined where there is none, as in ARP. */
export type Found = { packet: Uint8Array } | { unknown: string } | undefined

/** @param link its link type, https://www.tcpdump.org/linktypes.html */
export function packetIn(link: number, frame: Uint8Array): Found {
  switch (link) {
    case 1:
      return inEthernet(frame)
    case 113: // Linux "cooked", of `tcpdump -i any`
      return byEtherType(half(frame, 14), frame.subarray(16))
    case 276: // the same, version 2
      return byEtherType(half(frame, 0), frame.subarray(20))
    case 0: // BSD loopback
    case 108:
      return { packet: frame.subarray(4) }
    case 12: // raw IP
    case 14:
    case 101:
    case 228:
    case 229:
      return { packet: frame }
    case 9: // PPP
    case 50: // PPP in HDLC framing
      return inPpp(half(frame, 0) === 0xff03 ? frame.subarray(2) : frame)
    case 51: // PPPoE
      return inPppoe(frame)
    case 105:
      return in80211(frame)
    case 127: // the length of radiotap's header is in little-endian order
      return in80211(frame.subarray(frame[2]! | (frame[3]! << 8)))
    default:
      return { unknown: `link type ${link}` }
  }
}

export function inEthernet(frame: Uint8Array): Found {
  return byEtherType(half(frame, 12), frame.subarray(14))
}

/** 802.1Q, 802.1ad, and the two that switches used before that. */
const VLAN_TAGS: ReadonlySet<number> = new Set([0x8100, 0x88a8, 0x9100, 0x9200])
/** ARP, RARP, EtherCAT's and switches' own: they carry no IP packets. */
const WITHOUT_IP: ReadonlySet<number> = new Set([0x0806, 0x8035, 0x888e, 0x88cc, 0x88e1, 0x8863, 0x9000])
/** Smaller values are the length of an 802.3 frame. */
const FIRST_ETHER_TYPE = 0x0600

export function byEtherType(type: number, body: Uint8Array): Found {
  if (type === 0x0800 || type === 0x86dd) return { packet: body }
  if (VLAN_TAGS.has(type)) return byEtherType(half(body, 2), body.subarray(4))
  if (type === 0x8864) return inPppoe(body)
  if (type === 0x8847 || type === 0x8848) return inMpls(body)
  if (type < FIRST_ETHER_TYPE) return inLlc(body)
  return WITHOUT_IP.has(type) ? undefined : { unknown: `EtherType 0x${type.toString(16).padStart(4, '0')}` }
}

/** RFC 2516 §4: version and type, code, session, length. */
function inPppoe(body: Uint8Array): Found {
  return body[1] === 0 ? inPpp(body.subarray(6)) : undefined
}

/** RFC 1661 §2: the protocol has two octets, or one odd one. */
function inPpp(body: Uint8Array): Found {
  const short = (body[0] ?? 0) & 1
  const protocol = short ? body[0]! : half(body, 0)
  if (protocol === 0x0021 || protocol === 0x0057) return { packet: body.subarray(short ? 1 : 2) }
  // Numbers from 0x8000 on control the link.
  return protocol >= 0x8000 ? undefined : { unknown: `PPP protocol 0x${protocol.toString(16).padStart(4, '0')}` }
}

/** RFC 3032 §2.1: labels of four octets, the last one marked. The IP version follows from the packet. */
function inMpls(body: Uint8Array): Found {
  let at = 0
  while (at + 4 <= body.length && (body[at + 2]! & 1) === 0) at += 4
  const packet = body.subarray(at + 4)
  return [4, 6].includes((packet[0] ?? 0) >> 4) ? { packet } : { unknown: 'MPLS without an IP packet' }
}

/** IEEE 802.2 with SNAP (RFC 1042). */
function inLlc(body: Uint8Array): Found {
  return half(body, 0) === 0xaaaa ? byEtherType(half(body, 6), body.subarray(8)) : undefined
}

/** IEEE 802.11-2020 §9.2.4.1: only data frames carry packets. */
function in80211(frame: Uint8Array): Found {
  const [control = 0, flags = 0] = frame
  const [type, subtype] = [(control >> 2) & 3, control >> 4]
  if (type !== 2 || (subtype & 4) !== 0) return undefined // management, control, null data
  if ((flags & 0x40) !== 0) return { unknown: 'encrypted 802.11 frames' }
  const isQos = (subtype & 8) !== 0
  const length = 24 + ((flags & 3) === 3 ? 6 : 0) + (isQos ? 2 : 0) + (isQos && (flags & 0x80) !== 0 ? 4 : 0)
  return inLlc(frame.subarray(length))
}

function half(bytes: Uint8Array, at: number): number {
  return at + 2 > bytes.length ? 0 : (bytes[at]! << 8) | bytes[at + 1]!
}
