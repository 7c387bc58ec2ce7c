/**
 * ATSSS containers, in which the network sends a device its rules and proxies. TS 24.193 §6.1: bytes to values and
 * back, without I/O, clock or randomness. What is not known is kept, so that encoding gives back the same bytes.
 */
import { WireError } from '../../errors.js'
import { Reader } from '../bytes/cursor.js'
import {
  type AtsssParameter,
  type EthernetMeasurement,
  type IpMeasurement,
  type NetworkSteering,
  PARAMETER_CODES,
  type RuleFraming,
} from './message.js'
import { readMeasurement, readNetworkSteering, writeMeasurement, writeNetworkSteering } from './network.js'
import { OctetWriter, refusal } from './octets.js'
import { framingsFor, type RuleProblem, readRules, writeRules } from './rules.js'

export {
  type AccessSelection,
  type AtsssParameter,
  type EthernetMeasurement,
  type IpMeasurement,
  type MptcpProxy,
  type NetworkAddress,
  type NetworkSteering,
  PARAMETER_CODES,
  type RawParameter,
  type RuleEntry,
  type RuleFraming,
  type RulesParameter,
  type WireAccess,
  type WireSteeringMode,
} from './message.js'
export { decodeTrafficDescriptor, encodeTrafficDescriptor } from './traffic.js'
export {
  COMPONENT_CODES,
  type ComponentType,
  type FqdnCoding,
  type IpTuple,
  type OpaqueComponentType,
  type TrafficComponent,
} from './traffic-descriptor.js'

export interface AtsssContainer {
  parameters: AtsssParameter[]
  /** What could not be read or understood, in the order of the bytes; everything else stands. */
  problems: AtsssProblem[]
}

export interface AtsssProblem extends Omit<RuleProblem, 'index'> {
  /** Index of the parameter. */
  parameter: number
  /** Index of the rule in its parameter; `undefined` when the problem is the parameter's. */
  index: number | undefined
}

/** How rules are to be read, where it is known. What is left out is found out. */
export interface DecodeContainerOptions {
  layout?: RuleFraming['layout'] | 'auto'
  ruleLength?: RuleFraming['ruleLength'] | 'auto'
}

/**
 * The contents of an ATSSS container: the value of the information element, without its type and length.
 * Throws `WireError` with the code `ERR_ATSSS_MALFORMED` only when the parameters do not end where the bytes do. One that
 * cannot be read is kept as it came, as is a rule; the others are not lost. Nothing in the result shares memory with
 * `bytes`.
 */
export function decodeContainer(bytes: Uint8Array, options: DecodeContainerOptions = {}): AtsssContainer {
  return readContainer(new Reader(bytes, 0, bytes.length, 'ERR_ATSSS_MALFORMED'), options)
}

/**
 * The same from a reader, to the end of its window; its errors should have the code `ERR_ATSSS_MALFORMED`.
 *
 * @internal for the codec of NAS messages and for `decode`
 */
export function readContainer(from: Reader, options: DecodeContainerOptions = {}): AtsssContainer {
  const framings = framingsFor(options.layout ?? 'auto', options.ruleLength ?? 'auto')
  const container: AtsssContainer = { parameters: [], problems: [] }
  while (from.left > 0) {
    const parameter = from.part('Parameter')
    const code = parameter.u8('Parameter type')
    if (parameter.trace !== undefined)
      parameter.trace.title(PARAMETER_NAMES.get(code) ?? `Parameter of unknown type ${code}`)
    parameter.limit(parameter.u16('Length'))
    readParameter(code, parameter, framings, container)
    from.offset = parameter.end
  }
  return container
}

/**
 * The bytes of these parameters; the same from which `decodeContainer` made them.
 * Throws `WireError` with the code `ERR_ATSSS_ENCODE` for what a container cannot carry.
 */
export function encodeContainer(parameters: readonly AtsssParameter[]): Uint8Array {
  if (!Array.isArray(parameters)) throw refusal('container is not an array of parameters', 0)
  const to = new OctetWriter()
  for (const parameter of parameters) {
    to.u8(codeOf(parameter, to.offset), 'parameter type')
    to.counted(2, 'parameter', () => writeParameter(to, parameter))
  }
  return to.finish()
}

const PARAMETER_NAMES: ReadonlyMap<number, string> = new Map([
  [PARAMETER_CODES.rules, 'ATSSS rules'],
  [PARAMETER_CODES['network-steering'], 'Network steering functionalities information'],
  [PARAMETER_CODES.measurement, 'Measurement assistance information'],
])

function readParameter(
  code: number,
  from: Reader,
  framings: readonly RuleFraming[],
  { parameters, problems }: AtsssContainer,
): void {
  const offset = from.offset
  const parameter = parameters.length
  if (code === PARAMETER_CODES.rules) {
    const [rules, found] = readRules(from, framings)
    parameters.push(rules)
    problems.push(...found.map(problem => ({ ...problem, parameter })))
    return
  }
  const value = new Uint8Array(from.bytes.subarray(from.offset, from.end))
  try {
    parameters.push(readInformation(code, from) ?? { type: 'raw', code, value: from.rest('Value') })
  } catch (error) {
    if (!(error instanceof WireError)) throw error
    if (from.trace !== undefined) from.trace.problem(error.message)
    parameters.push({ type: 'raw', code, value, why: error.message })
    problems.push({ parameter, index: undefined, offset, message: error.message, bytes: value })
  }
}

function readInformation(
  code: number,
  from: Reader,
): NetworkSteering | IpMeasurement | EthernetMeasurement | undefined {
  switch (code) {
    case PARAMETER_CODES['network-steering']:
      return readNetworkSteering(from)
    case PARAMETER_CODES.measurement:
      return readMeasurement(from)
    default:
      return undefined
  }
}

function codeOf(parameter: AtsssParameter, at: number): number {
  if (parameter.type !== 'raw') {
    if (!Object.hasOwn(PARAMETER_CODES, parameter.type))
      throw refusal(`no parameter is called ${JSON.stringify(parameter.type)}`, at)
    return PARAMETER_CODES[parameter.type]
  }
  const known = Object.values(PARAMETER_CODES).some(code => code === parameter.code)
  if (known && parameter.why === undefined) throw refusal(`parameter type ${parameter.code} is not unknown`, at)
  return parameter.code
}

function writeParameter(to: OctetWriter, parameter: AtsssParameter): void {
  switch (parameter.type) {
    case 'rules':
      return writeRules(to, parameter)
    case 'network-steering':
      return writeNetworkSteering(to, parameter)
    case 'measurement':
      return writeMeasurement(to, parameter)
    case 'raw':
      return to.put(parameter.value, 'value')
  }
}
