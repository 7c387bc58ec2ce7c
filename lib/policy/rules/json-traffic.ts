/** Traffic descriptors of rules in JSON, both ways. */
import { domainToASCII } from 'node:url'
import { shown } from '../../input/check.js'
import {
  decodeTrafficDescriptor,
  encodeTrafficDescriptor,
  type IpTuple,
  type TrafficComponent,
} from '../../wire/atsss/container.js'
import { UUID } from '../../wire/atsss/fields.js'
import { ADDRESS_LENGTH, formatAddress, parseAddress } from '../../wire/bytes/address.js'
import { hexadecimal, list, octet, port, record, text, wrong } from './check.js'
import { compileExpression } from './regular-expression.js'

/**
 * Which traffic a rule is about: everything, or what has one of each list that is there. The destination is the server's,
 * not the proxy's on the way to it. At least one property is needed.
 */
export interface TrafficDescriptor {
  /** Everything. Such a rule belongs last. */
  matchAll?: true
  /** `'192.0.2.1'`, `'192.0.2.0/24'`, `'192.0.2.0/255.255.255.0'`, `'2001:db8::/32'` */
  remoteAddresses?: string[]
  /** A port, or a range with both ends in it: `443`, `'8000-8099'` */
  remotePorts?: (number | string)[]
  /** IP protocol numbers: 6 is TCP. */
  protocols?: number[]
  /**
   * The name that the application asks for, not those that it is an alias of: `'example.com'`, and only that. Wildcards
   * are ours, no specification has any: `'*.example.com'` is every name below example.com, however deep, but not
   * example.com itself.
   */
  fqdns?: string[]
  /**
   * Names, by an extended regular expression of POSIX, as in TS 24.526: it may match anywhere in the name unless `^` and `$` say
   * otherwise. Alternatives to `fqdns`. At most 255 octets.
   */
  regularExpressions?: string[]
  /** As applications name themselves: with an operating system's UUID, or on any. */
  applications?: { osId?: string; osAppId: string }[]
  /** Address, protocol and port at once, each of which may be left out: all that are there must be so. */
  ipTuples?: { remoteAddress?: string; protocol?: number; remotePort?: number | string }[]
  /**
   * Other components of TS 24.526 table 5.2.1, in hexadecimal with their type, as they came from the network. Alone and
   * empty, it is a rule that came without any, and matches nothing.
   */
  opaque?: string[]
}

export function parseTraffic(path: string, value: unknown): TrafficComponent[] {
  const given = record(path, value, TRAFFIC_KEYS)
  const traffic: TrafficComponent[] = []
  if (given.matchAll !== undefined) {
    if (given.matchAll !== true) throw wrong(`${path}.matchAll`, `must be true; it is ${shown(given.matchAll)}`)
    traffic.push({ type: 'match-all' })
  }
  for (const key of LISTS) {
    if (given[key] === undefined) continue
    const items = list(`${path}.${key}`, given[key])
    if (items.length === 0 && key !== 'opaque') throw wrong(`${path}.${key}`, 'is empty: leave it out')
    for (const [index, item] of items.entries()) traffic.push(...PARSERS[key](`${path}.${key}[${index}]`, item))
  }
  if (traffic.length === 0 && given.opaque === undefined)
    throw wrong(path, 'needs at least one component, such as matchAll: true')
  return traffic
}

/** What has no simpler form is opaque. */
export function trafficToJson(traffic: readonly TrafficComponent[]): TrafficDescriptor {
  const json: TrafficDescriptor = traffic.length === 0 ? { opaque: [] } : {}
  const add = <K extends ListKey>(key: K, item: NonNullable<TrafficDescriptor[K]>[number]) => {
    const items = (json[key] ?? []) as (typeof item)[]
    items.push(item)
    json[key] = items as TrafficDescriptor[K]
  }
  for (const component of traffic) {
    if (component.type === 'match-all') json.matchAll = true
    else if (component.type === 'remote-ipv4' || (component.type === 'remote-ipv6' && !isOfBothFamilies(component)))
      add('remoteAddresses', prefix(component))
    else if (component.type === 'remote-port') add('remotePorts', component.port)
    else if (component.type === 'remote-port-range') add('remotePorts', range(component))
    else if (component.type === 'protocol') add('protocols', component.protocol)
    else if (component.type === 'fqdn' && plainName(component.fqdn) !== undefined) add('fqdns', component.fqdn)
    else if (component.type === 'regular-expression' && typeof compileExpression(component.expression) !== 'string')
      add('regularExpressions', component.expression)
    else if (component.type === 'app') add('applications', { osAppId: component.appId })
    else if (component.type === 'os-app') add('applications', { osId: component.osId, osAppId: component.appId })
    else if (component.type === 'ip-tuple' && isSimple(component)) add('ipTuples', tupleToJson(component))
    else add('opaque', Buffer.from(encodeTrafficDescriptor([component])).toString('hex'))
  }
  return json
}

export const LISTS = [
  'remoteAddresses',
  'remotePorts',
  'protocols',
  'fqdns',
  'regularExpressions',
  'applications',
  'ipTuples',
  'opaque',
] as const
type ListKey = (typeof LISTS)[number]
const TRAFFIC_KEYS = ['matchAll', ...LISTS] as const

const PARSERS: Record<ListKey, (path: string, item: unknown) => TrafficComponent[]> = {
  remoteAddresses: (path, item) => [parsePrefix(path, item)],
  remotePorts: (path, item) => [parsePorts(path, item)],
  protocols: (path, item) => [{ type: 'protocol', protocol: octet(path, item) }],
  fqdns: (path, item) => {
    const fqdn = plainName(text(path, item))
    if (fqdn === undefined) throw wrong(path, `must be a name, or '*.' and a name; it is ${shown(item)}`)
    return [{ type: 'fqdn', fqdn, coding: 'labels' }]
  },
  regularExpressions: (path, item) => {
    const expression = text(path, item)
    const test = compileExpression(expression)
    if (typeof test === 'string') throw wrong(path, `must be an extended regular expression: ${test}`)
    if (Buffer.byteLength(expression) > MAX_TEXT) throw wrong(path, `has more than ${MAX_TEXT} octets`)
    return [{ type: 'regular-expression', expression }]
  },
  applications: parseApplication,
  ipTuples: parseTuple,
  opaque: (path, item) => {
    const components = decodeTrafficDescriptor(hexadecimal(path, item))
    if (components.length === 0) throw wrong(path, 'is empty')
    return components
  },
}

type Prefix = Extract<TrafficComponent, { type: 'remote-ipv4' | 'remote-ipv6' }>

/** An IPv4-mapped prefix is one of IPv4: that is what its addresses are compared as. */
export function parsePrefix(path: string, item: unknown): Prefix {
  const refused = () => wrong(path, `must be an address or a prefix, such as 192.0.2.0/24; it is ${shown(item)}`)
  const [, address = '', behind] = /^([^/]+)(?:\/([\d.]+))?$/.exec(text(path, item)) ?? []
  const bytes = new Uint8Array(ADDRESS_LENGTH)
  if (!parseAddress(address, bytes, 0)) throw refused()
  const plain = formatAddress(bytes, 0)
  if (behind?.includes('.')) {
    if (address.includes(':') || !parseAddress(behind, bytes, 0)) throw refused()
    return { type: 'remote-ipv4', address: plain, mask: behind }
  }
  const length = behind === undefined ? undefined : Number(behind)
  if (plain.includes(':')) {
    if (length !== undefined && length > 128) throw refused()
    return { type: 'remote-ipv6', address: plain, prefixLength: length ?? 128 }
  }
  const width = address.includes(':') ? 128 : 32
  const bits = (length ?? width) - (width - 32)
  if (bits < 0 || bits > 32) throw refused()
  return { type: 'remote-ipv4', address: plain, mask: maskOf(bits) }
}

/** `'192.0.2.0/24'`; with its mask where that is none of a prefix. */
export function prefix(component: Prefix): string {
  if (component.type === 'remote-ipv6') {
    const { address, prefixLength } = component
    return `${isMapped(component) ? '::ffff:' : ''}${address}/${prefixLength}`
  }
  const { address, mask } = component
  for (let bits = 0; bits <= 32; bits++) if (maskOf(bits) === mask) return bits === 32 ? address : `${address}/${bits}`
  return `${address}/${mask}`
}

/** Whether it is an IPv4-mapped address, which is dotted as text. */
function isMapped({ address }: { address: string }): boolean {
  return !address.includes(':')
}

/** An IPv4-mapped prefix of less than 96 bits has no form in JSON. */
function isOfBothFamilies(ipv6: { address: string; prefixLength: number }): boolean {
  return isMapped(ipv6) && ipv6.prefixLength < 96
}

function maskOf(bits: number): string {
  return [24, 16, 8, 0].map(shift => Math.floor(((2 ** 32 - 2 ** (32 - bits)) / 2 ** shift) % 256)).join('.')
}

function parsePorts(
  path: string,
  item: unknown,
): Extract<TrafficComponent, { type: 'remote-port' | 'remote-port-range' }> {
  if (typeof item !== 'string') return { type: 'remote-port', port: port(path, item) }
  const [, first, last] = /^(\d{1,5})-(\d{1,5})$/.exec(item) ?? []
  const low = Number(first)
  const high = Number(last)
  if (!(low <= high && high <= 65_535)) throw wrong(path, `must be a port or a range 'low-high'; it is ${shown(item)}`)
  return { type: 'remote-port-range', low, high }
}

function range({ low, high }: { low: number; high: number }): string {
  return `${low}-${high}`
}

/** RFC 1035 §2.3.4 for the lengths; hyphens and underscores as names in use have them. */
const NAME = /^(?:\*\.)?(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}$/
const MAX_NAME = 253

/** In lower case and ASCII, without the root's dot; `undefined` when it is no name, or an address. */
export function plainName(name: string): string | undefined {
  const [, wildcard = '', rest = ''] = /^(\*\.)?(.*?)\.?$/.exec(name) ?? []
  const plain = wildcard + domainToASCII(rest)
  const address = parseAddress(plain, new Uint8Array(ADDRESS_LENGTH), 0)
  return NAME.test(plain) && plain.length <= MAX_NAME && !address ? plain : undefined
}

/** TS 24.526: its length is one octet. */
export const MAX_TEXT = 255

function parseApplication(path: string, item: unknown): TrafficComponent[] {
  const { osId, osAppId } = record(path, item, ['osId', 'osAppId'])
  const appId = text(`${path}.osAppId`, osAppId)
  if (Buffer.byteLength(appId) > MAX_TEXT) throw wrong(`${path}.osAppId`, `has more than ${MAX_TEXT} octets`)
  if (osId === undefined) return [{ type: 'app', appId }]
  const uuid = text(`${path}.osId`, osId).toLowerCase()
  if (!UUID.test(uuid)) throw wrong(`${path}.osId`, `must be a UUID; it is ${shown(osId)}`)
  return [{ type: 'os-app', osId: uuid, appId }]
}

function parseTuple(path: string, item: unknown): TrafficComponent[] {
  const { remoteAddress, protocol, remotePort } = record(path, item, ['remoteAddress', 'protocol', 'remotePort'])
  const tuple: IpTuple = { type: 'ip-tuple' }
  if (remoteAddress !== undefined) {
    const { type, ...address } = parsePrefix(`${path}.remoteAddress`, remoteAddress)
    Object.assign(tuple, type === 'remote-ipv4' ? { ipv4: address } : { ipv6: address })
  }
  if (protocol !== undefined) tuple.protocol = octet(`${path}.protocol`, protocol)
  if (remotePort !== undefined) {
    const { type, ...ports } = parsePorts(`${path}.remotePort`, remotePort)
    Object.assign(tuple, type === 'remote-port' ? ports : { ports })
  }
  if (Object.keys(tuple).length === 1) throw wrong(path, 'names neither address nor protocol nor port')
  return [tuple]
}

/** Whether it has at most one address, and at most a port or a range. */
function isSimple({ ipv4, ipv6, port, ports }: IpTuple): boolean {
  if (ipv6 !== undefined && isOfBothFamilies(ipv6)) return false
  return (ipv4 === undefined || ipv6 === undefined) && (port === undefined || ports === undefined)
}

function tupleToJson({
  ipv4,
  ipv6,
  protocol,
  port,
  ports,
}: IpTuple): NonNullable<TrafficDescriptor['ipTuples']>[number] {
  const remotePort = ports === undefined ? port : range(ports)
  return {
    ...(ipv4 === undefined ? {} : { remoteAddress: prefix({ type: 'remote-ipv4', ...ipv4 }) }),
    ...(ipv6 === undefined ? {} : { remoteAddress: prefix({ type: 'remote-ipv6', ...ipv6 }) }),
    ...(protocol === undefined ? {} : { protocol }),
    ...(remotePort === undefined ? {} : { remotePort }),
  }
}
