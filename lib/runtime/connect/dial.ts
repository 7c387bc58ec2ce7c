/**
 * The race that makes one connection: ways in their order, each beginning a little after the one before (RFC 8305),
 * fresh SYNs for those that are not answered, and the reactions to what converters say. The decisions are in ../policy.
 */
import { constants } from 'node:os'
import { systemError } from '../../errors.js'
import type { Settings } from '../../input/options.js'
import {
  type Candidate,
  nextBeside,
  type Scope,
  sameEnds,
  without,
  withoutMptcp,
} from '../../policy/connect/candidates.js'
import type { ConverterMemory, Lesson, OneRttReason, Path } from '../../policy/connect/converter-memory.js'
import { type Failure, react } from '../../policy/connect/reaction.js'
import type { SocketPlan } from '../kernel/open-socket.js'
import { reactor } from '../kernel/reactor.js'
import { Attempt, type AttemptEvents } from './attempt.js'
import type { Refusal } from './block-list.js'
import type { PendingBytes } from './pending-bytes.js'

export interface DialRequest {
  /** The ways to try, best first. */
  candidates: Candidate[]
  /** The ways to try when no converter can be used. */
  fallback: Candidate[]
  /** How many more lists of ways are to come by `add`: of converters that are still being looked up. */
  coming: number
  settings: Settings
  plan: SocketPlan
  pending: PendingBytes
  memory: ConverterMemory
  refusal: Refusal
}

export interface DialEvents {
  /** A SYN is about to be sent on this way. */
  attempting(candidate: Candidate): void
  attemptFailed(candidate: Candidate, error: Error): void
  /** It has taken `attemptDelay`: another destination is about to be tried beside it. */
  overtaken(candidate: Candidate): void
  /** So many of the application's pending bytes have left. */
  sent(bytes: number): void
  connected(attempt: Attempt, history: DialHistory): void
  failed(errors: Error[], history: DialHistory): void
}

/** How it went, for `socket.mptcp`. */
export interface DialHistory {
  attempts: number
  /** Why no converter is used, although some are configured. */
  converterError: Error | undefined
  lessons: OneRttReason[]
}

export class Dial {
  readonly #request: DialRequest
  readonly #events: DialEvents
  readonly #active = new Set<Attempt>()
  readonly #errors: Error[]
  readonly #history: DialHistory = { attempts: 0, converterError: undefined, lessons: [] }
  #queue: Candidate[]
  #fallback: Candidate[]
  #beside: NodeJS.Timeout | undefined
  #deadline: NodeJS.Timeout | undefined
  /** A second way is open to the same converter: until one of them answers, bytes would have to go both ways. */
  #hedging = false
  /** How many more lists of ways are to come by `add`. */
  #coming: number
  #over = false
  #holding = true

  constructor(request: DialRequest, events: DialEvents) {
    this.#request = request
    this.#events = events
    this.#queue = [...request.candidates]
    this.#fallback = [...request.fallback]
    this.#errors = []
    this.#coming = request.coming
    reactor().hold()
  }

  start(): void {
    const { connectTimeout } = this.#request.settings
    if (connectTimeout > 0) this.#deadline = setTimeout(() => this.#timedOut(), connectTimeout).unref()
    this.#startNext()
  }

  /** More ways: `coming` is one less. They are worse than the ones before. */
  add(candidates: Candidate[], errors: Error[]): void {
    if (this.#over) return
    this.#coming--
    this.#queue.push(...candidates)
    this.#errors.push(...errors)
    const [latest] = [...this.#active].slice(-1)
    if (!latest) this.#startNext()
    else if (!this.#beside) this.#armBeside(latest)
  }

  /** More has been written: it may leave now. */
  flush(): void {
    if (this.#hedging) return
    for (const attempt of this.#active) {
      if (!attempt.candidate.via?.pipelining || !attempt.flush()) continue
      // What has left on one way must not leave on another: the others end here.
      for (const other of this.#active) if (other !== attempt) this.#drop(other)
      clearTimeout(this.#beside)
      this.#events.sent(attempt.sent)
      return
    }
  }

  /** Whether the attempt keeps the event loop alive. */
  keepAlive(on: boolean): void {
    if (this.#over || on === this.#holding) return
    this.#holding = on
    if (on) reactor().hold()
    else reactor().letGo()
  }

  cancel(): void {
    if (this.#over) return
    this.#end()
  }

  #startNext(): void {
    while (!this.#over) {
      const candidate = this.#queue.shift() ?? this.#takeFallback()
      if (!candidate) {
        if (this.#active.size === 0 && this.#coming === 0) this.#giveUp()
        return
      }
      if (this.#launch(candidate)) return
    }
  }

  /** Direct ways are for the case that no converter can be used. */
  #takeFallback(): Candidate | undefined {
    if (this.#active.size > 0 || this.#coming > 0 || this.#fallback.length === 0) return undefined
    this.#history.converterError = this.#errors.at(-1)
    this.#queue = this.#fallback
    this.#fallback = []
    return this.#queue.shift()
  }

  #launch(candidate: Candidate): boolean {
    const { settings, plan, pending, refusal } = this.#request
    const refused = refusal(candidate.destination)
    if (refused) return this.#failedAtOnce(candidate, refused, 'destination')
    const attempt = new Attempt(candidate, settings, plan, pending, this.#attemptEvents)
    this.#history.attempts++
    this.#events.attempting(candidate)
    if (this.#over) return true
    try {
      attempt.start()
    } catch (error) {
      const { scope } = react({ kind: 'system', error: error as Error }, candidate, false)
      return this.#failedAtOnce(candidate, error as Error, scope)
    }
    this.#active.add(attempt)
    this.#armBeside(attempt)
    return true
  }

  #failedAtOnce(candidate: Candidate, error: Error, scope: Scope): false {
    this.#events.attemptFailed(candidate, error)
    this.#errors.push(error)
    this.#queue = without(this.#queue, candidate, scope)
    return false
  }

  readonly #attemptEvents: AttemptEvents = {
    acknowledged: attempt => {
      this.flush()
      if (this.#active.has(attempt) && !attempt.delivered) this.#armBeside(attempt)
    },
    stalled: (attempt, what) => {
      if (attempt.hasSuccessor || this.#delivered()) return
      attempt.hasSuccessor = true
      const { candidate } = attempt
      if (what === 'syn') {
        const fresh = { ...candidate, unanswered: candidate.unanswered + 1 }
        const wantsMptcp = attempt.protocol?.name === 'mptcp' && this.#request.settings.mptcp === 'prefer'
        const tcp = wantsMptcp ? withoutMptcp(fresh) : undefined
        if (tcp) this.#queue.unshift(tcp)
        this.#launchBeside(fresh)
      } else if (candidate.via) {
        this.#hedging = true
        this.#launchBeside({ ...candidate, via: { ...candidate.via, form: '1rtt' } })
      }
    },
    established: attempt => {
      this.#active.delete(attempt)
      this.#learnFromSilence(attempt)
      if (attempt.leftSyn) this.#learn(attempt.candidate, { learn: 'one-rtt', why: attempt.leftSyn })
      if (attempt.candidate.via?.form === '0rtt') {
        if (attempt.synDataAccepted === false)
          this.#learn(attempt.candidate, { learn: 'one-rtt', why: 'syn-data-not-acknowledged' })
        else if (attempt.turnedToTcp) this.#learn(attempt.candidate, { learn: 'one-rtt', why: 'turned-to-tcp' })
      }
      this.#end()
      this.#events.connected(attempt, this.#history)
    },
    failed: (attempt, failure) => {
      this.#active.delete(attempt)
      if (attempt.hasSuccessor && this.#successorSpeaks(attempt, failure)) return this.#startNextIfIdle()
      this.#failed(attempt, failure)
    },
  }

  #failed(attempt: Attempt, failure: Failure): void {
    const { candidate } = attempt
    const { lesson, retry, scope, error } = react(failure, candidate, attempt.delivered)
    if (lesson) this.#learn(candidate, lesson)
    if (retry && this.#launch(retry)) return
    this.#events.attemptFailed(candidate, error)
    if (this.#over) return
    this.#errors.push(error)
    if (failure.kind === 'error-tlv') {
      this.#learnFromSilence(attempt)
      for (const other of this.#active) if (without([other.candidate], candidate, scope).length === 0) this.#drop(other)
    }
    this.#ruleOut(candidate, scope)
    this.#startNext()
  }

  /**
   * Whether what was sent beside `attempt` makes its failure meaningless: a fresh SYN, that it is not answered, or that its
   * empty repetition by the kernel is, when the fresh one's data has arrived; the 1-RTT form, what it would be tried for.
   */
  #successorSpeaks({ candidate }: Attempt, failure: Failure): boolean {
    if (failure.kind === 'unanswered') return true
    if (failure.kind === 'half-fallback')
      return [...this.#active].some(({ candidate: other }) => other.via?.form === '1rtt' && sameEnds(other, candidate))
    return (
      failure.kind === 'syn-data-not-acknowledged' &&
      [...this.#active].some(
        other => other.synDataAccepted && other.candidate.via?.endpoint === candidate.via?.endpoint,
      )
    )
  }

  #ruleOut(candidate: Candidate, scope: Scope): void {
    this.#queue = without(this.#queue, candidate, scope)
    // A server that refuses the converter would refuse us too; and what has been delivered is not sent again.
    if (candidate.via && (scope === 'destination' || scope === 'all'))
      this.#fallback = without(this.#fallback, candidate, scope)
  }

  /** An answer to the 1-RTT form, with the 0-RTT form still waiting, says that the SYN's data is never answered. */
  #learnFromSilence(answered: Attempt): void {
    if (answered.candidate.via?.form !== '1rtt') return
    for (const { candidate, phase, synDataAccepted } of this.#active)
      if (phase === 'answer' && synDataAccepted && candidate.via?.endpoint === answered.candidate.via.endpoint)
        this.#learn(candidate, { learn: 'one-rtt', why: 'no-answer-to-syn-data', suspected: true })
  }

  #learn(candidate: Candidate, lesson: Lesson): void {
    if (!candidate.via) return
    if (lesson.learn === 'one-rtt') {
      this.#history.lessons.push(lesson.why)
      if (!candidate.via.adaptive || lesson.why === 'small-receive-buffer') return
    }
    this.#request.memory.learn(
      pathOf(candidate.via.endpoint, candidate.interface, this.#request.plan),
      lesson,
      performance.now(),
    )
  }

  /** Sets the time at which another way is tried beside `attempt`. */
  #armBeside(attempt: Attempt): void {
    clearTimeout(this.#beside)
    if (this.#queue.length === 0) return
    this.#beside = setTimeout(() => {
      const next = nextBeside(this.#queue, attempt.candidate, attempt.phase === 'answer')
      if (!next || this.#delivered()) return
      this.#queue = this.#queue.filter(other => other !== next)
      if (next.destination !== attempt.candidate.destination) this.#events.overtaken(attempt.candidate)
      // What fails at once is no reason to wait once more.
      if (!this.#over && !this.#launch(next)) this.#startNext()
    }, this.#request.settings.attemptDelay).unref()
  }

  #launchBeside(candidate: Candidate): void {
    if (!this.#launch(candidate)) this.#startNextIfIdle()
  }

  #startNextIfIdle(): void {
    if (this.#active.size === 0) this.#startNext()
  }

  #delivered(): boolean {
    return [...this.#active].some(attempt => attempt.delivered)
  }

  #drop(attempt: Attempt): void {
    this.#active.delete(attempt)
    attempt.abandon()
  }

  #timedOut(): void {
    const latest = [...this.#active].at(-1)?.candidate ?? this.#request.candidates[0]
    const { address, port } = latest?.via?.endpoint ?? latest?.destination ?? {}
    this.#errors.push(systemError(constants.errno.ETIMEDOUT, 'connect', address, port))
    this.#giveUp()
  }

  #giveUp(): void {
    this.#end()
    this.#events.failed(this.#errors, this.#history)
  }

  #end(): void {
    this.#over = true
    clearTimeout(this.#beside)
    clearTimeout(this.#deadline)
    for (const attempt of this.#active) this.#drop(attempt)
    if (this.#holding) reactor().letGo()
  }
}

/** What the memory knows a converter by, over the access that a socket is bound to. */
export function pathOf(
  endpoint: { address: string; port: number },
  device: string | undefined,
  plan: SocketPlan,
): Path {
  return {
    converter: `${endpoint.address}|${endpoint.port}`,
    access: device ?? plan.localAddress ?? '',
  }
}
