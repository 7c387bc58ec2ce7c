/**
 * What is received on a subflow, and what it means when nothing more is. A receiver has nothing outstanding, so the silence of
 * its access does not show in acknowledgements: data that came steadily and has stopped is a suspicion, which a probe settles.
 * The probe is a new subflow on the same access, since a SYN is the only packet that a peer answers at once and alone.
 */
import type { Reception, SubflowState } from './snapshot.js'

/** What a sample shows of it. */
export interface ReceptionSample {
  /** All segments with data received so far. */
  segments: number
  /** Milliseconds since data was last received. */
  sinceMs: number
  /** The kernel's estimate from echoed timestamps, in milliseconds; 0: none. It includes the time that the peer had nothing to send. */
  rttMs: number
}

export const NOTHING_RECEIVED: Reception = {
  at: Number.NEGATIVE_INFINITY,
  segments: 0,
  recent: 0,
  pauseMs: 0,
  gapMs: 0,
  paused: false,
  hasEstimate: false,
  rttMs: undefined,
}

/** The weight of segments halves in this time, in milliseconds. */
const RECENT_MS = 300
/** The weight of a pause halves in this time, in milliseconds. */
const PAUSE_KEPT_MS = 5_000
/** The weight of a gap halves in this time, in milliseconds. */
const GAP_KEPT_MS = 500
/** A first estimate above this, in milliseconds, is of the time before the peer had anything to send. */
const IDLE_MS = 500
/** A time without data is a pause from this many milliseconds on. */
const PAUSE_MS = 20

/** So many recent segments are a flow. */
const FLOW_SEGMENTS = 4
/** A flow is watched for so long after its last byte, in milliseconds. */
const FLOW_KEPT_MS = 1_500
/** A flow is quiet after this many milliseconds without data, and after this many times its longest pause, but no later than the last. */
const QUIET = { leastMs: 50, pauses: 1.5, mostMs: 1_000 }
/** A probe is answered within this many round trips and this many milliseconds. */
const ANSWER = { roundTrips: 1.5, ms: 40 }
/** A flow that has paused for longer than this, in milliseconds, may well pause again: its silence needs a second probe as proof. */
const STEADY_MS = 150
/** The same before a round-trip time is measured, in milliseconds. */
const UNMEASURED_MS = 1_000
/** What is received this many milliseconds later belongs to the flow: times are exact to a few milliseconds. */
const SLACK_MS = 20
/** Data that is overdue for longer than this, in milliseconds, will not come: the peer had no more. */
const DUE_KEPT_MS = 5_000
/** How often to scan while the answer to a probe is expected, in milliseconds. */
const ANSWER_PERIOD_MS = 5

/** @returns `before` itself if the sample shows nothing new */
export function received(before: Reception, { segments, sinceMs, rttMs }: ReceptionSample, now: number): Reception {
  if (segments === before.segments) {
    if (before.paused || now - before.at <= PAUSE_MS) return before
    return { ...before, paused: true, rttMs: undefined }
  }
  const at = now - sinceMs
  const count = segments - before.segments
  const passed = Math.max(0, at - before.at)
  const isFirst = before.at === Number.NEGATIVE_INFINITY
  const pause = isFirst ? 0 : before.paused ? passed : passed / count
  const kept = isFirst ? 0 : Math.max(before.gapMs * 0.5 ** (passed / GAP_KEPT_MS), before.paused ? passed : 0, sinceMs)
  // The first estimate of a standby is the time since its handshake.
  const gapMs = !before.hasEstimate && rttMs > IDLE_MS ? Math.max(kept, rttMs) : kept
  return {
    at,
    segments,
    recent: isFirst ? count : before.recent * 0.5 ** (passed / RECENT_MS) + count,
    pauseMs: isFirst ? 0 : Math.max(before.pauseMs * 0.5 ** (passed / PAUSE_KEPT_MS), pause),
    gapMs,
    paused: false,
    hasEstimate: before.hasEstimate || rttMs > 0,
    rttMs: rttMs > 2 * gapMs ? rttMs - gapMs : undefined,
  }
}

/** Whether data has been received on it lately, and steadily. */
export function isFlowing({ state, reception }: SubflowState, now: number): boolean {
  return state === 'established' && isFlow(reception, now)
}

function isFlow({ recent, at }: Reception, now: number): boolean {
  return recent >= FLOW_SEGMENTS && now - at < FLOW_KEPT_MS
}

/**
 * By when data should be received on a standby that is put to use now: what has come over the others is to come over it. A NAT may
 * have forgotten an idle standby, and a receiver has nothing outstanding there that would show it.
 *
 * @returns `Infinity`: nothing is expected
 */
export function dueAfterHandover(
  standby: Pick<SubflowState, 'rttMs'>,
  others: readonly Pick<SubflowState, 'reception'>[],
  now: number,
): number {
  const flows = others.filter(({ reception }) => isFlow(reception, now))
  if (flows.length === 0) return Number.POSITIVE_INFINITY
  const pause = Math.max(...flows.map(({ reception }) => quietAfter(reception)))
  return now + ANSWER.roundTrips * standby.rttMs + ANSWER.ms + pause
}

/** Whether data that was to come over it has not come. */
export function isOverdue({ state, dueAt, outstanding }: SubflowState, now: number): boolean {
  // What is outstanding shows by itself whether the subflow works.
  return state === 'established' && !outstanding && now >= dueAt && now < dueAt + DUE_KEPT_MS
}

/** Whether that is still to be seen. */
export function awaitsData({ state, dueAt }: SubflowState, now: number): boolean {
  return state === 'established' && now < dueAt + DUE_KEPT_MS && dueAt !== Number.POSITIVE_INFINITY
}

/** Whether what was received steadily has stopped: the peer has no more to say, or the access carries nothing. */
export function isQuiet(subflow: SubflowState, now: number): boolean {
  // A peer that was asked to leave a subflow alone is quiet on it for that reason.
  return !subflow.backup && isFlowing(subflow, now) && now - expectedSince(subflow) > quietAfter(subflow.reception)
}

/** Since when data should be received: since the last, or since the peer can have learned that it may send here. */
function expectedSince({ reception, flaggedAt, rttMs }: SubflowState): number {
  return Math.max(reception.at, flaggedAt + ANSWER.roundTrips * rttMs)
}

function quietAfter({ pauseMs }: Reception): number {
  return Math.max(QUIET.leastMs, Math.min(QUIET.pauses * pauseMs, QUIET.mostMs))
}

/** What is remembered of the probes of one access. */
export interface Probing {
  /** When the last one was made; `-Infinity`: never. */
  at: number
  /** Whether its answer is awaited. */
  isOpen: boolean
  /** How many in a row were not answered. */
  unanswered: number
}

export const NOT_PROBED: Probing = { at: Number.NEGATIVE_INFINITY, isOpen: false, unanswered: 0 }

/** What is known of an access in one scan. */
export interface ProbedAccess {
  /** Those of its subflows that were sampled. */
  subflows: readonly SubflowState[]
  /** When anything was last received over it. */
  receivedAt: number
  /** Whether a connection relies on it, though nothing may be moving. */
  carries: boolean
  /** It is probed if it carries connections and nothing was received over it for so long; `Infinity`: never. */
  idleProbeMs: number
}

export interface ProbeVerdict {
  probing: Probing
  /** A probe is to be made now, with `probing` noting it. */
  isDue: boolean
  /** The probes show that nothing is received over the access. */
  isSilent: boolean
}

/** What the probes of an access show, and whether to make another one. */
export function judgeProbes(before: Probing, access: ProbedAccess, now: number): ProbeVerdict {
  const { subflows, receivedAt, carries, idleProbeMs } = access
  const probing = settle(before, access, now)
  const quiet = subflows.filter(subflow => isQuiet(subflow, now))
  const isSteady = quiet.some(({ reception }) => reception.pauseMs <= STEADY_MS)
  const isSilent = probing.unanswered >= (isSteady ? 1 : 2)
  if (isSilent || probing.isOpen) return { probing, isDue: false, isSilent }
  const isNewlyQuiet = quiet.some(subflow => {
    const since = expectedSince(subflow)
    return receivedAt <= since + SLACK_MS && probing.at < since
  })
  const isDoubtful = probing.unanswered > 0 && (quiet.length > 0 || carries)
  const isIdle = carries && now - Math.max(receivedAt, probing.at) >= idleProbeMs
  if (!isNewlyQuiet && !isDoubtful && !isIdle) return { probing, isDue: false, isSilent }
  return { probing: { ...probing, at: now, isOpen: true }, isDue: true, isSilent }
}

/** In how many milliseconds the next of these flows will be quiet, overdue, or an open probe unanswered; `Infinity`: none will. */
export function quietIn(subflows: readonly SubflowState[], now: number): number {
  let soonest = Number.POSITIVE_INFINITY
  for (const subflow of subflows) {
    if (subflow.isProbe && subflow.state === 'joining') soonest = Math.min(soonest, ANSWER_PERIOD_MS)
    if (awaitsData(subflow, now) && now < subflow.dueAt) soonest = Math.min(soonest, subflow.dueAt - now)
    if (subflow.backup || !isFlowing(subflow, now)) continue
    const left = expectedSince(subflow) + quietAfter(subflow.reception) - now
    if (left >= 0) soonest = Math.min(soonest, left + 1)
  }
  return soonest
}

/** Whether the open probe was answered, by whatever was received since, or has waited for too long. */
function settle(before: Probing, { subflows, receivedAt }: ProbedAccess, now: number): Probing {
  if (receivedAt > before.at) return { at: before.at, isOpen: false, unanswered: 0 }
  if (!before.isOpen) return before
  const established = subflows.filter(({ state }) => state === 'established')
  const rttMs = Math.max(0, ...established.map(subflow => subflow.rttMs))
  const patience = rttMs === 0 ? UNMEASURED_MS : ANSWER.roundTrips * rttMs + ANSWER.ms
  if (now - before.at <= patience) return before
  // A request that the kernel has refused proves nothing.
  const wasSent = subflows.some(({ isProbe, state }) => isProbe && state === 'joining')
  return { at: before.at, isOpen: false, unanswered: before.unanswered + Number(wasSent) }
}
