/**
 * The race that makes one connection: the ways are tried in order, each a little after the one before (RFC 8305); fresh SYNs
 * follow those that are not answered; and it reacts to what converters answer. The decisions are in policy/connect.
 */
import type { BlockList } from 'node:net'
import { callApplication } from '../../input/application.js'
import type { Settings } from '../../input/options.js'
import type { ServerPath } from '../../policy/connect/bypass.js'
import {
  byProspect,
  type Candidate,
  type Endpoint,
  nextBeside,
  probeBeside,
  type Scope,
  sameEnds,
  sameWay,
  without,
  withoutMptcp,
} from '../../policy/connect/candidates.js'
import type { ConverterMemory, ConverterPath, Lesson, OneRttReason } from '../../policy/connect/converter-memory.js'
import { type Failure, react, wasUnderstood } from '../../policy/connect/reaction.js'
import type { SocketPlan } from '../kernel/open-socket.js'
import { reactor } from '../kernel/reactor.js'
import { afterHearing, type HearingTimer } from './after-hearing.js'
import { Attempt, type AttemptEvents, type AttemptPlan } from './attempt.js'
import { PendingBytes } from './pending-bytes.js'

export interface DialRequest {
  /** The ways to try, best first. */
  candidates: Candidate[]
  /** The ways to try when no converter can be used. */
  fallback: Candidate[]
  /** How many lists of ways `add` will bring: one for each converter. */
  coming: number
  settings: Settings
  plan: AttemptPlan
  pending: PendingBytes
  memory: ConverterMemory
  isBlocked: BlockCheck
}

/** Why a destination may not be connected to; undefined when it may. */
export type BlockCheck = (destination: Endpoint) => Error | undefined

/**
 * The check by the option `blockList`, with Node's error. A list whose `check` throws blocks: it could not allow the address.
 *
 * @param list Node refuses what is not a BlockList
 */
export function blockCheck(list: BlockList | undefined): BlockCheck {
  return ({ address, family }) => {
    if (typeof list?.check !== 'function') return undefined
    if (callApplication(() => list.check(address, family === 6 ? 'ipv6' : 'ipv4')) === false) return undefined
    return Object.assign(new Error(`IP(${address}) is blocked by net.BlockList`), { code: 'ERR_IP_BLOCKED' })
  }
}

/** Each may call the application, which may cancel the dial: it is called last, or what it may have changed is read again. */
export interface DialEvents {
  /** A SYN is about to be sent on this way. */
  attempting(candidate: Candidate): void
  attemptFailed(candidate: Candidate, error: Error): void
  /** After `attemptDelay` without an answer: another destination is about to be tried at the same time. */
  overtaken(candidate: Candidate): void
  /** How many of the application's pending bytes have left so far. */
  sent(bytes: number): void
  /** Bytes have left on the only attempt, and the answer is overdue: further subflows may bring it. */
  overdue(attempt: Attempt): void
  connected(attempt: Attempt, history: DialHistory): void
  failed(errors: Error[], history: DialHistory): void
}

/** What happened on the way, for `socket.mptcp`. */
export interface DialHistory {
  attempts: number
  /** Why no converter is used although some are configured. */
  converterError: Error | undefined
  lessons: OneRttReason[]
  /** The last attempt that a converter answered with an Error TLV. */
  refused?: Pick<Attempt, 'candidate' | 'synDataAccepted'>
}

export class Dial {
  readonly #request: DialRequest
  readonly #events: DialEvents
  readonly #active = new Set<Attempt>()
  readonly #errors: Error[]
  readonly #history: DialHistory = { attempts: 0, converterError: undefined, lessons: [] }
  #queue: Candidate[]
  #fallback: Candidate[]
  /** The ways that have failed. */
  readonly #failures: Candidate[] = []
  /** The ways that were given up for one that began later and was answered. */
  readonly #overtaken: Candidate[] = []
  /** Set while another way waits to be tried at the same time. */
  #beside: HearingTimer | undefined
  /** Asks the converter over another access, while bytes that have left on the only attempt are not answered. */
  #probe: Attempt | undefined
  /** To be called at the end: of the second ways that only find out whether the first is silent. */
  readonly #hedges: (() => void)[] = []
  /** How many lists of ways `add` will still bring. */
  #coming: number
  #over = false
  #holding = true

  constructor(request: DialRequest, events: DialEvents) {
    this.#request = request
    this.#events = events
    this.#queue = byProspect(request.candidates)
    this.#fallback = byProspect(request.fallback)
    this.#errors = []
    this.#coming = request.coming
    reactor().hold()
  }

  start(): void {
    this.#startNext()
  }

  /** Brings one of the lists that are `coming`. Its ways are tried after the ones before. */
  add(candidates: Candidate[], errors: Error[]): void {
    if (this.#over) return
    this.#coming--
    this.#queue = byProspect([...this.#queue, ...candidates])
    this.#errors.push(...errors)
    const [latest] = [...this.#active].slice(-1)
    if (!latest) this.#startNext()
    else if (!this.#beside) this.#armBeside(latest)
  }

  /** The application has written more, which may leave now. */
  flush(): void {
    if (this.#request.pending.areHello) return this.#sendHellos()
    if (this.#triesBothForms()) return
    for (const attempt of this.#active) {
      if (!attempt.candidate.via?.pipelining || !attempt.flush()) continue
      this.#avoidSlowBypasses()
      // What has left on one way must not leave on another: the others end here. An Error TLV would lead back to them.
      this.#overtaken.push(...this.#silentBeside(attempt, 'syn'))
      for (const other of [...this.#active].reverse()) {
        if (other === attempt) continue
        this.#drop(other)
        if (!sameWay(other.candidate, attempt.candidate)) this.#queue.unshift(other.candidate)
      }
      this.#disarmBeside()
      this.#events.sent(attempt.sent)
      return
    }
  }

  /** A ClientHello may leave on every way, once on each. */
  #sendHellos(): void {
    for (const attempt of [...this.#active]) if (attempt.candidate.via?.pipelining) attempt.flush()
  }

  /**
   * Whether the 1-RTT form is being tried while the 0-RTT form still waits for the same converter's answer. Until one of
   * them is over, pending bytes would have to be sent on both.
   */
  #triesBothForms(): boolean {
    const ways = [...this.#active].map(({ candidate }) => candidate)
    return ways.some(one => ways.some(other => sameEnds(one, other) && one.via?.form !== other.via?.form))
  }

  /** Whether the attempt keeps the event loop alive. */
  keepAlive(on: boolean): void {
    if (this.#over || on === this.#holding) return
    this.#holding = on
    if (on) reactor().hold()
    else reactor().letGo()
  }

  cancel(): void {
    if (!this.#over) this.#end()
  }

  /** Whether the kernel has something for one of the attempts that has not been delivered yet. */
  get hasArrived(): boolean {
    return [...this.#active].some(attempt => attempt.hasArrived)
  }

  /** The time is up. @param timeout makes the error, from the way that was tried last */
  expire(timeout: (latest: Candidate | undefined) => Error): void {
    if (this.#over) return
    this.#errors.push(timeout([...this.#active].at(-1)?.candidate ?? this.#request.candidates[0]))
    this.#giveUp()
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

  /** The direct ways, once no converter can be used. */
  #takeFallback(): Candidate | undefined {
    if (this.#active.size > 0 || this.#coming > 0 || this.#fallback.length === 0) return undefined
    this.#history.converterError = this.#errors.at(-1)
    this.#queue = this.#fallback
    this.#fallback = []
    return this.#queue.shift()
  }

  #launch(candidate: Candidate): boolean {
    const { settings, plan, pending, isBlocked } = this.#request
    const blocked = isBlocked(candidate.destination)
    if (this.#over) return true
    if (blocked) return this.#failedAtOnce(candidate, blocked, 'destination')
    const attempt = new Attempt(candidate, settings, plan, pending, this.#attemptEvents)
    this.#history.attempts++
    this.#events.attempting(candidate)
    if (this.#over) return true
    try {
      attempt.start()
    } catch (error) {
      if (candidate.bypass) return this.#bypassFailed(candidate, error as Error)
      const { scope } = react({ kind: 'system', error: error as Error }, candidate, 'nothing')
      return this.#failedAtOnce(candidate, error as Error, scope)
    }
    this.#active.add(attempt)
    this.#armBeside(attempt)
    return true
  }

  #failedAtOnce(candidate: Candidate, error: Error, scope: Scope): false {
    this.#errors.push(error)
    this.#queue = without(this.#queue, candidate, scope)
    this.#events.attemptFailed(candidate, error)
    return false
  }

  readonly #attemptEvents: AttemptEvents = {
    acknowledged: attempt => {
      this.flush()
      if (this.#active.has(attempt) && !attempt.delivered) this.#armBeside(attempt)
    },
    stalled: (attempt, what) => {
      if (what === 'syn') this.#launchFresh(attempt)
      else if (attempt.delivered) this.#suspect(attempt)
      else this.#tryOtherForm(attempt)
    },
    established: attempt => {
      this.#active.delete(attempt)
      this.#learnFromSilence(attempt)
      this.#learnOfServer(attempt)
      this.#learnFromOvertaken(attempt)
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
      if (attempt.hasSuccessor && this.#successorDecides(attempt, failure)) this.#startNextIfIdle()
      else this.#failed(attempt, failure)
      // The other form of this attempt may have held bytes back.
      this.flush()
    },
  }

  /** The SYN is not answered. */
  #launchFresh(attempt: Attempt): void {
    if (attempt.hasSuccessor || this.#delivered()) return
    attempt.hasSuccessor = true
    const { candidate, protocol } = attempt
    const fresh = { ...candidate, unanswered: candidate.unanswered + 1 }
    const mayBeTcp = this.#request.settings.mptcp === 'prefer' && !candidate.bypass
    const tcp = protocol?.name === 'mptcp' && mayBeTcp ? withoutMptcp(fresh) : undefined
    if (tcp) this.#queue.unshift(tcp)
    this.#launchBeside(fresh)
  }

  /** The SYN's data is not answered: the 1-RTT form may be. */
  #tryOtherForm(attempt: Attempt): void {
    const { via } = attempt.candidate
    if (!via?.adaptive || via.form !== '0rtt' || !attempt.synDataAccepted) return
    if (attempt.hasSuccessor || this.#delivered()) return
    const path = this.#pathOf(attempt.candidate)
    const isKnown = this.#request.memory.oneRtt(path, performance.now()) !== undefined
    if (!isKnown && !this.#hedge(path)) return attempt.watchAnswer()
    attempt.hasSuccessor = true
    this.#launchBeside({ ...attempt.candidate, via: { ...via, form: '1rtt' } })
  }

  /**
   * Bytes have left that must not leave on another way, and the converter does not answer. If they have arrived, a subflow over
   * another access can bring the answer. A second connection there shows whether this access is silent: then the next
   * connections begin there. And if this one is not even acknowledged, it has failed, and need not wait for `converterTimeout`.
   */
  #suspect(attempt: Attempt): void {
    this.#events.overdue(attempt)
    if (this.#over) return
    const other = probeBeside(this.#queue, attempt.candidate)
    if (!other) return
    if (this.#isSilent(attempt) && attempt.isUnacknowledged) return attempt.giveUp()
    if (!this.#probe && this.#hedge(this.#pathOf(attempt.candidate))) this.#launchProbe(other, attempt)
    attempt.watchAnswer()
  }

  /** Whether the way is known to be silent, from this connection or from another one. */
  #isSilent({ candidate, began }: Attempt): boolean {
    return this.#request.memory.trouble(this.#pathOf(candidate), performance.now(), began) === 'silent'
  }

  #launchProbe(candidate: Candidate, suspected: Attempt): void {
    const { settings, plan } = this.#request
    const probe = new Attempt(candidate, settings, plan, new PendingBytes(), {
      acknowledged: () => {},
      stalled: () => {},
      failed: (_, failure) => {
        const { lesson, retry } = react(failure, candidate, 'nothing')
        if (lesson) this.#learn(candidate, lesson)
        if (retry) this.#launchProbe(retry, suspected)
      },
      established: () => {
        probe.abandon()
        if (this.#active.has(suspected) && !suspected.hasArrived)
          this.#learn(suspected.candidate, { learn: 'trouble', trouble: 'silent' })
      },
    })
    this.#probe = probe
    this.#history.attempts++
    try {
      probe.start()
    } catch {
      // This access is of no help.
    }
  }

  /** Whether one more second way may be tried to find out whether the first is silent. */
  #hedge({ converter }: ConverterPath): boolean {
    const end = this.#request.memory.hedges.begin(converter)
    if (end) this.#hedges.push(end)
    return end !== undefined
  }

  #failed(attempt: Attempt, failure: Failure): void {
    const { candidate } = attempt
    const { lesson, retry, scope, error } = react(failure, candidate, attempt.left)
    if (candidate.bypass) {
      this.#bypassFailed(candidate, error)
      this.#startNext()
      return
    }
    if (lesson) this.#learn(candidate, lesson)
    if (retry && this.#launch(retry)) return
    if (this.#over) return
    this.#errors.push(error)
    this.#failures.push(candidate)
    if (failure.kind === 'error-tlv') {
      this.#history.refused = attempt
      if (attempt.leftSyn) this.#learn(candidate, { learn: 'one-rtt', why: attempt.leftSyn })
      this.#learnFromSilence(attempt)
      for (const other of this.#active) if (without([other.candidate], candidate, scope).length === 0) this.#drop(other)
    }
    this.#ruleOut(candidate, scope)
    this.#events.attemptFailed(candidate, error)
    this.#startNext()
  }

  /** What does not work directly may work through a converter: that one decides, and it is asked from now on. */
  #bypassFailed(candidate: Candidate, error: Error): false {
    this.#request.memory.servers.avoid(this.#serverOf(candidate), performance.now())
    this.#events.attemptFailed(candidate, error)
    return false
  }

  /** What the converter's answer says of the server. */
  #learnOfServer({ candidate, answer }: Attempt): void {
    const { memory, settings } = this.#request
    if (settings.bypass !== 'learned' || !candidate.via) return
    this.#avoidSlowBypasses()
    memory.servers.learn(this.#serverOf(candidate), answer, performance.now())
  }

  /** A way through a converter was faster than these, which began before it. */
  #avoidSlowBypasses(): void {
    for (const { candidate } of this.#active)
      if (candidate.bypass) this.#request.memory.servers.avoid(this.#serverOf(candidate), performance.now())
  }

  #serverOf({ destination, interface: device }: Candidate): ServerPath {
    return serverPathOf(destination, device, this.#request.plan)
  }

  /**
   * Whether the failure of `attempt` means nothing, because its successor decides: a fresh SYN does when this one is not answered, or
   * when only the kernel's empty repetition of this one is, and the fresh one's data has arrived; the 1-RTT form does when
   * the failure would only lead to trying that form.
   */
  #successorDecides({ candidate }: Attempt, failure: Failure): boolean {
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
    // A server that refuses the converter would refuse us too; and what has been delivered must not be sent again.
    if (candidate.via && (scope === 'destination' || scope === 'all'))
      this.#fallback = without(this.#fallback, candidate, scope)
  }

  /** When the 1-RTT form is answered while the 0-RTT form still waits, the SYN's data is never answered. */
  #learnFromSilence(answered: Attempt): void {
    if (answered.candidate.via?.form !== '1rtt') return
    for (const { candidate, phase, synDataAccepted } of this.#active)
      if (phase === 'answer' && synDataAccepted && candidate.via?.endpoint === answered.candidate.via.endpoint)
        this.#learn(candidate, { learn: 'one-rtt', why: 'no-answer-to-syn-data', suspected: true })
  }

  /** Another access has made the connection, or another address, while some had failed or had not answered. */
  #learnFromOvertaken(winner: Attempt): void {
    const { candidate } = winner
    this.#learn(candidate, { learn: 'works' })
    const understood = wasUnderstood(candidate)
    if (understood) this.#learn(candidate, understood)
    for (const silent of [...this.#overtaken, ...this.#silentBeside(winner)])
      this.#learn(silent, { learn: 'trouble', trouble: 'silent' })
    for (const failed of this.#failures)
      if (sameEnds(failed, candidate) && !sameWay(failed, candidate))
        this.#learn(failed, { learn: 'trouble', trouble: 'unusable' })
  }

  /** The ways that have had more time than `answered`, and have not been answered. */
  #silentBeside({ candidate: answered, began }: Attempt, only?: 'syn'): Candidate[] {
    const others = [...this.#active].filter(({ candidate }) => !sameWay(candidate, answered))
    const isHeard = (way: Candidate) => others.some(other => other.phase === 'answer' && sameWay(other.candidate, way))
    const isSilent = ({ candidate, phase }: Attempt) =>
      phase === 'syn' ? !isHeard(candidate) : only === undefined && sameEnds(candidate, answered)
    return others.filter(one => one.began < began && !one.hasArrived && isSilent(one)).map(({ candidate }) => candidate)
  }

  #learn(candidate: Candidate, lesson: Lesson): void {
    // Of a destination, only by which access it was reached: the order of its addresses is the resolver's.
    if (!candidate.via && candidate.interface === undefined) return
    if (lesson.learn === 'one-rtt') {
      this.#history.lessons.push(lesson.why)
      if (!candidate.via?.adaptive || lesson.why === 'small-receive-buffer') return
    }
    this.#request.memory.learn(this.#pathOf(candidate), lesson, performance.now())
  }

  #pathOf({ via, destination, interface: device }: Candidate): ConverterPath {
    return pathOf(via?.endpoint ?? destination, device, this.#request.plan)
  }

  /** After `attemptDelay`, another way is tried at the same time as `attempt`. */
  #armBeside(attempt: Attempt): void {
    this.#disarmBeside()
    if (this.#queue.length === 0) return
    this.#beside = afterHearing(
      this.#request.settings.attemptDelay,
      () => attempt.hasArrived,
      () => {
        this.#beside = undefined
        const next = nextBeside(this.#queue, attempt.candidate, attempt.phase === 'answer')
        if (!next || this.#delivered()) return
        this.#queue = this.#queue.filter(other => other !== next)
        if (next.destination !== attempt.candidate.destination) this.#events.overtaken(attempt.candidate)
        // After one that fails at once, the next one need not wait.
        if (!this.#over && !this.#launch(next)) this.#startNext()
      },
    )
  }

  #disarmBeside(): void {
    this.#beside?.cancel()
    this.#beside = undefined
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

  #giveUp(): void {
    this.#end()
    this.#events.failed(this.#errors, this.#history)
  }

  #end(): void {
    this.#over = true
    this.#disarmBeside()
    for (const attempt of this.#active) this.#drop(attempt)
    this.#probe?.abandon()
    for (const end of this.#hedges.splice(0)) end()
    if (this.#holding) reactor().letGo()
  }
}

/** The memory's key for a server over the access that a socket is bound to. */
export function serverPathOf(
  { address, port }: { address: string; port: number },
  device: string | undefined,
  plan: SocketPlan,
): ServerPath {
  return { address, port, access: device ?? plan.localAddress ?? '' }
}

/** The memory's key for a converter, or for a destination without one, over the access that a socket is bound to. */
export function pathOf(
  endpoint: { address: string; port: number },
  device: string | undefined,
  plan: SocketPlan,
): ConverterPath {
  return {
    converter: `${endpoint.address}|${endpoint.port}`,
    access: device ?? plan.localAddress ?? '',
  }
}
