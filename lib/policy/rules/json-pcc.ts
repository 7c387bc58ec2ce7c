/**
 * PCC rules in the network's own JSON, TS 29.512 `SmPolicyDecision`. The SMF makes a device's ATSSS rules of them (TS 23.501
 * §5.32.3); here this module does. What is wrong is refused with its place. What has no meaning on a device is named.
 */
import { isDeepStrictEqual } from 'node:util'
import { isBytes } from '../../input/check.js'
import { decodeTrafficDescriptor, type IpTuple, type TrafficComponent } from '../../wire/atsss/container.js'
import { list, object, text, uinteger, word, wrong } from './check.js'
import { noteInWords } from './container.js'
import { parseFlowDescription } from './flow-description.js'
import { parseFunctionality, parseSteering, type SteeringMode } from './json.js'
import { MAX_TEXT } from './json-traffic.js'
import { byPrecedence, type Rule, type Steering, type SteeringFunctionality, unusableBecause } from './rule.js'

/** The part of TS 29.512 `SmPolicyDecision` from which rules are made. It may have everything else, which is named in problems. */
export interface SmPolicyDecision {
  /** By `pccRuleId`. Null, which deletes a rule in the network, is no rule here. */
  pccRules: Readonly<Record<string, PccRule | null>>
  /** By `tcId`. */
  traffContDecs?: Readonly<Record<string, TrafficControlData | null>>
  [other: string]: unknown
}

export interface PccRule {
  pccRuleId: string
  /** 0 and up, distinct among rules that steer; the lower, the earlier it is evaluated. */
  precedence?: number
  /** Flows, of which one must match. */
  flowInfos?: readonly FlowInformation[]
  /** Names a filter of the network. Here it matches an application that calls itself so. */
  appId?: string
  /** The application as the device knows it, in base64: components of TS 24.526. Goes before `appId`. */
  appDescriptor?: string
  /** A key of `traffContDecs`. Rules without it steer nothing, and are left out. */
  refTcData?: readonly string[]
  /** A rule with a condition matches nothing here: conditions are not evaluated. */
  refCondData?: string | null
  [other: string]: unknown
}

export interface FlowInformation {
  /** An IPFilterRule: `permit out 6 from 198.51.100.0/24 443 to assigned`. */
  flowDescription?: string
  /** Flows of `DOWNLINK` alone are left out: a device's rules are about what it sends. */
  flowDirection?: 'DOWNLINK' | 'UPLINK' | 'BIDIRECTIONAL' | 'UNSPECIFIED' | null
  [other: string]: unknown
}

export interface TrafficControlData {
  tcId: string
  steerFun?: 'MPTCP' | 'MPQUIC' | 'ATSSS_LL' | (string & {})
  /** By this the device steers, in both directions. */
  steerModeUl?: SteeringMode
  /** By this the network's proxy sends. Used in place of `steerModeUl` only where that is missing. */
  steerModeDl?: SteeringMode
  [other: string]: unknown
}

export interface DecisionRules {
  /** By precedence. What of a rule has no meaning here is in its notes. */
  rules: Rule[]
  /** In words: what of the whole decision has no meaning here, then the notes of the rules. */
  problems: string[]
}

/** Whether a value looks like a decision, and not like an array of `AtsssRule`. */
export function isPolicyDecision(value: unknown): value is SmPolicyDecision {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isBytes(value)
}

/** Throws `AtsssError` with the code `ERR_ATSSS_RULE`, whose message begins with the place: `pccRules.video.flowInfos[0]…`. */
export function parsePolicyDecision(value: unknown): DecisionRules {
  const { pccRules, traffContDecs, ...others } = object('rules', value) as Record<string, unknown>
  const controls = new Map<string, Control>()
  for (const [key, given] of Object.entries(optional(traffContDecs) ? object('traffContDecs', traffContDecs) : {}))
    if (given !== null) controls.set(key, parseControl(`traffContDecs.${key}`, given))
  const rules: Rule[] = []
  const problems = meaningless(others)
  for (const [key, given] of Object.entries(object('pccRules', pccRules))) {
    if (given === null) continue
    const rule = parsePccRule(`pccRules.${key}`, given, controls)
    if (rule) rules.push(rule)
    else problems.push(`PCC rule '${key}' has no steering mode: it is left out`)
  }
  for (const [index, { id, precedence }] of rules.entries()) {
    const twin = rules.findIndex(other => other.precedence === precedence || other.id === id)
    if (twin === index) continue
    const [what, which] = rules[twin]!.id === id ? ['pccRuleId', `'${id}'`] : ['precedence', precedence]
    throw wrong(`pccRules.${id}.${what}`, `${which} is already that of pccRules.${rules[twin]!.id}`)
  }
  const notes = rules.flatMap(rule => rule.notes.map(note => noteInWords(rule, note)))
  return { rules: byPrecedence(rules), problems: [...problems, ...notes] }
}

/** `undefined` for a rule that does not steer. */
function parsePccRule(path: string, value: unknown, controls: ReadonlyMap<string, Control>): Rule | undefined {
  const { pccRuleId, precedence, flowInfos, appId, appDescriptor, refTcData, refCondData, ...others } = object(
    path,
    value,
  ) as Record<string, unknown>
  const id = text(`${path}.pccRuleId`, pccRuleId)
  const order = precedence === undefined ? undefined : uinteger(`${path}.precedence`, precedence)
  const flows = flowInfos === undefined ? undefined : parseFlows(`${path}.flowInfos`, flowInfos)
  const application = parseApplication(path, appId, appDescriptor)
  const condition = optional(refCondData) ? text(`${path}.refCondData`, refCondData) : undefined
  const control = refTcData === undefined ? undefined : controlOf(`${path}.refTcData`, refTcData, controls)
  if (control?.steering === undefined) return undefined
  if (!flows && !application) throw wrong(path, 'needs flowInfos or appId, to say which traffic it is about')
  const traffic = [...(flows?.traffic ?? []), ...(application?.traffic ?? [])]
  return {
    id,
    precedence: order ?? uinteger(`${path}.precedence`, precedence),
    traffic,
    functionality: control.functionality,
    steering: control.steering,
    unusable: flows?.none ?? (condition === undefined ? unusableBecause(traffic) : conditional(condition)),
    notes: [...(flows?.notes ?? []), ...(application?.notes ?? []), ...control.notes, ...meaningless(others)],
  }
}

/** One that cannot be evaluated may not hold: to pass over it would widen the rule. */
function conditional(condition: string): string {
  return `it holds only under the condition '${condition}', which is not evaluated here`
}

/** TS 29.512 has null for what is taken back. */
function optional(value: unknown): boolean {
  return value !== undefined && value !== null
}

function meaningless(others: object, of = ''): string[] {
  const names = Object.keys(others)
  return names.length === 0 ? [] : [`no meaning on a device: ${names.join(', ')}${of}`]
}

/** How traffic is steered; without `steering` it is not. */
interface Control {
  functionality: SteeringFunctionality
  steering: Steering | undefined
  notes: string[]
}

function controlOf(path: string, value: unknown, controls: ReadonlyMap<string, Control>): Control {
  const [reference, ...more] = list(path, value)
  const name = text(`${path}[0]`, reference)
  if (more.length > 0) throw wrong(path, 'must have one reference')
  const control = controls.get(name)
  if (!control) throw wrong(`${path}[0]`, `'${name}' is not in traffContDecs`)
  return control
}

function parseControl(path: string, value: unknown): Control {
  const { tcId, steerFun, steerModeUl, steerModeDl, ...others } = object(path, value) as Record<string, unknown>
  text(`${path}.tcId`, tcId)
  const downlink = steerModeDl === undefined ? undefined : parseSteering(`${path}.steerModeDl`, steerModeDl)
  const uplink = steerModeUl === undefined ? undefined : parseSteering(`${path}.steerModeUl`, steerModeUl)
  const notes = meaningless(others, ` of ${path}`)
  if (downlink && !uplink) notes.push('it has no steerModeUl: the device steers by steerModeDl')
  if (downlink && uplink && !isDeepStrictEqual(uplink, downlink)) notes.push(DIFFERENT)
  return { functionality: parseFunctionality(`${path}.steerFun`, steerFun), steering: uplink ?? downlink, notes }
}

/**
 * A device has one lever for both directions, the subflows' backup flag, which it shares with the proxy by MP_PRIO (RFC 8684
 * §3.3.8). The proxy has its own rule for what it sends.
 */
const DIFFERENT =
  'steerModeDl differs from steerModeUl, by which the device steers both directions; the proxy decides on what it sends'

interface Parsed {
  traffic: TrafficComponent[]
  notes: string[]
}

/** @returns also why none of the flows can match, if that is so */
function parseFlows(path: string, value: unknown): Parsed & { none?: string } {
  const flows = list(path, value)
  if (flows.length === 0) throw wrong(path, 'is empty: leave it out')
  const parsed = flows.map((flow, index) => parseFlow(`${path}[${index}]`, `flowInfos[${index}]`, flow))
  const notes = parsed.flatMap(flow => flow.notes)
  const matching = parsed.flatMap(({ remote }) => (remote ? [remote] : []))
  if (matching.length === 0) return { traffic: [], notes, none: 'none of its flows can match here' }
  const isEverything = matching.some(remote => remote.length === 0)
  return { traffic: isEverything ? [{ type: 'match-all' }] : matching.flat(), notes }
}

/** The remote ends of a flow; `undefined` when it cannot match here. */
function parseFlow(path: string, name: string, value: unknown): { remote?: IpTuple[]; notes: string[] } {
  const { flowDescription, flowDirection, ...others } = object(path, value) as Record<string, unknown>
  const seen = Object.fromEntries(Object.entries(others).filter(([key]) => !UNSEEN.includes(key)))
  const unseen = UNSEEN.filter(key => optional(others[key]))
  const notes = meaningless(seen, ` of ${name}`)
  const direction = optional(flowDirection) ? word(`${path}.flowDirection`, flowDirection, DIRECTIONS) : 'both'
  const isOfEthernet = flowDescription === undefined && optional(others.ethFlowDescription)
  const description = isOfEthernet ? undefined : parseFlowDescription(`${path}.flowDescription`, flowDescription)
  if (description?.unseen !== undefined) unseen.push(description.unseen)
  const never = (why: string) => ({ notes: [...notes, `${name} matches nothing here: ${why}`] })
  if (direction === 'down') return never('it is for the downlink only')
  if (!description || unseen.length > 0) return never(`a program that connects does not see ${unseen.join(', ')}`)
  const { remote, own } = description
  if (own !== undefined) notes.push(`${name}: ${own} is taken as the device's own address, and not compared`)
  return { remote, notes }
}

/** `UNSPECIFIED` applies to the uplink "as if the filter was bidirectional" (TS 29.512). */
export const DIRECTIONS = { DOWNLINK: 'down', UPLINK: 'up', BIDIRECTIONAL: 'both', UNSPECIFIED: 'both' } as const

/** What a flow may say beside its description that a program which opens a TCP connection neither sees nor chooses. */
const UNSEEN: readonly string[] = ['ethFlowDescription', 'tosTrafficClass', 'spi', 'flowLabel']

function parseApplication(path: string, appId: unknown, appDescriptor: unknown): Parsed | undefined {
  const name = appId === undefined ? undefined : text(`${path}.appId`, appId)
  const base64 = appDescriptor === undefined ? undefined : text(`${path}.appDescriptor`, appDescriptor)
  if (name !== undefined && Buffer.byteLength(name) > MAX_TEXT)
    throw wrong(`${path}.appId`, `has more than ${MAX_TEXT} octets`)
  const traffic = base64 === undefined ? undefined : readDescriptor(base64)
  if (traffic) return { traffic, notes: [] }
  const notes = base64 === undefined ? [] : ['appDescriptor is not understood, and has no effect']
  if (name === undefined) return undefined
  notes.push(`appId names a filter of the network; here it matches an application that calls itself '${name}'`)
  return { traffic: [{ type: 'app', appId: name }], notes }
}

/**
 * Applications of a descriptor: components of TS 24.526 with their types, or one OS Id with OS App Id without. Its encoding is not
 * openly published; both readings close exactly, or are none.
 */
function readDescriptor(base64: string): TrafficComponent[] | undefined {
  const bytes = Buffer.from(base64, 'base64')
  const readings = [bytes, Buffer.concat([Uint8Array.of(0x08), bytes])].map(decodeTrafficDescriptor)
  return readings.find(
    components => components.length > 0 && components.every(({ type }) => type === 'os-app' || type === 'app'),
  )
}
