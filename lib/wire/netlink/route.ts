/** Routing netlink: links, addresses and default routes. include/uapi/linux/{rtnetlink,if_link,if_addr}.h. */
import { ADDRESS_LENGTH, formatAddress, parseAddress } from '../bytes/address.js'
import { AF_INET, AF_INET6, Attributes, attribute, fixedPart, malformed, type NetlinkMessage, u32 } from './message.js'

/** RFC 2863 `ifOperStatus`, in the kernel's words. */
export type Operstate = (typeof OPERSTATES)[number]

export interface LinkInfo {
  index: number
  name: string
  /** Its other names, as systemd gives them: `ip link property add dev wlan0 altname wlp2s0`. Left out where there are none. */
  altnames?: readonly string[]
  /** Administratively up: IFF_UP. */
  up: boolean
  /** The link has a carrier: IFLA_CARRIER. */
  carrier: boolean
  operstate: Operstate
  /** All bits: IFF_* of net/if.h. */
  flags: number
  mtu: number
  /** A tunnel of the kernel's, or of a program's (tun), as VPNs use them. Left out where it is none. */
  isTunnel?: true
}

export interface LinkAddress {
  family: 4 | 6
  address: string
  prefixLength: number
  scope: 'global' | 'site' | 'link' | 'host' | 'nowhere' | number
  /** Duplicate address detection is not done, or has failed: not to be used. */
  tentative: boolean
  /** Not for new connections. */
  deprecated: boolean
  /** IPv4 only. */
  label: string | undefined
  /** All bits: IFA_F_* of if_addr.h. */
  flags: number
}

export interface DefaultRoute {
  family: 4 | 6
  /** The interface's index. */
  interfaceIndex: number
  /** Undefined when the destination is on the link. May be IPv6 for an IPv4 route (RFC 5549). */
  gateway: string | undefined
  /** The lowest is preferred. */
  metric: number
  /** 254: main. */
  table: number
}

/** The content of a message. `gone`: deleted. Of routes, only default ones that are not blackholes or the like are read. */
export type RtnetlinkMessage =
  | { type: 'link'; gone: boolean; link: LinkInfo }
  | { type: 'address'; gone: boolean; interfaceIndex: number; address: LinkAddress }
  | { type: 'route'; gone: boolean; routes: DefaultRoute[] }

/** `undefined` for a message of another type, or of a family (bridges, MPLS, multicast routing) that we do not read. */
export function decodeRtnetlink(message: NetlinkMessage): RtnetlinkMessage | undefined {
  // All three structures start with the family.
  const family = message.payload[0] ?? AF_UNSPEC
  const isLink = message.type === RTM.newLink || message.type === RTM.delLink
  if (isLink ? family !== AF_UNSPEC : family !== AF_INET && family !== AF_INET6) return undefined
  const gone = message.type === RTM.delLink || message.type === RTM.delAddress || message.type === RTM.delRoute
  switch (message.type) {
    case RTM.newLink:
    case RTM.delLink:
      return { type: 'link', gone, link: decodeLink(message.payload) }
    case RTM.newAddress:
    case RTM.delAddress:
      return { type: 'address', gone, ...decodeAddress(message.payload) }
    case RTM.newRoute:
    case RTM.delRoute:
      return { type: 'route', gone, routes: decodeRoute(message.payload) }
    default:
      return undefined
  }
}

/** Message types. */
export const RTM = {
  newLink: 16,
  delLink: 17,
  getLink: 18,
  newAddress: 20,
  delAddress: 21,
  getAddress: 22,
  newRoute: 24,
  delRoute: 25,
  getRoute: 26,
} as const

/** Multicast groups, as `bind` takes them: links, addresses and routes of both families. */
export const RTMGRP_ALL = 0x1 | 0x10 | 0x40 | 0x100 | 0x400

/** For RTM_GETLINK: a link, or with the index 0 all of them; without their statistics. */
export function linkRequest(index: number): Uint8Array {
  const link = Buffer.alloc(IFINFOMSG.length)
  link.set(u32(index), IFINFOMSG.index)
  return Buffer.concat([link, attribute(IFLA.extMask, u32(RTEXT_FILTER_SKIP_STATS))])
}

const RTEXT_FILTER_SKIP_STATS = 0x8
/** struct ifinfomsg: family, type, index, flags, change. */
const IFINFOMSG = { index: 4, flags: 8, length: 16 } as const
const IFLA = {
  name: 3,
  mtu: 4,
  operstate: 16,
  linkInfo: 18,
  extMask: 29,
  carrier: 33,
  properties: 52,
  altname: 53,
  /** Within `linkInfo`. */
  kind: 1,
} as const

/** Kinds of links (IFLA_INFO_KIND). OpenVPN and tailscaled use tun, as do most programs. */
const TUNNELS: ReadonlySet<string> = new Set(
  'tun wireguard ovpn amneziawg xfrm vti vti6 ipip sit gre gretap ip6tnl ip6gre ip6gretap ppp l2tp'.split(' '),
)

/** What to dump of each kind: everything except the statistics of links. */
export const DUMPS: readonly { type: number; payload: Uint8Array }[] = [
  { type: RTM.getLink, payload: linkRequest(0) },
  { type: RTM.getAddress, payload: new Uint8Array(8) },
  { type: RTM.getRoute, payload: new Uint8Array(12) },
]

const AF_UNSPEC = 0
const IFF_UP = 0x1

const OPERSTATES = ['unknown', 'notpresent', 'down', 'lowerlayerdown', 'testing', 'dormant', 'up'] as const

function decodeLink(payload: Uint8Array): LinkInfo {
  const header = fixedPart(payload, IFINFOMSG.length)
  const attributes = Attributes.read(payload, IFINFOMSG.length)
  const index = header.s32(IFINFOMSG.index)
  const flags = header.u32(IFINFOMSG.flags)
  const altnames = attributes.nested(IFLA.properties)?.texts(IFLA.altname) ?? []
  return {
    index,
    name: attributes.text(IFLA.name) ?? String(index),
    ...(altnames.length > 0 && { altnames }),
    up: (flags & IFF_UP) !== 0,
    carrier: attributes.u8(IFLA.carrier) === 1,
    operstate: OPERSTATES[attributes.u8(IFLA.operstate) ?? 0] ?? 'unknown',
    flags,
    mtu: attributes.u32(IFLA.mtu) ?? 0,
    ...(TUNNELS.has(attributes.nested(IFLA.linkInfo)?.text(IFLA.kind) ?? '') && { isTunnel: true }),
  }
}

/** struct ifaddrmsg: family, prefix length, flags, scope, index. */
const IFADDRMSG = { family: 0, prefixLength: 1, flags: 2, scope: 3, index: 4, length: 8 } as const
const IFA = { address: 1, local: 2, label: 3, flags: 8 } as const
const IFA_F = { optimistic: 0x04, dadFailed: 0x08, deprecated: 0x20, tentative: 0x40 } as const
const SCOPES = new Map([
  [0, 'global'],
  [200, 'site'],
  [253, 'link'],
  [254, 'host'],
  [255, 'nowhere'],
] as const)

function decodeAddress(payload: Uint8Array): { interfaceIndex: number; address: LinkAddress } {
  const header = fixedPart(payload, IFADDRMSG.length)
  const attributes = Attributes.read(payload, IFADDRMSG.length)
  // On a point-to-point link IFA_ADDRESS is the other end.
  const bytes = attributes.bytes(IFA.local) ?? attributes.bytes(IFA.address)
  if (bytes === undefined) throw malformed(0, 'an address message without an address')
  const flags = attributes.u32(IFA.flags) ?? header.u8(IFADDRMSG.flags)
  const scope = header.u8(IFADDRMSG.scope)
  return {
    interfaceIndex: header.s32(IFADDRMSG.index),
    address: {
      family: familyOf(header.u8(IFADDRMSG.family)),
      address: literal(bytes),
      prefixLength: header.u8(IFADDRMSG.prefixLength),
      scope: SCOPES.get(scope as 0) ?? scope,
      tentative: (flags & IFA_F.dadFailed) !== 0 || (flags & (IFA_F.tentative | IFA_F.optimistic)) === IFA_F.tentative,
      deprecated: (flags & IFA_F.deprecated) !== 0,
      label: attributes.text(IFA.label),
      flags,
    },
  }
}

/** struct rtmsg: family, lengths of destination and source, TOS, table, protocol, scope, type, flags. */
const RTMSG = { family: 0, destinationLength: 1, sourceLength: 2, table: 4, type: 7, length: 12 } as const
const RTA = {
  destination: 1,
  source: 2,
  interface: 4,
  gateway: 5,
  priority: 6,
  multipath: 9,
  table: 15,
  via: 18,
} as const
const RTN_UNICAST = 1
/** struct rtnexthop: length, flags, hops, index. */
const RTNEXTHOP = { size: 0, index: 4, length: 8 } as const

function decodeRoute(payload: Uint8Array): DefaultRoute[] {
  const header = fixedPart(payload, RTMSG.length)
  if (header.u8(RTMSG.destinationLength) !== 0 || header.u8(RTMSG.type) !== RTN_UNICAST) return []
  const attributes = Attributes.read(payload, RTMSG.length)
  const common = {
    family: familyOf(header.u8(RTMSG.family)),
    metric: attributes.u32(RTA.priority) ?? 0,
    table: attributes.u32(RTA.table) ?? header.u8(RTMSG.table),
  }
  const hops = attributes.bytes(RTA.multipath)
  if (hops !== undefined) return nexthops(hops).map(hop => ({ ...common, ...hop }))
  const interfaceIndex = attributes.s32(RTA.interface)
  return interfaceIndex === undefined ? [] : [{ ...common, interfaceIndex, gateway: gatewayOf(attributes) }]
}

/**
 * For RTM_GETROUTE: the route of packets between two addresses of one family, of a socket that is bound to no interface and has no
 * mark. Throws RangeError for what is not an address.
 *
 * @param source undefined: the route chooses it
 */
export function routeRequest(source: string | undefined, destination: string): Uint8Array {
  const from = source === undefined ? undefined : addressBytes(source)
  const to = addressBytes(destination)
  const header = Buffer.alloc(RTMSG.length)
  header[RTMSG.family] = to.length === 4 ? AF_INET : AF_INET6
  header[RTMSG.destinationLength] = 8 * to.length
  if (!from) return Buffer.concat([header, attribute(RTA.destination, to)])
  header[RTMSG.sourceLength] = 8 * from.length
  return Buffer.concat([header, attribute(RTA.destination, to), attribute(RTA.source, from)])
}

/** Of the answer to `routeRequest`: the index of the interface; undefined where packets do not leave. */
export function decodeRouteFor(payload: Uint8Array): number | undefined {
  if (fixedPart(payload, RTMSG.length).u8(RTMSG.type) !== RTN_UNICAST) return undefined
  return Attributes.read(payload, RTMSG.length).s32(RTA.interface)
}

function addressBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(ADDRESS_LENGTH)
  if (!parseAddress(text.replace(/%.*$/, ''), bytes, 0)) throw new RangeError(`"${text}" is not an IP address`)
  return text.includes(':') ? bytes : bytes.subarray(12)
}

function nexthops(bytes: Uint8Array): Pick<DefaultRoute, 'interfaceIndex' | 'gateway'>[] {
  const hops = []
  for (let at = 0; at < bytes.length; ) {
    const rest = bytes.subarray(at)
    const hop = fixedPart(rest, RTNEXTHOP.length)
    const size = hop.u16(RTNEXTHOP.size)
    if (size < RTNEXTHOP.length || size > rest.length) throw malformed(at, `a next hop of length ${size}`)
    hops.push({
      interfaceIndex: hop.s32(RTNEXTHOP.index),
      gateway: gatewayOf(Attributes.read(rest.subarray(0, size), RTNEXTHOP.length)),
    })
    at += (size + 3) & ~3
  }
  return hops
}

function gatewayOf(attributes: Attributes): string | undefined {
  // RTA_VIA: a family (16 bits) before the address.
  const bytes = attributes.bytes(RTA.gateway) ?? attributes.bytes(RTA.via)?.subarray(2)
  return bytes && literal(bytes)
}

function familyOf(number: number): 4 | 6 {
  return number === AF_INET ? 4 : 6
}

function literal(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.')
  if (bytes.length === ADDRESS_LENGTH) return formatAddress(bytes, 0)
  throw malformed(0, `an address of ${bytes.length} bytes`)
}
