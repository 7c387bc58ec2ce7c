/**
 * Rules for common wishes, by the names that Apple gives to its multipath service types: each is one rule for everything.
 * Accesses are named as in ATSSS: on a phone, 3GPP is cellular and non-3GPP is Wi-Fi.
 */

import { word } from './check.js'
import { type AtsssRule, parseRules, rulesToJson, type SteeringMode } from './json.js'
import type { Rule } from './rule.js'

export type Preset = 'handover' | 'interactive' | 'aggregate'

/** The rules of a session that is given none. */
export const DEFAULT_RULES: Preset = 'handover'

/**
 * - `handover`: non-3GPP, and 3GPP while it is unavailable. Keeps connections alive and cellular data low.
 * - `interactive`: whichever access answers sooner.
 * - `aggregate`: both at once, in shares of the device's choice, for throughput.
 */
export const PRESETS: Readonly<Record<Preset, readonly AtsssRule[]>> = {
  handover: everything({ steerModeValue: 'ACTIVE_STANDBY', active: 'NON_3GPP_ACCESS', standby: '3GPP_ACCESS' }),
  interactive: everything({ steerModeValue: 'SMALLEST_DELAY' }),
  aggregate: everything({ steerModeValue: 'LOAD_BALANCING', steerModeInd: 'AUTO_LOAD_BALANCE' }),
}

/** Throws `ERR_ATSSS_RULE` for a name that is none of them. */
export function presetRules(name: string): Rule[] {
  return parseRules(word('preset', name, PRESETS))
}

/** The preset that these rules are; undefined: they are none. */
export function presetOf(rules: readonly Rule[]): Preset | undefined {
  const json = JSON.stringify(rulesToJson(rules))
  const names = Object.keys(PRESETS) as Preset[]
  return names.find(name => JSON.stringify(rulesToJson(presetRules(name))) === json)
}

/** A match-all rule has the lowest precedence, which is the highest number. */
function everything(steeringMode: SteeringMode): AtsssRule[] {
  return [{ precedence: 255, trafficDescriptor: { matchAll: true }, steeringMode }]
}
