/**
 * From a rule's steering mode and the state of the accesses to the wanted use of each (TS 23.501 §5.32.8). Pure: what
 * has to be remembered between two passes goes in and comes out.
 */

import type { AccessType, Steering } from '../rules/rule.js'
import { BOTH, lost, onlyOneLeft, otherAccess, usesOf, type Wanted } from './accesses.js'
import { type CongestionMemory, overThresholds, priorityBased } from './priority.js'
import { type DelayMemory, smallestDelay } from './smallest-delay.js'
import type { Accesses } from './snapshot.js'

/** What one rule remembers between two passes. */
export interface SteeringMemory {
  delay?: DelayMemory
  congestion?: CongestionMemory
}

/**
 * The device's own wish for how to divide the traffic, as from a low battery: obeyed under load-balancing rules with the
 * UE-assistance indicator (`UE_ASSISTANCE`), and no others. TS 23.501 §5.32.8.
 */
export interface Assistance {
  /** Percent of the rule's traffic over 3GPP access: an integer in 0…100. */
  percent3gpp: number
  /** For people to read. */
  why: string
}

export interface Decision extends Wanted {
  memory: SteeringMemory
  /**
   * Load-balancing only: the share of the rule's bytes that 3GPP access shall carry, in percent; to be kept by feedback.
   * Undefined: the kernel's scheduler may divide as it likes.
   */
  percent3gpp?: number
  /** This access's round-trip time is to be measured now: by a new subflow of one connection. */
  measure?: AccessType
  /** The mode cannot be had here, and why; `uses` says what is done instead. */
  unenforceable?: string
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
      const first = steering.primary ?? '3gpp'
      return {
        ...activeStandby(first, otherAccess(first), accesses),
        memory,
        unenforceable: 'redundant steering needs a packet scheduler that this kernel does not have',
      }
    }
    case 'unknown':
      return { ...either(accesses), memory, unenforceable: `steering mode ${steering.code} is not known` }
  }
}

/** The accesses that a rule lets a connection use at all. */
export function allowedAccesses(steering: Steering): readonly AccessType[] {
  if (steering.mode === 'active-standby' && steering.standby === undefined) return [steering.active]
  return BOTH
}

/**
 * In what order to try the accesses for a connection's first subflow. Only those that the rule lets it use; one that is
 * down comes last, since word of its return may be late.
 *
 * @param preferred of two that are both active, the one to begin with: of a load balance, `beginning`'s
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

/** "Without a standby the SDF is only allowed on the active access": it waits for it, and never uses the other. */
function activeStandby(active: AccessType, standby: AccessType | undefined, accesses: Accesses): Wanted {
  const ready = standby !== undefined && accesses[standby].available
  if (accesses[active].available)
    return { uses: usesOf(active, 'active', ready ? 'backup' : 'none'), why: `${active} is the active access` }
  const why = lost(accesses, active)
  if (standby === undefined) return { uses: usesOf(active, 'none', 'none'), why: `${why}; there is no standby` }
  if (!ready) return { uses: usesOf(active, 'none', 'none'), why: `${why}; ${lost(accesses, standby)}` }
  return { uses: usesOf(standby, 'active', 'none'), why: `${why}; ${standby} is its standby` }
}

/** One lost: the other carries everything. Over a threshold: it carries less, and the other the rest. */
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
    return divided(assistance.percent3gpp, `of the device's choice: ${assistance.why}`, next)
  // "None over on both: the fixed percentages apply"; when both are over, neither is better.
  const [bad] = over
  if (bad === undefined || over.length > 1) return divided(percent3gpp, 'as the rule says', next)
  const share = (bad === '3gpp' ? percent3gpp : 100 - percent3gpp) * KEPT_OVER_THRESHOLD
  return divided(bad === '3gpp' ? share : 100 - share, `${bad} is over a threshold`, next)
}

/** So much of its share stays on an access over a threshold: without any traffic, nothing would tell when it no longer is. */
const KEPT_OVER_THRESHOLD = 0.1

function divided(percent3gpp: number, because: string, memory: SteeringMemory): Decision {
  return {
    uses: { '3gpp': percent3gpp === 0 ? 'backup' : 'active', 'non-3gpp': percent3gpp === 100 ? 'backup' : 'active' },
    why: `${percent3gpp} % over 3gpp, ${because}`,
    memory,
    percent3gpp,
  }
}

/** Whatever is available. */
function either(accesses: Accesses): Wanted {
  return (
    onlyOneLeft(accesses) ?? {
      uses: { '3gpp': 'active', 'non-3gpp': 'active' },
      why: 'both accesses, as the kernel divides',
    }
  )
}
