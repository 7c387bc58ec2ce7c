/**
 * From the wanted use of each access and the subflows that there are to what has to be changed. Pure; empty when nothing
 * is to do. The order of the actions is the order to carry them out in: what shall carry the traffic is made usable before
 * what carries it is taken away.
 */
import { BOTH, lost as lostWhy, otherAccess } from './accesses.js'
import { isLost, isSilent } from './health.js'
import type { AccessType } from './rules.js'
import type { Accesses, SubflowState, Uses } from './snapshot.js'

export type Action =
  | { do: 'create'; access: AccessType; backup: boolean; why: string }
  | { do: 'set-backup'; subflow: number; backup: boolean; why: string }
  | { do: 'destroy'; subflow: number; why: string }

/** When a subflow may be asked for again, by access. To be forgotten when the access comes to be available. */
export type Retries = Readonly<Record<AccessType, Retry>>

export interface Retry {
  /** How many in a row came to nothing. */
  failures: number
  /** Not before. */
  notBefore: number
}

export const NO_RETRIES: Retries = {
  '3gpp': { failures: 0, notBefore: Number.NEGATIVE_INFINITY },
  'non-3gpp': { failures: 0, notBefore: Number.NEGATIVE_INFINITY },
}

/** What a connection is to have. */
export interface Wish {
  uses: Uses
  /** What the rule lets the connection use at all. */
  allowed: readonly AccessType[]
  why: string
  /** A new subflow is to be made on this access even if there is one: its handshake measures the round-trip time. */
  measure?: AccessType | undefined
}

export function plan(
  wish: Wish,
  subflows: readonly SubflowState[],
  accesses: Accesses,
  retries: Retries,
  now: number,
): Action[] {
  const here = (access: AccessType): Here => {
    const open = subflows.filter(subflow => subflow.access === access && subflow.state !== 'closed')
    const lost = open.filter(subflow => isLost(subflow, accesses[access], now))
    const well = open.filter(subflow => !lost.includes(subflow))
    return {
      access,
      use: wish.uses[access],
      allowed: wish.allowed.includes(access),
      lost,
      joining: well.filter(subflow => subflow.state === 'joining'),
      ready: well.filter(subflow => subflow.state === 'established'),
    }
  }
  const all = { '3gpp': here('3gpp'), 'non-3gpp': here('non-3gpp') }
  const each = (of: (here: Here, other: Here) => Action[]) =>
    BOTH.flatMap(access => of(all[access], all[otherAccess(access)]))
  return [
    ...each(here => (here.use === 'active' ? flag(here, false, wish.why) : [])),
    ...each(here => create(here, wish, accesses, retries[here.access], now)),
    ...each(here => (here.use === 'active' ? [] : flag(here, true, wish.why))),
    ...each((here, other) => destroy(here, other, accesses, retries, now)),
  ]
}

/**
 * How long after the last of `failures` in a row the next subflow may be asked for, in milliseconds: a quarter of a second,
 * doubling to eight.
 *
 * @param random 0…1: connections that failed together shall not come back together
 */
export function retryAfter(failures: number, random: number): number {
  return Math.min(250 * 2 ** (failures - 1), 8_000) * (0.75 + 0.5 * random)
}

/** A join without an answer is given up after the kernel's first repetition of its SYN, which comes after a second. */
const JOIN_MS = 1_900

/** A connection's subflows on one access, but for the closed ones. */
interface Here {
  access: AccessType
  use: Uses[AccessType]
  allowed: boolean
  lost: readonly SubflowState[]
  joining: readonly SubflowState[]
  ready: readonly SubflowState[]
}

function flag({ ready }: Here, backup: boolean, why: string): Action[] {
  return ready
    .filter(subflow => subflow.backup !== backup)
    .map(subflow => ({ do: 'set-backup', subflow: subflow.id, backup, why }))
}

/** One at a time. A suspected access gets one that is not to carry anything: if it comes to be, the access is well. */
function create(
  { access, use, allowed, joining, ready }: Here,
  wish: Wish,
  accesses: Accesses,
  retry: Retry,
  now: number,
): Action[] {
  if (!allowed || joining.length > 0 || now < retry.notBefore) return []
  const { available, suspected, why } = accesses[access]
  const backup = use !== 'active'
  if (available && ready.length === 0 && use !== 'none') return [{ do: 'create', access, backup, why: wish.why }]
  if (available && ready.length === 1 && wish.measure === access)
    return [{ do: 'create', access, backup, why: `to measure ${access}` }]
  if (suspected && ready.length === 0) return [{ do: 'create', access, backup: true, why: `trying ${access}: ${why}` }]
  return []
}

/**
 * A lost subflow holds back what was sent on it until it is destroyed: that happens as soon as another one can send it. The
 * last one is kept, since a connection without any ends after a minute (net.mptcp.close_timeout), unless the rule forbids it
 * and the access that it allows is not there, or cannot be reached.
 */
function destroy(here: Here, other: Here, accesses: Accesses, retries: Retries, now: number): Action[] {
  const { access, allowed, lost, joining, ready } = here
  const because = (subflows: readonly SubflowState[], why: string): Action[] =>
    subflows.map(subflow => ({ do: 'destroy', subflow: subflow.id, why }))
  if (!allowed) {
    const why = `the rule does not let it use ${access}`
    const alone = !accesses[other.access].available || retries[other.access].failures > 0
    const unused = other.ready.length > 0 || alone
    return [...because(lost, why), ...because(joining, why), ...because(unused ? ready : [], why)]
  }
  const replaced = ready.length > 0 || other.ready.length > 0
  const unanswered = joining.filter(subflow => now - subflow.madeAt >= JOIN_MS)
  return [
    ...lost
      .filter(subflow => replaced || subflow.state === 'joining')
      .flatMap(subflow => because([subflow], whyLost(subflow, accesses, now))),
    ...because(unanswered, `${access} does not answer`),
    ...because(surplus(ready), `another one on ${access}`),
  ]
}

function whyLost(subflow: SubflowState, accesses: Accesses, now: number): string {
  const access = subflow.access!
  if (!accesses[access].available) return lostWhy(accesses, access)
  if (isSilent(subflow, now)) return 'what is sent on it is not acknowledged'
  return `${access} has been away since`
}

/** All but one: what is on its way stays there; else the youngest is the one known to work. */
function surplus(ready: readonly SubflowState[]): SubflowState[] {
  if (ready.length < 2) return []
  const worth = (subflow: SubflowState) => (subflow.outstanding ? Number.MAX_SAFE_INTEGER : 0) + subflow.madeAt
  return [...ready].sort((a, b) => worth(b) - worth(a)).slice(1)
}
