/**
 * What to change so that a connection's subflows are as wanted. Pure; empty if nothing is to be done. The actions are in the
 * order in which to carry them out: what is to carry the traffic is made usable before what carries it is taken away.
 */

import type { AccessType } from '../rules/rule.js'
import { BOTH, otherAccess, whyUnavailable } from './accesses.js'
import { isDoubtful, isLost, isSilent } from './health.js'
import { isFlowing, isOverdue } from './reception.js'
import { reinjection } from './reinjection.js'
import type { Accesses, SubflowState, Uses } from './snapshot.js'

export type Action =
  | { do: 'create'; access: AccessType; backup: boolean; why: string; isProbe?: true }
  | { do: 'set-backup'; subflow: number; backup: boolean; why: string }
  | { do: 'destroy'; subflow: number; why: string }
  /** Ask the peer, over this subflow, what of the whole stream has arrived. */
  | { do: 'ask'; subflow: number; why: string }

/** When a subflow may be requested again, by access. To be reset when the access becomes available. */
export type Retries = Readonly<Record<AccessType, Retry>>

export interface Retry {
  /** How many attempts in a row have failed. */
  failures: number
  /** The earliest time of the next attempt. */
  notBefore: number
}

export const NO_RETRIES: Retries = {
  '3gpp': { failures: 0, notBefore: Number.NEGATIVE_INFINITY },
  'non-3gpp': { failures: 0, notBefore: Number.NEGATIVE_INFINITY },
}

/** What is wanted for a connection. */
export interface Wish {
  uses: Uses
  /** The accesses that the rule allows. */
  allowed: readonly AccessType[]
  why: string
  /** Create a new subflow on this access even if there is one: its handshake measures the round-trip time. */
  measure?: AccessType | undefined
  /** The same, to find out whether the access carries anything. */
  probe?: AccessType | undefined
  /** Whether the peer can be asked what has arrived. */
  mayAsk: boolean
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
  const asks = {
    '3gpp': ask(all['3gpp'], all['non-3gpp'], wish, now),
    'non-3gpp': ask(all['non-3gpp'], all['3gpp'], wish, now),
  }
  return [
    ...each((here, other) => (asks[here.access] ? [] : destroyLost(here, other, accesses, now))),
    ...each(here => asks[here.access] ?? []),
    // New data assigned to it while the answer is awaited would be sent before what is to be sent again.
    ...each((here, other) => (here.use === 'active' && !asks[other.access] ? flag(here, false, wish.why) : [])),
    ...each((here, other) => create(here, other, wish, accesses, retries[here.access], now)),
    ...each(here => (here.use === 'active' ? [] : flag(here, true, wish.why))),
    ...each((here, other) => destroy(here, other, accesses, retries, now)),
  ]
}

/**
 * How long to wait after this many failures in a row, in milliseconds: a quarter of a second, doubling up to eight seconds.
 *
 * @param random 0…1: connections that failed together do not retry together
 */
export function retryAfter(failures: number, random: number): number {
  return Math.min(250 * 2 ** (failures - 1), 8_000) * (0.75 + 0.5 * random)
}

/** After one more failure. @param random as for `retryAfter` */
export function nextRetry(before: Retry | undefined, now: number, random: number): Retry {
  const failures = (before?.failures ?? 0) + 1
  return { failures, notBefore: now + retryAfter(failures, random) }
}

/** A join without an answer is abandoned in this time, after the kernel has repeated its SYN once, which it does after a second. */
const JOIN_MS = 1_900

/** A connection's subflows on one access, except the closed ones. */
interface Here {
  access: AccessType
  use: Uses[AccessType]
  allowed: boolean
  lost: readonly SubflowState[]
  joining: readonly SubflowState[]
  ready: readonly SubflowState[]
}

/** A probe beside another subflow stays a backup: it ends as soon as it is established. */
function flag({ ready }: Here, backup: boolean, why: string): Action[] {
  return ready
    .filter(subflow => subflow.backup !== backup && !(subflow.isProbe && ready.length > 1))
    .map(subflow => ({ do: 'set-backup', subflow: subflow.id, backup, why }))
}

/** One at a time. On a suspected access it is a backup, which carries nothing: if it is established, the access works. */
function create(
  { access, use, allowed, joining, ready }: Here,
  other: Here,
  wish: Wish,
  accesses: Accesses,
  retry: Retry,
  now: number,
): Action[] {
  if (!allowed || joining.length > 0 || now < retry.notBefore) return []
  const { available, suspected, why } = accesses[access]
  const backup = use !== 'active'
  if (available && ready.length === 0 && use !== 'none') return [{ do: 'create', access, backup, why: wish.why }]
  // The one on the interface before stays until this one is there.
  if (available && use !== 'none' && ready.length > 0 && ready.every(({ superseded }) => superseded))
    return [{ do: 'create', access, backup, why: `${access} has a better interface` }]
  if (available && use !== 'none' && isOutdated(ready))
    return [
      {
        do: 'create',
        access,
        backup,
        why: `the machine was suspended: NATs on ${access} may have forgotten the subflow`,
      },
    ]
  if (available && use === 'active' && other.ready.length === 0 && ready.length === 1 && isOverdue(ready[0]!, now))
    return [{ do: 'create', access, backup, why: `nothing arrives over the standby on ${access}` }]
  if (available && ready.length === 1 && wish.measure === access)
    return [{ do: 'create', access, backup, why: `to measure ${access}` }]
  if (available && ready.length === 1 && wish.probe === access)
    return [{ do: 'create', access, backup: true, why: `to see whether ${access} carries anything`, isProbe: true }]
  if (suspected && ready.length === 0)
    return [{ do: 'create', access, backup: true, why: `probing ${access} again (${why})` }]
  return []
}

/**
 * What was sent on a lost subflow is not sent again until that is destroyed. So it is destroyed as soon as another one can send
 * the data, before that one gets anything new; if none is active, the kernel sends over a backup. The last subflow is kept unless
 * the rule forbids it, since a connection without any ends after a minute (net.mptcp.close_timeout).
 */
function destroyLost({ access, allowed, lost, ready }: Here, other: Here, accesses: Accesses, now: number): Action[] {
  const replaced = ready.length > 0 || other.ready.length > 0
  if (!allowed) return destroyed(lost, () => forbidden(access))
  return destroyed(
    lost.filter(({ state }) => replaced || state === 'joining'),
    subflow => whyLost(subflow, accesses, now),
  )
}

/** Undefined: there is no need to wait for an answer. A doubtful subflow is asked about early, so that the answer is there when it is silent. */
function ask({ access, allowed, lost, ready }: Here, other: Here, { mayAsk }: Wish, now: number): Action[] | undefined {
  if (!mayAsk || !allowed || !ready.every(subflow => isDoubtful(subflow, now))) return undefined
  const how = reinjection([...lost, ...ready], other.ready, now)
  if (how === 'at once' || (how === 'wait' && ready.length > 0)) return undefined
  const why = `to learn what has arrived over ${access}`
  return how === 'ask' ? other.ready.map(({ id }) => ({ do: 'ask', subflow: id, why })) : []
}

/** Subflows that are not lost, but not wanted. A forbidden one is kept until the allowed access has another, or cannot have one. */
function destroy(here: Here, other: Here, accesses: Accesses, retries: Retries, now: number): Action[] {
  const { access, allowed, joining, ready } = here
  if (!allowed) {
    const alone = !accesses[other.access].available || retries[other.access].failures > 0
    const unused = other.ready.length > 0 || alone
    return destroyed([...joining, ...(unused ? ready : [])], () => forbidden(access))
  }
  const unanswered = joining.filter(subflow => now - subflow.createdAt >= JOIN_MS)
  return [
    ...destroyed(unanswered, () => `${access} does not answer`),
    ...destroyed(surplus(ready, now), () => `there is another one on ${access}`),
  ]
}

function destroyed(subflows: readonly SubflowState[], why: (subflow: SubflowState) => string): Action[] {
  return subflows.map(subflow => ({ do: 'destroy', subflow: subflow.id, why: why(subflow) }))
}

function forbidden(access: AccessType): string {
  return `the rule does not allow ${access}`
}

function whyLost(subflow: SubflowState, accesses: Accesses, now: number): string {
  const access = subflow.access!
  if (subflow.addressGone) return `its address on ${access} has gone`
  if (!accesses[access].available) return whyUnavailable(accesses, access)
  if (isSilent(subflow, now)) return 'no acknowledgements'
  return `${access} was lost since it was created`
}

function isOutdated(ready: readonly SubflowState[]): boolean {
  return ready.length > 0 && ready.every(({ outdated }) => outdated)
}

/** All except one: the one that carries something, otherwise the youngest, which is known to work. Never a probe. */
function surplus(ready: readonly SubflowState[], now: number): SubflowState[] {
  if (ready.length < 2) return []
  const carries = (subflow: SubflowState) => subflow.outstanding || isFlowing(subflow, now)
  const worth = (subflow: SubflowState) =>
    subflow.isProbe || subflow.superseded || subflow.outdated
      ? Number.NEGATIVE_INFINITY
      : (carries(subflow) ? Number.MAX_SAFE_INTEGER : 0) + subflow.createdAt
  return [...ready].sort((a, b) => worth(b) - worth(a)).slice(1)
}
