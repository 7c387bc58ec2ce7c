/** Access selection descriptors: how a rule's traffic is to be steered. TS 24.193 §6.1.3.2; drawn in message.ts. */

import type { Reader } from '../bytes/cursor.js'
import { hex } from '../bytes/trace.js'
import { LATER_RELEASES } from './fields.js'
import {
  type AccessSelection,
  FUNCTIONALITY_CODES,
  MODE_CODES,
  type WireAccess,
  type WireSteeringMode,
} from './message.js'
import { type OctetWriter, refusal } from './octets.js'

/**
 * The descriptor that fills the whole window of `from`, or why it does not.
 *
 * @param mayBeLonger whether it may have octets behind that its length does not count
 */
export function readAccessSelection(from: Reader, mayBeLonger = false): AccessSelection | string {
  const whole = from.left
  if (whole === 0) return 'no access selection descriptor'
  const length = from.u8('Length of access selection descriptor')
  const uncountedLength = whole - length
  if (length < LEAST_LENGTH || uncountedLength < 0 || (uncountedLength > 0 && !mayBeLonger))
    return `access selection descriptor of ${length} octets, where ${whole} are left`
  const functionality = from.u8('Steering functionality', showFunctionality)
  const code = from.u8('Steering mode', showMode)
  const rest = new Uint8Array(from.bytes.subarray(from.offset, from.end - uncountedLength))
  const { mode, trailing } = parseMode(code, rest)
  from.skip(rest.length - trailing.length, 'Steering mode information', () => modeInWords(mode, rest))
  from.skip(trailing.length, LATER_RELEASES)
  const known = { functionality: FUNCTIONALITIES.get(functionality) ?? functionality, mode, trailing }
  return uncountedLength === 0 ? known : { ...known, uncounted: from.rest(LATER_RELEASES) }
}

/** Whether `readAccessSelection` finds a descriptor from `at` to `end`: its length says. */
export function isAccessSelection(bytes: Uint8Array, at: number, end: number, mayBeLonger: boolean): boolean {
  const length = at < end ? bytes[at]! : 0
  return length >= LEAST_LENGTH && (mayBeLonger ? length <= end - at : length === end - at)
}

export function writeAccessSelection(to: OctetWriter, access: AccessSelection): void {
  to.counted(1, 'access selection descriptor', () => writeContents(to, access), 1)
  if (access.uncounted !== undefined) to.put(access.uncounted, 'uncounted')
}

/** Octets of a descriptor with functionality and mode only. */
const LEAST_LENGTH = 3

/** The mode, and what is left behind its information. */
function parseMode(code: number, rest: Uint8Array): { mode: WireSteeringMode; trailing: Uint8Array } {
  if (code === MODE_CODES['smallest-delay']) return { mode: { mode: 'smallest-delay' }, trailing: rest }
  const mode = MODES.find(([known, information]) => known === code && information === rest[0])?.[2]
  return mode === undefined
    ? { mode: { mode: 'unknown', code, information: rest }, trailing: new Uint8Array(0) }
    : { mode: { ...mode }, trailing: rest.slice(1) }
}

function writeContents(to: OctetWriter, { functionality, mode, trailing }: AccessSelection): void {
  if (typeof functionality === 'number' && FUNCTIONALITIES.has(functionality))
    throw refusal(`steering functionality ${functionality} is not unknown`, to.offset)
  if (typeof functionality === 'string' && !Object.hasOwn(FUNCTIONALITY_CODES, functionality))
    throw refusal(`no steering functionality is called ${JSON.stringify(functionality)}`, to.offset)
  to.u8(
    typeof functionality === 'string' ? FUNCTIONALITY_CODES[functionality] : functionality,
    'steering functionality',
  )
  writeMode(to, mode)
  to.put(trailing, 'trailing')
}

function writeMode(to: OctetWriter, mode: WireSteeringMode): void {
  if (mode.mode === 'smallest-delay') return to.u8(MODE_CODES['smallest-delay'], 'steering mode')
  if (mode.mode === 'unknown') {
    to.u8(mode.code, 'steering mode')
    to.put(mode.information, 'steering mode information')
    if (parseMode(mode.code, mode.information).mode.mode !== 'unknown')
      throw refusal(`steering mode ${mode.code} with this information is not unknown`, to.offset)
    return
  }
  const entry = MODES.find(([, , known]) => same(known, mode))
  if (entry === undefined) throw refusal(`no code says ${JSON.stringify(mode)}`, to.offset)
  to.u8(entry[0], 'steering mode')
  to.u8(entry[1], 'steering mode information')
}

const FUNCTIONALITIES: ReadonlyMap<number, keyof typeof FUNCTIONALITY_CODES> = new Map(
  Object.entries(FUNCTIONALITY_CODES).map(([name, code]) => [code, name as keyof typeof FUNCTIONALITY_CODES]),
)

/** Code of a mode, its information, and what they mean. */
const MODES: readonly (readonly [number, number, WireSteeringMode])[] = [
  ...(
    [
      [1, '3gpp', undefined],
      [2, '3gpp', 'non-3gpp'],
      [3, 'non-3gpp', undefined],
      [4, 'non-3gpp', '3gpp'],
    ] as [number, WireAccess, WireAccess | undefined][]
  ).map(
    ([information, active, standby]) =>
      [MODE_CODES['active-standby'], information, { mode: 'active-standby', active, standby }] as const,
  ),
  // 1 is 100 % over 3GPP, 11 is 0 %.
  ...Array.from(
    { length: 11 },
    (_, i) => [MODE_CODES['load-balancing'], i + 1, { mode: 'load-balancing', percent3gpp: 100 - 10 * i }] as const,
  ),
  [MODE_CODES['priority-based'], 1, { mode: 'priority-based', high: '3gpp' }],
  [MODE_CODES['priority-based'], 2, { mode: 'priority-based', high: 'non-3gpp' }],
]

function same(a: WireSteeringMode, b: WireSteeringMode): boolean {
  switch (a.mode) {
    case 'active-standby':
      return b.mode === a.mode && b.active === a.active && b.standby === a.standby
    case 'load-balancing':
      return b.mode === a.mode && b.percent3gpp === a.percent3gpp
    case 'priority-based':
      return b.mode === a.mode && b.high === a.high
    default:
      return false
  }
}

function showFunctionality(code: number): string {
  return `${code} (${FUNCTIONALITIES.get(code) ?? 'unknown'})`
}

function showMode(code: number): string {
  return `${code} (${Object.entries(MODE_CODES).find(([, known]) => known === code)?.[0] ?? 'unknown'})`
}

function modeInWords(mode: WireSteeringMode, [information]: Uint8Array): string {
  switch (mode.mode) {
    case 'active-standby':
      return `${information} (active ${mode.active}, ${mode.standby === undefined ? 'no standby' : `standby ${mode.standby}`})`
    case 'load-balancing':
      return `${information} (${mode.percent3gpp} % over 3gpp, ${100 - mode.percent3gpp} % over non-3gpp)`
    case 'priority-based':
      return `${information} (high priority: ${mode.high})`
    case 'smallest-delay':
      return ''
    case 'unknown':
      return `${hex(mode.information)} (unknown)`
  }
}
