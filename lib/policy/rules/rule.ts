/**
 * ATSSS rules as the inside knows them, wherever they came from: JSON, a container from the network, or a preset.
 * TS 23.501 §5.32.8, table 5.32.8-1.
 */

import type { SocketTuning } from '../../input/socket-tuning.js'
import type { TrafficComponent } from '../../wire/atsss/traffic-descriptor.js'
import { compileExpression } from './regular-expression.js'

export type AccessType = '3gpp' | 'non-3gpp'

export interface Rule {
  /** By which the network replaces and deletes it; `undefined` where rules have none. Distinct among rules. */
  id: string | undefined
  /** 0 and up, from a container at most 255; lower is evaluated first. Distinct among rules. */
  precedence: number
  /** Components of different kinds must all match; of several of one kind, one. */
  traffic: readonly TrafficComponent[]
  functionality: SteeringFunctionality
  steering: Steering
  /** Of the sockets of its connections; an addition of ours, in JSON only. */
  socket?: SocketTuning
  /** Why this rule matches nothing here; `undefined` when it can match. */
  unusable: string | undefined
  /** What the rule says beyond this that was not understood or has no meaning here, in words. Empty for rules of `AtsssRule`. */
  notes: readonly string[]
}

/** `supported`: whichever the device has, which is MPTCP here. The unknown: a number from the network, or JSON's word. */
export type SteeringFunctionality = 'supported' | 'mptcp' | 'mpquic' | 'atsss-ll' | { unknown: number | string }

/** TS 23.501 §5.32.8. */
export type Steering =
  /** Without a standby the flow is "only allowed on the active access": never on the other one. */
  | { mode: 'active-standby'; active: AccessType; standby: AccessType | undefined }
  | { mode: 'smallest-delay' }
  /**
   * `percent3gpp` is of all traffic of the rule, not of each connection; `undefined` only beside `autonomous`.
   * `autonomous`: the device may choose its own. `ue-assistance`: it may for reasons of its own, such as a low battery.
   * Thresholds are only there without an indicator.
   */
  | {
      mode: 'load-balancing'
      percent3gpp: number | undefined
      indicator?: 'autonomous' | 'ue-assistance'
      thresholds?: Thresholds
    }
  /** The other access is used too while the one of high priority is congested. */
  | { mode: 'priority-based'; high: AccessType; thresholds?: Thresholds }
  /** Without a primary access, everything on both. One MPTCP connection of a stock kernel cannot do it. */
  | { mode: 'redundant'; primary?: AccessType; thresholds?: Thresholds }
  /** Steering mode, or steering mode information, that this version does not know; `code` is the network's number. */
  | { mode: 'unknown'; code: number; information: Uint8Array }

/** The same for both accesses; what is not there sets no limit. */
export interface Thresholds {
  /** Milliseconds. */
  rttMs?: number
  /** Tenths of a percent: 0…1000. */
  lossPermille?: number
}

/** How to call a rule in words. */
export function nameOf(rule: Rule): string {
  return rule.id === undefined ? `the rule of precedence ${rule.precedence}` : `rule '${rule.id}'`
}

/** In the order in which they are evaluated. TS 23.501 §5.32.8: the lower the value, the earlier. */
export function byPrecedence(rules: readonly Rule[]): Rule[] {
  return [...rules].sort((a, b) => a.precedence - b.precedence)
}

/**
 * Why a rule about this traffic can match nothing here. Every component of it must be so, and one that cannot be seen or
 * understood can never be found to be so: to pass over it would widen the rule.
 */
export function unusableBecause(traffic: readonly TrafficComponent[]): string | undefined {
  if (traffic.length === 0) return 'it has no traffic descriptor component'
  for (const component of traffic)
    switch (component.type) {
      case 'match-all':
      case 'os-app':
      case 'app':
      case 'remote-ipv4':
      case 'remote-ipv6':
      case 'protocol':
      case 'remote-port':
      case 'remote-port-range':
      case 'ip-tuple':
      case 'fqdn':
        break
      case 'unknown':
        return `its traffic descriptor has a component of the unknown type ${component.code}`
      case 'invalid':
        return `its traffic descriptor has a component of type ${component.code} that ${component.why}`
      case 'regular-expression': {
        const test = compileExpression(component.expression)
        if (typeof test === 'string')
          return `its regular expression '${component.expression}' is none of POSIX: ${test}`
        break
      }
      default:
        return `its traffic descriptor has a component of type ${component.type}, which says nothing about a destination`
    }
  return undefined
}
