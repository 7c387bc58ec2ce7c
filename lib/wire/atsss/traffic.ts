/** Traffic descriptors to components and back. TS 24.526 §5.2; the components are those of traffic-descriptor.ts. */

import { Reader } from '../bytes/cursor.js'
import { hex, type Trace } from '../bytes/trace.js'
import {
  formatUuid,
  readFqdn,
  readIPv4,
  readIPv6,
  readText,
  writeFqdn,
  writeIPv4,
  writeIPv6,
  writeUuid,
} from './fields.js'
import { OctetWriter, refusal } from './octets.js'
import { COMPONENT_CODES, type ComponentType, type IpTuple, type TrafficComponent } from './traffic-descriptor.js'

/** The components in `bytes`, to their end. Never throws. Nothing in the result shares memory with `bytes`. */
export function decodeTrafficDescriptor(bytes: Uint8Array): TrafficComponent[] {
  return readTrafficDescriptor(new Reader(bytes, 0, bytes.length, 'ERR_ATSSS_MALFORMED'))
}

/** Throws `WireError` with the code `ERR_ATSSS_ENCODE` for what a component cannot carry. */
export function encodeTrafficDescriptor(components: readonly TrafficComponent[]): Uint8Array {
  const to = new OctetWriter()
  writeTrafficDescriptor(to, components)
  return to.finish()
}

/** Those in the whole window of `from`. */
export function readTrafficDescriptor(from: Reader): TrafficComponent[] {
  const components: TrafficComponent[] = []
  while (from.left > 0) components.push(readComponent(from))
  return components
}

export function writeTrafficDescriptor(to: OctetWriter, components: readonly TrafficComponent[]): void {
  if (!Array.isArray(components)) throw refusal('traffic descriptor is not an array', to.offset)
  for (const [index, component] of components.entries()) {
    if (component.type === 'unknown' && index < components.length - 1)
      throw refusal('a component of an unknown type hides what follows it', to.offset)
    writeComponent(to, component)
  }
}

const TYPES: ReadonlyMap<number, ComponentType> = new Map(
  Object.entries(COMPONENT_CODES).map(([name, code]) => [code, name as ComponentType]),
)

function readComponent(from: Reader): TrafficComponent {
  const part = from.part('Component')
  const code = part.u8('Type', showType)
  const type = TYPES.get(code)
  const component: TrafficComponent =
    type === undefined ? { type: 'unknown', code, value: part.rest('Value') } : readKnown(code, type, part)
  if (part.trace !== undefined) traceComponent(part.trace, component)
  from.offset = part.end
  return component
}

function readKnown(code: number, type: ComponentType, from: Reader): TrafficComponent {
  const length = valueLength(type, from)
  if (length > from.left) {
    const why = length === Number.POSITIVE_INFINITY ? 'has fields not known here' : 'is cut short'
    return { type: 'invalid', code, value: from.rest('Value'), why }
  }
  from.reach(length)
  const at = from.offset
  const component = readValue(type, from)
  if (typeof component !== 'string') return component
  return { type: 'invalid', code, value: new Uint8Array(from.bytes.subarray(at, from.end)), why: component }
}

function showType(code: number): string {
  return `0x${code.toString(16)} (${TYPES.get(code) ?? 'unknown'})`
}

function traceComponent(trace: Trace, component: TrafficComponent): void {
  switch (component.type) {
    case 'unknown':
      trace.title('Component of unknown type')
      return trace.problem('a component of an unknown type hides what follows it')
    case 'invalid':
      trace.title(`Component: ${TYPES.get(component.code)}`)
      return trace.problem(component.why)
    default:
      trace.title(`Component: ${component.type}`)
  }
}

/** Octets of a value: how many; or, where an octet gives the number, the offset of that octet (`counted`). */
const LENGTHS: Record<Exclude<ComponentType, 'ip-tuple'>, number | { counted: number }> = {
  'match-all': 0,
  'os-app': { counted: 16 },
  'remote-ipv4': 8,
  'local-ipv4': 8,
  'remote-ipv6': 17,
  'local-ipv6': 17,
  protocol: 1,
  'local-port': 2,
  'local-port-range': 4,
  'remote-port': 2,
  'remote-port-range': 4,
  'security-parameter-index': 4,
  'type-of-service': 2,
  'flow-label': 3,
  'destination-mac': 6,
  'source-mac': 6,
  'c-tag-vid': 2,
  's-tag-vid': 2,
  'c-tag-pcp': 1,
  's-tag-pcp': 1,
  ethertype: 2,
  dnn: { counted: 0 },
  'connection-capabilities': { counted: 0 },
  fqdn: { counted: 0 },
  'regular-expression': { counted: 0 },
  app: { counted: 0 },
  'destination-mac-range': 12,
  'pin-id': { counted: 0 },
  'connectivity-group-id': { counted: 0 },
}

/** Octets of the value that starts here: more than are left when it is cut short, infinitely many when that cannot be known. */
function valueLength(type: ComponentType, { bytes, offset, left }: Reader): number {
  if (type === 'ip-tuple') return left > 0 ? tupleLength(bytes[offset]!) : 1
  const length = LENGTHS[type]
  if (typeof length === 'number') return length
  return length.counted + 1 + (left > length.counted ? bytes[offset + length.counted]! : 0)
}

/** Bits of an IP 3 tuple's first octet, which says what follows, in this order. */
const TUPLE = { ipv4: 0x01, ipv6: 0x02, protocol: 0x04, port: 0x08, ports: 0x10 } as const
const TUPLE_LENGTHS = { ipv4: 8, ipv6: 17, protocol: 1, port: 2, ports: 4 } as const
const TUPLE_FIELDS = Object.keys(TUPLE) as (keyof typeof TUPLE)[]

function tupleLength(bitmap: number): number {
  if (bitmap > 0x1f) return Number.POSITIVE_INFINITY
  return TUPLE_FIELDS.reduce((sum, field) => sum + (bitmap & TUPLE[field] ? TUPLE_LENGTHS[field] : 0), 1)
}

/** The component, or why it cannot be. */
function readValue(type: ComponentType, from: Reader): TrafficComponent | string {
  switch (type) {
    case 'match-all':
      return { type }
    case 'os-app': {
      const osId = formatUuid(from.take(16, 'OS Id', formatUuid))
      const appId = readAppId(from)
      return appId === undefined ? 'names no application' : { type, osId, appId }
    }
    case 'app': {
      const appId = readAppId(from)
      return appId === undefined ? 'names no application' : { type, appId }
    }
    case 'remote-ipv4':
      return { type, ...readNetwork(from) }
    case 'remote-ipv6': {
      const ipv6 = readPrefix(from)
      return typeof ipv6 === 'string' ? ipv6 : { type, ...ipv6 }
    }
    case 'protocol':
      return { type, protocol: from.u8('Protocol') }
    case 'remote-port':
      return { type, port: from.u16('Port') }
    case 'remote-port-range': {
      const ports = readRange(from)
      return typeof ports === 'string' ? ports : { type, ...ports }
    }
    case 'ip-tuple':
      return readTuple(from)
    case 'fqdn': {
      from.u8('Length of FQDN')
      const name = readFqdn(from.rest('FQDN', bytes => readFqdn(bytes)?.fqdn ?? hex(bytes)))
      return name === undefined ? 'is no name' : { type, ...name }
    }
    case 'regular-expression': {
      from.u8('Length of expression')
      const expression = readText(from.rest('Expression', bytes => readText(bytes) ?? hex(bytes)))
      return expression === undefined ? 'is no text' : { type, expression }
    }
    default:
      if (typeof LENGTHS[type] !== 'number') from.u8('Length of value')
      return { type, value: from.rest('Value') }
  }
}

function readAppId(from: Reader): string | undefined {
  from.u8('Length of App Id')
  return readText(from.rest('App Id', bytes => readText(bytes) ?? hex(bytes))) || undefined
}

function readNetwork(from: Reader): { address: string; mask: string } {
  return { address: readIPv4(from, 'IPv4 address'), mask: readIPv4(from, 'Mask') }
}

function readPrefix(from: Reader): { address: string; prefixLength: number } | string {
  const address = readIPv6(from, 'IPv6 address')
  const prefixLength = from.u8('Prefix length')
  return prefixLength > 128 ? `has a prefix of ${prefixLength} bits` : { address, prefixLength }
}

function readRange(from: Reader): { low: number; high: number } | string {
  const low = from.u16('Lowest port')
  const high = from.u16('Highest port')
  return low > high ? `has ports from ${low} down to ${high}` : { low, high }
}

function readTuple(from: Reader): IpTuple | string {
  const bitmap = from.u8('Fields that follow', showBitmap)
  if (bitmap === 0) return 'names nothing'
  const tuple: IpTuple = { type: 'ip-tuple' }
  if (bitmap & TUPLE.ipv4) tuple.ipv4 = readNetwork(from)
  if (bitmap & TUPLE.ipv6) {
    const ipv6 = readPrefix(from)
    if (typeof ipv6 === 'string') return ipv6
    tuple.ipv6 = ipv6
  }
  if (bitmap & TUPLE.protocol) tuple.protocol = from.u8('Protocol')
  if (bitmap & TUPLE.port) tuple.port = from.u16('Port')
  if (bitmap & TUPLE.ports) {
    const ports = readRange(from)
    if (typeof ports === 'string') return ports
    tuple.ports = ports
  }
  return tuple
}

function showBitmap(bitmap: number): string {
  const fields = TUPLE_FIELDS.filter(field => bitmap & TUPLE[field])
  return `0x${bitmap.toString(16)} (${fields.join(', ') || 'none'})`
}

function writeComponent(to: OctetWriter, component: TrafficComponent): void {
  if (component.type === 'unknown' || component.type === 'invalid') {
    if (TYPES.has(component.code) !== (component.type === 'invalid'))
      throw refusal(
        `component type ${component.code} is ${component.type === 'invalid' ? '' : 'not '}unknown`,
        to.offset,
      )
    to.u8(component.code, 'component type')
    to.put(component.value, 'value')
    return
  }
  if (!Object.hasOwn(COMPONENT_CODES, component.type))
    throw refusal(`no component is called ${JSON.stringify(component.type)}`, to.offset)
  to.u8(COMPONENT_CODES[component.type], 'component type')
  switch (component.type) {
    case 'match-all':
      break
    case 'os-app':
      writeUuid(to, component.osId, 'OS Id')
      writeAppId(to, component.appId)
      break
    case 'app':
      writeAppId(to, component.appId)
      break
    case 'remote-ipv4':
      writeIPv4(to, component.address, 'address')
      writeIPv4(to, component.mask, 'mask')
      break
    case 'remote-ipv6':
      writePrefix(to, component)
      break
    case 'protocol':
      to.u8(component.protocol, 'protocol')
      break
    case 'remote-port':
      to.u16(component.port, 'port')
      break
    case 'remote-port-range':
      writeRange(to, component)
      break
    case 'ip-tuple':
      writeTuple(to, component)
      break
    case 'fqdn':
      to.counted(1, 'FQDN', () => writeFqdn(to, component.fqdn, component.coding))
      break
    case 'regular-expression':
      to.counted(1, 'expression', () => to.put(Buffer.from(component.expression), 'expression'))
      break
    default:
      writeOpaque(to, component.type, component.value)
  }
}

function writeAppId(to: OctetWriter, appId: string): void {
  if (typeof appId !== 'string' || appId === '') throw refusal('application without a name', to.offset)
  to.counted(1, 'App Id', () => to.put(Buffer.from(appId), 'App Id'))
}

function writePrefix(to: OctetWriter, { address, prefixLength }: { address: string; prefixLength: number }): void {
  writeIPv6(to, address, 'address')
  if (prefixLength > 128) throw refusal(`a prefix of ${prefixLength} bits`, to.offset)
  to.u8(prefixLength, 'prefix length')
}

function writeRange(to: OctetWriter, { low, high }: { low: number; high: number }): void {
  if (low > high) throw refusal(`ports from ${low} down to ${high}`, to.offset)
  to.u16(low, 'port')
  to.u16(high, 'port')
}

function writeTuple(to: OctetWriter, tuple: IpTuple): void {
  const bitmap = TUPLE_FIELDS.reduce((sum, field) => (tuple[field] === undefined ? sum : sum | TUPLE[field]), 0)
  if (bitmap === 0) throw refusal('an IP 3 tuple that names nothing', to.offset)
  to.u8(bitmap, 'bitmap')
  if (tuple.ipv4 !== undefined) {
    writeIPv4(to, tuple.ipv4.address, 'address')
    writeIPv4(to, tuple.ipv4.mask, 'mask')
  }
  if (tuple.ipv6 !== undefined) writePrefix(to, tuple.ipv6)
  if (tuple.protocol !== undefined) to.u8(tuple.protocol, 'protocol')
  if (tuple.port !== undefined) to.u16(tuple.port, 'port')
  if (tuple.ports !== undefined) writeRange(to, tuple.ports)
}

function writeOpaque(to: OctetWriter, type: Exclude<ComponentType, 'ip-tuple'>, value: Uint8Array): void {
  const length = LENGTHS[type]
  if (typeof length !== 'number') return to.counted(1, type, () => to.put(value, type))
  to.put(value, type)
  if (value.length !== length) throw refusal(`${type} of ${value.length} octets, not ${length}`, to.offset)
}
