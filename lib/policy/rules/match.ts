/** Which rule a connection is under: a function of the rules and of where it goes. TS 23.501 §5.32.8. */
import { plainHost } from '../../input/addresses.js'
import type { IpTuple, TrafficComponent } from '../../wire/atsss/container.js'
import { ADDRESS_LENGTH, formatAddress, isMappedAddress, parseAddress } from '../../wire/bytes/address.js'
import { prefix } from './json-traffic.js'
import { compileExpression, type NameTest } from './regular-expression.js'
import { byPrecedence, nameOf, type Rule } from './rule.js'

/** A connection about to be opened. What matters is the final destination, not the converter on the way to it. */
export interface Flow {
  /** What the application asked for: a name, or an address literal. */
  host?: string | undefined
  /** The destination's address; `undefined` while DNS has not answered. */
  address?: string | undefined
  port: number
  /** IP protocol number. @defaultValue 6, TCP */
  protocol?: number | undefined
  /** The operating system's UUID and the application's name there, when the application names itself. */
  osId?: string | undefined
  osAppId?: string | undefined
}

export interface Match {
  /** The first rule that matches; `undefined` when none does, which is for the session to decide about. */
  rule: Rule | undefined
  /** What of it matched, in words. */
  why: string
  /** A rule before `rule` may match once the address is known: ask again then. Never with an address. */
  undecided: boolean
  /** The rules before it, and why they do not match, or what they still depend on. */
  skipped: { rule: Rule; why: string }[]
}

/**
 * The rule for this flow: the first by precedence whose components all match. Components of one kind are alternatives;
 * those of different kinds must all match. Addresses of both families are one kind, as are ports and ranges of ports, names and
 * expressions for names, and applications with and without an operating system: as different kinds, no connection could ever match both.
 */
export function match(rules: readonly Rule[], flow: Flow): Match {
  const destination = destinationOf(flow)
  const skipped: Match['skipped'] = []
  let undecided = false
  for (const rule of byPrecedence(rules)) {
    const { verdict, why } = judge(rule, destination)
    if (verdict === 'yes') return { rule, why: `${nameOf(rule)} matches: ${why}`, undecided, skipped }
    if (verdict === 'open') undecided = true
    skipped.push({ rule, why })
  }
  return { rule: undefined, why: rules.length === 0 ? 'there are no rules' : 'no rule matches', undecided, skipped }
}

/** `open`: it depends on the address, which is not known yet. */
interface Judgement {
  verdict: 'yes' | 'no' | 'open'
  why: string
}

interface Destination {
  /** As `plainHost` writes it; not an address literal. */
  name: string | undefined
  /** 16 octets, IPv4 being IPv4-mapped; and as text. */
  address: Uint8Array | undefined
  text: string
  port: number
  protocol: number
  osId: string | undefined
  osAppId: string | undefined
}

const TCP = 6

function destinationOf({ host, address, port, protocol = TCP, osId, osAppId }: Flow): Destination {
  const literal = host === undefined ? undefined : octets(host)
  const known = address === undefined ? literal : octets(address)
  return {
    name: host === undefined || literal !== undefined ? undefined : plainHost(host),
    address: known,
    text: known === undefined ? '' : formatAddress(known, 0),
    port,
    protocol,
    osId: osId?.toLowerCase(),
    osAppId,
  }
}

/** An address without its zone, or `undefined` when it is none. */
function octets(address: string): Uint8Array | undefined {
  const bytes = new Uint8Array(ADDRESS_LENGTH)
  return parseAddress(address.split('%')[0]!, bytes, 0) ? bytes : undefined
}

function judge(rule: Rule, destination: Destination): Judgement {
  if (rule.unusable !== undefined) return no(rule.unusable)
  const kinds = new Map<string, Judgement[]>()
  for (const component of rule.traffic) {
    const kind = KINDS[component.type] ?? component.type
    const judgement = judgeComponent(component, destination)
    const alternatives = kinds.get(kind)
    if (alternatives) alternatives.push(judgement)
    else kinds.set(kind, [judgement])
  }
  return allOf([...kinds.values()].map(anyOf))
}

/** Components that are alternatives to each other although their types differ. */
const KINDS: Partial<Record<TrafficComponent['type'], string>> = {
  'os-app': 'application',
  app: 'application',
  'remote-ipv4': 'address',
  'remote-ipv6': 'address',
  fqdn: 'name',
  'regular-expression': 'name',
  'remote-port': 'port',
  'remote-port-range': 'port',
}

/** How many reasons are given when none of many alternatives matches. */
const MOST_REASONS = 5

/** The first of the best; when none matches, why each does not. */
function anyOf(judgements: readonly Judgement[]): Judgement {
  return (
    judgements.find(({ verdict }) => verdict === 'yes') ??
    judgements.find(({ verdict }) => verdict === 'open') ??
    no(reasons([...new Set(judgements.map(({ why }) => why))]))
  )
}

function reasons(all: readonly string[]): string {
  const more = all.length - MOST_REASONS
  return all.slice(0, MOST_REASONS).join(', ') + (more > 0 ? `, and ${more} more` : '')
}

function judgeComponent(component: TrafficComponent, destination: Destination): Judgement {
  switch (component.type) {
    case 'match-all':
      return yes('it is for everything')
    case 'os-app':
      return judgeApplication(component.appId, component.osId, destination)
    case 'app':
      return judgeApplication(component.appId, undefined, destination)
    case 'remote-ipv4':
      return judgeIPv4(component, destination)
    case 'remote-ipv6':
      return judgeIPv6(component, destination)
    case 'protocol':
      return judgeProtocol(component.protocol, destination)
    case 'remote-port':
      return judgePort(component.port, component.port, destination)
    case 'remote-port-range':
      return judgePort(component.low, component.high, destination)
    case 'ip-tuple':
      return judgeTuple(component, destination)
    case 'fqdn':
      return judgeName(component.fqdn, destination)
    case 'regular-expression':
      return judgeExpression(component, destination)
    default:
      return no(`it has a component of type ${component.type}`)
  }
}

function judgeApplication(appId: string, osId: string | undefined, destination: Destination): Judgement {
  if (destination.osAppId === undefined) return no('the application has not named itself')
  if (destination.osAppId !== appId) return no(`application '${destination.osAppId}' is not '${appId}'`)
  if (osId === undefined || destination.osId === osId) return yes(`application '${appId}'`)
  return no(destination.osId === undefined ? 'no OS Id is given' : `OS Id ${destination.osId} is not ${osId}`)
}

const UNKNOWN_ADDRESS: Judgement = { verdict: 'open', why: 'it depends on the address, which is not known yet' }

function judgeIPv4({ address, mask }: { address: string; mask: string }, destination: Destination): Judgement {
  if (destination.address === undefined) return UNKNOWN_ADDRESS
  const { text } = destination
  const net = octets(address)
  const bits = octets(mask)
  const network = prefix({ type: 'remote-ipv4', address, mask })
  if (text.includes(':') || net === undefined || bits === undefined) return no(`${text} is not in ${network}`)
  const inside = [12, 13, 14, 15].every(i => ((destination.address![i]! ^ net[i]!) & bits[i]!) === 0)
  return inside ? yes(`${text} is in ${network}`) : no(`${text} is not in ${network}`)
}

/** An IPv4 destination is in no IPv6 prefix, not even in ::/0, except in an IPv4-mapped one, which is a prefix of IPv4. */
function judgeIPv6(ipv6: { address: string; prefixLength: number }, destination: Destination): Judgement {
  if (destination.address === undefined) return UNKNOWN_ADDRESS
  const { text } = destination
  const { address, prefixLength } = ipv6
  const net = octets(address)
  const comparable = text.includes(':') || (net !== undefined && isMappedAddress(net, 0) && prefixLength >= 96)
  const inside = comparable && net !== undefined && samePrefix(destination.address, net, prefixLength)
  const network = prefix({ type: 'remote-ipv6', ...ipv6 })
  return inside ? yes(`${text} is in ${network}`) : no(`${text} is not in ${network}`)
}

function samePrefix(a: Uint8Array, b: Uint8Array, bits: number): boolean {
  const whole = bits >>> 3
  for (let i = 0; i < whole; i++) if (a[i] !== b[i]) return false
  return bits % 8 === 0 || (a[whole]! ^ b[whole]!) >>> (8 - (bits % 8)) === 0
}

function judgeProtocol(protocol: number, destination: Destination): Judgement {
  if (destination.protocol === protocol) return yes(`protocol ${protocol}`)
  return no(`protocol ${destination.protocol} is not ${protocol}`)
}

function judgePort(low: number, high: number, { port }: Destination): Judgement {
  const ports = low === high ? `${low}` : `${low}–${high}`
  if (port < low || port > high) return no(`port ${port} is not ${low === high ? ports : `in ${ports}`}`)
  return yes(low === high ? `port ${port}` : `port ${port} is in ${ports}`)
}

function judgeTuple({ ipv4, ipv6, protocol, port, ports }: IpTuple, destination: Destination): Judgement {
  const addresses = [
    ...(ipv4 === undefined ? [] : [judgeIPv4(ipv4, destination)]),
    ...(ipv6 === undefined ? [] : [judgeIPv6(ipv6, destination)]),
  ]
  const judgements = [
    ...(addresses.length === 0 ? [] : [anyOf(addresses)]),
    ...(protocol === undefined ? [] : [judgeProtocol(protocol, destination)]),
    ...(port === undefined ? [] : [judgePort(port, port, destination)]),
    ...(ports === undefined ? [] : [judgePort(ports.low, ports.high, destination)]),
  ]
  return allOf(judgements)
}

function judgeName(fqdn: string, { name }: Destination): Judgement {
  if (name === undefined) return no('the destination is given by its address, not by a name')
  const pattern = plainPattern(fqdn)
  return isUnder(name, pattern)
    ? yes(pattern === name ? `name ${name}` : `name ${name} is in ${pattern}`)
    : no(`${name} is not ${pattern}`)
}

/** Compiled at their first use: a rule is asked for each connection. */
const TESTS = new WeakMap<TrafficComponent, NameTest | string>()

function judgeExpression(
  component: Extract<TrafficComponent, { type: 'regular-expression' }>,
  { name }: Destination,
): Judgement {
  const { expression } = component
  if (name === undefined) return no('the destination is given by its address, not by a name')
  const test = TESTS.get(component) ?? compileExpression(expression)
  TESTS.set(component, test)
  if (typeof test === 'string') return no(`'${expression}' is no expression: ${test}`)
  return test(name) ? yes(`name ${name} matches '${expression}'`) : no(`${name} does not match '${expression}'`)
}

/** The pattern as `isUnder` compares it. */
export function plainPattern(pattern: string): string {
  return pattern.startsWith('*.') ? `*.${plainHost(pattern.slice(2))}` : plainHost(pattern)
}

/** Whether a name is `pattern`, or below it when that begins with `*.`; both in small letters, without a dot at the end. */
export function isUnder(name: string, pattern: string): boolean {
  if (!pattern.startsWith('*.')) return name === pattern
  return name.endsWith(pattern.slice(1)) && name !== pattern.slice(1)
}

/** The first that fails; otherwise the first that is open. */
function allOf(judgements: readonly Judgement[]): Judgement {
  return (
    judgements.find(({ verdict }) => verdict === 'no') ??
    judgements.find(({ verdict }) => verdict === 'open') ??
    yes(judgements.map(({ why }) => why).join(', '))
  )
}

function yes(why: string): Judgement {
  return { verdict: 'yes', why }
}

function no(why: string): Judgement {
  return { verdict: 'no', why }
}
