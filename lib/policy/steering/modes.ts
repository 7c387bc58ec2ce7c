/**
 * How a rule's steering mode uses the accesses in their present state (TS 23.501 §5.32.8). Pure: what has to be remembered from
 * scan to scan goes in and comes out.
 */

import type { AccessType, Steering } from '../rules/rule.js'
import { BOTH, onlyOneLeft, otherAccess, usesOf, type Wanted, whyUnavailable } from './accesses.js'
import { type CongestionMemory, overThresholds, priorityBased } from './priority.js'
import { type DelayMemory, smallestDelay } from './smallest-delay.js'
import type { Accesses } from './snapshot.js'

/** What is remembered of one rule from scan to scan. */
export interface SteeringMemory {
  delay?: DelayMemory
  congestion?: CongestionMemory
}

/**
 * The device's own wish for how to divide the traffic, for example when its battery is low. It applies only to load-balancing
 * rules with the UE-assistance indicator (`UE_ASSISTANCE`). TS 23.501 §5.32.8.
 */
export interface Assistance {
  /** The percentage of the rule's traffic over 3GPP access: an integer in 0…100. */
  percent3gpp: number
  /** For people to read. */
  why: string
}

export interface Decision extends Wanted {
  memory: SteeringMemory
  /**
   * Load-balancing only: the percentage of the rule's bytes that 3GPP access is to carry, which is kept by feedback.
   * Undefined: the kernel's scheduler divides the bytes.
   */
  percent3gpp?: number
  /** Measure the round-trip time of this access now, by a new subflow of one connection. */
  measure?: AccessType
}

export function decide(
  steering: Steering,
  accesses: Accesses,
  memory: SteeringMemory,
  now: number,
  assistance?: Assistance,
): Decision {
  switch (steering.mode) {
    case 'active-standby':
      return { ...activeStandby(steering.active, steering.standby, accesses), memory }
    case 'smallest-delay': {
      const { delay, ...decision } = smallestDelay(accesses, memory.delay, now)
      return { ...decision, memory: { delay } }
    }
    case 'load-balancing':
      return loadBalancing(steering, accesses, memory, now, assistance)
    case 'priority-based': {
      const { congestion, ...decision } = priorityBased(steering, accesses, memory.congestion, now)
      return { ...decision, memory: { congestion } }
    }
    case 'redundant': {
      // A stock kernel has no packet scheduler for it. This is the nearest mode, if the session allows such a rule at all.
      const first = steering.primary ?? '3gpp'
      return { ...activeStandby(first, otherAccess(first), accesses), memory }
    }
    case 'unknown':
      return { ...either(accesses), memory }
  }
}

/** The accesses that a rule allows. */
export function allowedAccesses(steering: Steering): readonly AccessType[] {
  if (steering.mode === 'active-standby' && steering.standby === undefined) return [steering.active]
  return BOTH
}

/**
 * The accesses that the rule allows, in the order in which to try them for a connection's first subflow. One that is not
 * available comes last: it may have come back without a report yet.
 *
 * @param preferred which to begin with if both are active: with a load balance, that of `beginning`
 */
export function firstAccesses(
  steering: Steering,
  { uses }: Decision,
  preferred: AccessType = 'non-3gpp',
): AccessType[] {
  const place = (access: AccessType) =>
    ['active', 'backup', 'none'].indexOf(uses[access]) + (access === preferred ? 0 : 0.5)
  return [...allowedAccesses(steering)].sort((a, b) => place(a) - place(b))
}

/** "Without a standby the SDF is only allowed on the active access": its traffic waits while that is lost. */
function activeStandby(active: AccessType, standby: AccessType | undefined, accesses: Accesses): Wanted {
  const ready = standby !== undefined && accesses[standby].available
  if (accesses[active].available)
    return { uses: usesOf(active, 'active', ready ? 'backup' : 'none'), why: `${active} is the active access` }
  const why = whyUnavailable(accesses, active)
  if (standby === undefined) return { uses: usesOf(active, 'none', 'none'), why: `${why}; there is no standby` }
  if (!ready) return { uses: usesOf(active, 'none', 'none'), why: `${why}; ${whyUnavailable(accesses, standby)}` }
  return { uses: usesOf(standby, 'active', 'none'), why: `${why}; ${standby} is its standby` }
}

/** If one access is lost, the other carries everything. An access over a threshold carries less, and the other the rest. */
function loadBalancing(
  steering: Extract<Steering, { mode: 'load-balancing' }>,
  accesses: Accesses,
  memory: SteeringMemory,
  now: number,
  assistance: Assistance | undefined,
): Decision {
  const { percent3gpp, indicator, thresholds } = steering
  const { over, congestion } = overThresholds(thresholds, accesses, memory.congestion, now)
  const next = { congestion }
  if (percent3gpp === undefined || indicator === 'autonomous') return { ...either(accesses), memory: next }
  const left = onlyOneLeft(accesses)
  if (left) return { ...left, memory: next }
  if (indicator === 'ue-assistance' && assistance)
    return divided(assistance.percent3gpp, `as the device wants: ${assistance.why}`, next)
  // "None over on both: the fixed percentages apply"; if both are over, neither is better.
  const [bad] = over
  if (bad === undefined || over.length > 1) return divided(percent3gpp, 'as the rule says', next)
  const share = (bad === '3gpp' ? percent3gpp : 100 - percent3gpp) * KEPT_OVER_THRESHOLD
  return divided(bad === '3gpp' ? share : 100 - share, `${bad} is over a threshold`, next)
}

/** An access over a threshold keeps this part of its share: without any traffic it could not be measured any more. */
const KEPT_OVER_THRESHOLD = 0.1

function divided(percent3gpp: number, because: string, memory: SteeringMemory): Decision {
  return {
    uses: { '3gpp': percent3gpp === 0 ? 'backup' : 'active', 'non-3gpp': percent3gpp === 100 ? 'backup' : 'active' },
    why: `${percent3gpp} % over 3gpp, ${because}`,
    memory,
    percent3gpp,
  }
}

/** All accesses that are available. */
function either(accesses: Accesses): Wanted {
  return (
    onlyOneLeft(accesses) ?? {
      uses: { '3gpp': 'active', 'non-3gpp': 'active' },
      why: 'both accesses, divided by the kernel',
    }
  )
}
