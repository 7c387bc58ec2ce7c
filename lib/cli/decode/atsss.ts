/** An ATSSS container as a tree. TS 24.193 §6.1; the layouts are drawn in wire/atsss/message.ts. */
import { WireError } from '../../errors.js'
import {
  type AtsssParameter,
  decodeContainer,
  decodeTrafficDescriptor,
  encodeTrafficDescriptor,
  PARAMETER_CODES,
  type RulesParameter,
  type TrafficComponent,
  type WireSteeringMode,
} from '../../wire/atsss/container.js'
import { ADDRESS_TYPES, OPERATIONS, TRANSPORT_CONVERTER } from '../../wire/atsss/message.js'
import { formatAddress } from '../../wire/bytes/address.js'
import type { Walker } from './tree.js'

/** The contents of a container: a row of parameters. */
export function walkContainer(walker: Walker): void {
  while (walker.left > 0) {
    const start = walker.offset
    const code = walker.bytes[start]!
    const length = ((walker.bytes[start + 1] ?? 0) << 8) | (walker.bytes[start + 2] ?? 0)
    const whole = 3 + length
    const name = PARAMETERS.get(code) ?? `Parameter of unknown type ${code}`
    if (whole > walker.left) {
      walker.number('Parameter type', 1)
      walker.number('Length', 2)
      walker.wrong(`the ${name} has ${length} octets, ${walker.left} are left`)
    }
    walker.group(name, whole, inside => {
      inside.number('Parameter type', 1)
      inside.number('Length', 2)
      walkParameter(inside, parameterOf(walker.bytes.subarray(start, start + whole)))
    })
  }
}

const PARAMETERS: ReadonlyMap<number, string> = new Map([
  [PARAMETER_CODES.rules, 'ATSSS rules'],
  [PARAMETER_CODES['network-steering'], 'Network steering functionalities information'],
  [PARAMETER_CODES.measurement, 'Measurement assistance information'],
])

/** What the codec makes of it: it decides between the layouts. */
function parameterOf(bytes: Uint8Array): AtsssParameter | undefined {
  try {
    return decodeContainer(bytes).parameters[0]
  } catch (error) {
    if (error instanceof WireError) return undefined
    throw error
  }
}

function walkParameter(walker: Walker, parameter: AtsssParameter | undefined): void {
  switch (parameter?.type) {
    case 'rules':
      for (const rule of parameter.rules) {
        const length = ruleLength(walker, rule, parameter)
        walker.group(ruleName(rule), length, inside => walkRule(inside, rule, parameter))
      }
      return
    case 'network-steering':
      walkAddress(walker, 'Address of the UE over 3GPP')
      walkAddress(walker, 'Address of the UE over non-3GPP')
      return walkProxies(walker)
    case 'measurement':
      return walkMeasurement(walker, parameter.protocol)
    default:
      walker.rest('Value')
      if (parameter?.type === 'raw' && parameter.why !== undefined) walker.wrong(parameter.why)
  }
}

type Entry = RulesParameter['rules'][number]

function ruleName(rule: Entry): string {
  if (rule.type === 'unreadable') return 'Rule that cannot be read'
  return rule.id === undefined ? 'Rule' : `Rule ${rule.id}`
}

function ruleLength(walker: Walker, rule: Entry, { ruleLength: counts }: RulesParameter): number {
  if (rule.type === 'unreadable') return rule.bytes.length
  const said = (walker.bytes[walker.offset]! << 8) | walker.bytes[walker.offset + 1]!
  return counts === 'inclusive' ? said : said + 2
}

function walkRule(walker: Walker, rule: Entry, { layout, ruleLength: counts }: RulesParameter): void {
  if (rule.type === 'unreadable') {
    walker.rest('Octets')
    walker.wrong(rule.why)
  }
  walker.number('Length of rule', 2, value => `${value} (${counts === 'inclusive' ? 'with' : 'without'} itself)`)
  if (layout === 'rule-id') {
    walker.number('Rule identifier', 1)
    walker.number('Operation', 1, value => `${value} (${OPERATION_NAMES.get(value) ?? 'unknown'})`)
  }
  if (rule.type !== 'rule') {
    walker.rest('Rest')
    if (rule.type === 'unknown-operation') walker.wrong(`operation ${rule.operation} is not known`)
    return
  }
  walker.number('Precedence', 1)
  const length = walker.number('Length of traffic descriptor', 2)
  walker.group('Traffic descriptor', length, walkTraffic)
  walker.number('Length of access selection descriptor', 1)
  const { functionality, mode } = rule.access
  walker.number(
    'Steering functionality',
    1,
    value => `${value} (${typeof functionality === 'number' ? 'unknown' : functionality})`,
  )
  walker.number('Steering mode', 1, value => `${value} (${mode.mode})`)
  if (mode.mode === 'unknown') walker.rest('Steering mode information')
  else if (mode.mode !== 'smallest-delay')
    walker.number('Steering mode information', 1, value => `${value} (${modeInformation(mode)})`)
  walker.rest('Of later releases, not known here')
}

const OPERATION_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(OPERATIONS).map(([name, code]) => [code, name.replaceAll('-', ' ')]),
)

function modeInformation(mode: WireSteeringMode): string {
  switch (mode.mode) {
    case 'active-standby':
      return `active ${mode.active}, ${mode.standby === undefined ? 'no standby' : `standby ${mode.standby}`}`
    case 'load-balancing':
      return `${mode.percent3gpp} % over 3gpp, ${100 - mode.percent3gpp} % over non-3gpp`
    case 'priority-based':
      return `high priority: ${mode.high}`
    default:
      return ''
  }
}

/** Components have no length: what the codec reads of one, it writes in as many octets. */
function walkTraffic(walker: Walker): void {
  for (const component of decodeTrafficDescriptor(walker.bytes.subarray(walker.offset, walker.end))) {
    const length = encodeTrafficDescriptor([component]).length
    walker.octets('Component', length, () => describe(component))
    if (component.type === 'invalid') walker.fields.at(-1)!.problem = component.why
    if (component.type === 'unknown') walker.fields.at(-1)!.problem = 'hides what follows it'
  }
}

function describe(component: TrafficComponent): string {
  switch (component.type) {
    case 'match-all':
      return 'match-all'
    case 'invalid':
    case 'unknown':
      return `type 0x${component.code.toString(16)} ${Buffer.from(component.value).toString('hex')}`
    default: {
      const { type, ...about } = component
      const words = Object.entries(about).map(([name, value]) => `${name} ${shown(value)}`)
      return `${type}: ${words.join(', ')}`
    }
  }
}

function shown(value: unknown): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex') || '(empty)'
  if (typeof value === 'object' && value !== null) return Object.values(value).join('/')
  return String(value)
}

function walkAddress(walker: Walker, name: string): void {
  const type = walker.bytes[walker.offset] ?? 0
  const length = ADDRESS_LENGTHS.get(type)
  if (length === undefined) {
    walker.number(name, 1)
    walker.wrong(`type of address ${type} is not known`)
  }
  walker.octets(name, 1 + length, bytes => {
    const v4 = type === ADDRESS_TYPES.ipv6 ? [] : [bytes.subarray(1, 5).join('.')]
    const v6 = type === ADDRESS_TYPES.ipv4 ? [] : [formatAddress(bytes, bytes.length - 16)]
    return [...v4, ...v6].join(' and ')
  })
}

const ADDRESS_LENGTHS: ReadonlyMap<number, number> = new Map([
  [ADDRESS_TYPES.ipv4, 4],
  [ADDRESS_TYPES.ipv6, 16],
  [ADDRESS_TYPES.ipv4v6, 20],
])

function walkProxies(walker: Walker): void {
  const length = walker.number('Length of proxy information', 1)
  walker.group('MPTCP proxies', length, inside => {
    while (inside.left > 0) {
      walkAddress(inside, 'Address of the proxy')
      inside.number('Port', 2)
      inside.number(
        'Type of proxy',
        1,
        type => `${type} (${type === TRANSPORT_CONVERTER ? 'Transport Converter' : 'unknown'})`,
      )
    }
  })
  walker.rest('Of later releases, not known here')
}

function walkMeasurement(walker: Walker, protocol: 'ip' | 'ethernet'): void {
  if (protocol === 'ip') {
    walkAddress(walker, 'Address of the measurement function')
    walker.number('Port over 3GPP', 2)
    walker.number('Port over non-3GPP', 2)
  } else {
    const mac = (bytes: Uint8Array) => [...bytes].map(octet => octet.toString(16).padStart(2, '0')).join(':')
    walker.octets('MAC address over 3GPP', 6, mac)
    walker.octets('MAC address over non-3GPP', 6, mac)
  }
  walker.number('Flags', 1, value => `${value} (access availability ${value & 1 ? 'is' : 'is not'} to be reported)`)
  walker.rest('Of later releases, not known here')
}
