/**
 * ATSSS rules as JSON: how a rule steers is written as in 3GPP's own JSON (TS 29.512 `SteeringMode`), which traffic it is
 * about as `TrafficDescriptor` says. What is wrong is refused with its place; nothing is passed over.
 */

import { nearest } from '../../input/check.js'
import type { SocketTuning } from '../../input/socket-tuning.js'
import {
  hexadecimal,
  list,
  octet,
  percent,
  permille,
  record,
  socketOptions,
  text,
  uinteger,
  word,
  wrong,
} from './check.js'
import { parseTraffic, type TrafficDescriptor, trafficToJson } from './json-traffic.js'
import {
  type AccessType,
  byPrecedence,
  type Rule,
  type Steering,
  type SteeringFunctionality,
  type Thresholds,
  unusableBecause,
} from './rule.js'

export type { TrafficDescriptor }

export interface AtsssRule {
  /** Distinct among rules. The network's are numbers from 0 to 255; `5` and `'5'` are the same. */
  ruleId?: string | number
  /** 0 and up, distinct among rules; the lower, the earlier it is evaluated. The network's are 0…255 in a container. */
  precedence: number
  trafficDescriptor: TrafficDescriptor
  /** By what to steer. When it is left out, by whatever the device has, which is MPTCP here. Other words are kept. */
  steeringFunctionality?: 'MPTCP' | 'MPQUIC' | 'ATSSS_LL' | (string & {}) | number
  steeringMode: SteeringMode
  /** Of its connections' sockets, in place of the session's options: an addition of ours. */
  socket?: SocketTuning
}

/** As TS 29.512 has it. Which properties go with which mode is checked. */
export interface SteeringMode {
  steerModeValue: SteerModeValue
  /** ACTIVE_STANDBY: required. */
  active?: AccessTypeName
  /** ACTIVE_STANDBY: when it is left out or null, the traffic is never on the other access. */
  standby?: AccessTypeName | null
  /** LOAD_BALANCING: percent of the rule's traffic over 3GPP, 0…100; required but with AUTO_LOAD_BALANCE. */
  '3gLoad'?: number
  /** PRIORITY_BASED: the access of high priority; required. */
  prioAcc?: AccessTypeName
  /** LOAD_BALANCING without an indicator, PRIORITY_BASED, REDUNDANT. */
  thresValue?: ThresholdValue
  /** LOAD_BALANCING: one of the two, or none. */
  steerModeInd?: SteerModeIndicator
  /** REDUNDANT: when it is left out or null, everything goes over both. */
  primary?: AccessTypeName | null
  /** UNKNOWN, which only rules from a container have: the network's number of the mode. */
  nasCode?: number
  /** UNKNOWN: what follows it, in hexadecimal. */
  nasInformation?: string
}

export interface ThresholdValue {
  /** Milliseconds, 0 and up. */
  rttThres?: number | null
  /** Tenths of a percent, 0…1000 (TS 29.571 `PacketLossRate`). */
  plrThres?: number | null
}

export type SteerModeValue =
  | 'ACTIVE_STANDBY'
  | 'LOAD_BALANCING'
  | 'SMALLEST_DELAY'
  | 'PRIORITY_BASED'
  | 'REDUNDANT'
  | 'UNKNOWN'
export type AccessTypeName = '3GPP_ACCESS' | 'NON_3GPP_ACCESS'
export type SteerModeIndicator = 'AUTO_LOAD_BALANCE' | 'UE_ASSISTANCE'

/**
 * The rules of a JSON array of `AtsssRule`, in the order of their precedence.
 * Throws `AtsssError` with the code `ERR_ATSSS_RULE`, whose message begins with the place: `rules[2].steeringMode…`.
 */
export function parseRules(json: unknown): Rule[] {
  const rules = list('rules', json).map((item, index) => parseRule(`rules[${index}]`, item))
  for (const [index, { id, precedence }] of rules.entries()) {
    const twin = rules.findIndex(other => other.precedence === precedence)
    if (twin < index) throw wrong(`rules[${index}].precedence`, `${precedence} is already that of rules[${twin}]`)
    const namesake = id === undefined ? index : rules.findIndex(other => other.id === id)
    if (namesake < index) throw wrong(`rules[${index}].ruleId`, `'${id}' is already that of rules[${namesake}]`)
  }
  return byPrecedence(rules)
}

/** The JSON from which `parseRules` makes rules that mean the same; notes are not part of it. */
export function rulesToJson(rules: readonly Rule[]): AtsssRule[] {
  return rules.map(({ id, precedence, traffic, functionality, steering, socket }) => ({
    ...(id === undefined ? {} : { ruleId: id }),
    precedence,
    trafficDescriptor: trafficToJson(traffic),
    ...functionalityToJson(functionality),
    steeringMode: steeringToJson(steering),
    ...(socket && { socket }),
  }))
}

export const RULE_KEYS = [
  'ruleId',
  'precedence',
  'trafficDescriptor',
  'steeringFunctionality',
  'steeringMode',
  'socket',
] as const

function parseRule(path: string, value: unknown): Rule {
  const rule = record(path, value, RULE_KEYS)
  const traffic = parseTraffic(`${path}.trafficDescriptor`, rule.trafficDescriptor)
  return {
    id: parseId(`${path}.ruleId`, rule.ruleId),
    precedence: uinteger(`${path}.precedence`, rule.precedence),
    traffic,
    functionality: parseFunctionality(`${path}.steeringFunctionality`, rule.steeringFunctionality),
    steering: parseSteering(`${path}.steeringMode`, rule.steeringMode),
    ...(rule.socket !== undefined && { socket: socketOptions(`${path}.socket`, rule.socket) }),
    unusable: unusableBecause(traffic),
    notes: [],
  }
}

function parseId(path: string, value: unknown): string | undefined {
  if (value === undefined) return undefined
  return typeof value === 'number' ? String(octet(path, value)) : text(path, value, 'text, or 0…255')
}

const FUNCTIONALITIES: Readonly<Record<string, SteeringFunctionality>> = {
  MPTCP: 'mptcp',
  MPQUIC: 'mpquic',
  ATSSS_LL: 'atsss-ll',
}

/** An open enumeration in TS 29.512: other words are values too, but not those that are nearly one of ours. */
export function parseFunctionality(path: string, value: unknown): SteeringFunctionality {
  if (value === undefined) return 'supported'
  if (typeof value === 'number') return { unknown: octet(path, value) }
  const name = text(path, value)
  if (Object.hasOwn(FUNCTIONALITIES, name) || nearest(name, Object.keys(FUNCTIONALITIES)))
    return word(path, name, FUNCTIONALITIES)
  return { unknown: name }
}

function functionalityToJson(functionality: SteeringFunctionality): Pick<AtsssRule, 'steeringFunctionality'> {
  if (functionality === 'supported') return {}
  if (typeof functionality === 'object') return { steeringFunctionality: functionality.unknown }
  return { steeringFunctionality: nameFor(FUNCTIONALITIES, functionality) }
}

export type ModeKey = Exclude<keyof SteeringMode, 'steerModeValue'>

/** What may stand beside each mode. */
export const MODE_KEYS: Readonly<Record<SteerModeValue, readonly ModeKey[]>> = {
  ACTIVE_STANDBY: ['active', 'standby'],
  LOAD_BALANCING: ['3gLoad', 'thresValue', 'steerModeInd'],
  SMALLEST_DELAY: [],
  PRIORITY_BASED: ['prioAcc', 'thresValue'],
  REDUNDANT: ['primary', 'thresValue'],
  UNKNOWN: ['nasCode', 'nasInformation'],
}
const MODE_NAMES = Object.fromEntries(Object.keys(MODE_KEYS).map(name => [name, name])) as Record<
  string,
  SteerModeValue
>
export const STEERING_KEYS: readonly (keyof SteeringMode)[] = [
  'steerModeValue',
  ...new Set(Object.values(MODE_KEYS).flat()),
]

export const ACCESS_TYPES: Readonly<Record<string, AccessType>> = { '3GPP_ACCESS': '3gpp', NON_3GPP_ACCESS: 'non-3gpp' }
const INDICATORS = { AUTO_LOAD_BALANCE: 'autonomous', UE_ASSISTANCE: 'ue-assistance' } as const

export function parseSteering(path: string, value: unknown): Steering {
  const given = record(path, value, STEERING_KEYS)
  const mode = word(`${path}.steerModeValue`, given.steerModeValue, MODE_NAMES)
  // Where TS 29.512 has null for "none", none is there.
  for (const [key, present] of Object.entries(given))
    if (
      present !== undefined &&
      present !== null &&
      key !== 'steerModeValue' &&
      !MODE_KEYS[mode].includes(key as ModeKey)
    )
      throw wrong(`${path}.${key}`, `does not go with ${mode}`)
  const access = (key: ModeKey) => word(`${path}.${key}`, given[key], ACCESS_TYPES)
  const optionalAccess = (key: ModeKey) => (given[key] === undefined || given[key] === null ? undefined : access(key))
  const thresholds = parseThresholds(`${path}.thresValue`, given.thresValue)
  switch (mode) {
    case 'ACTIVE_STANDBY': {
      const active = access('active')
      const standby = optionalAccess('standby')
      if (active === standby) throw wrong(`${path}.standby`, 'is the active access; leave it out for no standby')
      return { mode: 'active-standby', active, standby }
    }
    case 'SMALLEST_DELAY':
      return { mode: 'smallest-delay' }
    case 'LOAD_BALANCING':
      return parseLoadBalancing(path, given, thresholds)
    case 'PRIORITY_BASED':
      return { mode: 'priority-based', high: access('prioAcc'), ...thresholds }
    case 'REDUNDANT': {
      const primary = optionalAccess('primary')
      return { mode: 'redundant', ...(primary === undefined ? {} : { primary }), ...thresholds }
    }
    case 'UNKNOWN':
      return {
        mode: 'unknown',
        code: octet(`${path}.nasCode`, given.nasCode),
        information: hexadecimal(`${path}.nasInformation`, given.nasInformation),
      }
  }
}

function parseLoadBalancing(
  path: string,
  given: Partial<Record<keyof SteeringMode, unknown>>,
  thresholds: { thresholds?: Thresholds },
): Steering {
  const indicator =
    given.steerModeInd === undefined ? undefined : word(`${path}.steerModeInd`, given.steerModeInd, INDICATORS)
  if (indicator !== undefined && thresholds.thresholds !== undefined)
    throw wrong(`${path}.thresValue`, 'goes with fixed percentages only, without steerModeInd')
  const percent3gpp =
    given['3gLoad'] === undefined && indicator === 'autonomous' ? undefined : percent(`${path}.3gLoad`, given['3gLoad'])
  return { mode: 'load-balancing', percent3gpp, ...(indicator === undefined ? {} : { indicator }), ...thresholds }
}

function parseThresholds(path: string, value: unknown): { thresholds?: Thresholds } {
  if (value === undefined || value === null) return {}
  const { rttThres = null, plrThres = null } = record(path, value, ['rttThres', 'plrThres'])
  const thresholds: Thresholds = {}
  if (rttThres !== null) thresholds.rttMs = uinteger(`${path}.rttThres`, rttThres)
  if (plrThres !== null) thresholds.lossPermille = permille(`${path}.plrThres`, plrThres)
  return rttThres === null && plrThres === null ? {} : { thresholds }
}

function steeringToJson(steering: Steering): SteeringMode {
  const accessName = (access: AccessType) => nameFor(ACCESS_TYPES, access) as AccessTypeName
  switch (steering.mode) {
    case 'active-standby': {
      const standby = steering.standby === undefined ? null : accessName(steering.standby)
      return { steerModeValue: 'ACTIVE_STANDBY', active: accessName(steering.active), standby }
    }
    case 'smallest-delay':
      return { steerModeValue: 'SMALLEST_DELAY' }
    case 'load-balancing':
      return {
        steerModeValue: 'LOAD_BALANCING',
        ...(steering.percent3gpp === undefined ? {} : { '3gLoad': steering.percent3gpp }),
        ...(steering.indicator ? { steerModeInd: nameFor(INDICATORS, steering.indicator) as SteerModeIndicator } : {}),
        ...thresholdsToJson(steering.thresholds),
      }
    case 'priority-based':
      return {
        steerModeValue: 'PRIORITY_BASED',
        prioAcc: accessName(steering.high),
        ...thresholdsToJson(steering.thresholds),
      }
    case 'redundant': {
      const primary = steering.primary === undefined ? null : accessName(steering.primary)
      return { steerModeValue: 'REDUNDANT', primary, ...thresholdsToJson(steering.thresholds) }
    }
    case 'unknown': {
      const nasInformation = Buffer.from(steering.information).toString('hex')
      return { steerModeValue: 'UNKNOWN', nasCode: steering.code, nasInformation }
    }
  }
}

function thresholdsToJson(thresholds: Thresholds | undefined): Pick<SteeringMode, 'thresValue'> {
  if (thresholds === undefined) return {}
  return { thresValue: { rttThres: thresholds.rttMs ?? null, plrThres: thresholds.lossPermille ?? null } }
}

function nameFor<T>(words: Readonly<Record<string, T>>, value: T): string {
  return Object.keys(words).find(name => words[name] === value)!
}
