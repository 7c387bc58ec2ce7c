/**
 * One try on one way: a socket, its SYN, and for a way through a converter the exchange of Convert messages
 * (RFC 8803 §4.2, §6). It decides nothing: what it sees, it tells.
 */
import { type SystemError, WireError } from '../../errors.js'
import type { Settings } from '../../input/options.js'
import { readAnswer } from '../../policy/connect/answer.js'
import {
  type Candidate,
  connectMessage,
  LIFE_OF_SYN,
  stallAfter,
  synPause,
  type Via,
} from '../../policy/connect/candidates.js'
import type { OneRttReason } from '../../policy/connect/converter-memory.js'
import { otherEnd } from '../../policy/connect/half-fallback.js'
import type { Failure } from '../../policy/connect/reaction.js'
import { decode, encode, HEADER_LENGTH, messageLength, type Tlv } from '../../wire/convert/index.js'
import { decodeTcpInfo, type TcpInfo } from '../../wire/kernel/tcp-info.js'
import { INFO_MAX, int, SOL_TCP, TCP_ESTABLISHED, TCP_FASTOPEN_NO_COOKIE, TCP_INFO } from '../kernel/constants.js'
import { native } from '../kernel/native.js'
import { fixReceiveBuffer, openSocket, type Protocol, protocolOf, type SocketPlan } from '../kernel/open-socket.js'
import { reactor, type Wait } from '../kernel/reactor.js'
import { failedAtOnce, failedConnect, lacksFastOpen } from './errors.js'
import type { PendingBytes } from './pending-bytes.js'
import { type Step, Timers } from './timers.js'

export interface AttemptEvents {
  /** The handshake is done; the answer of the converter is still to come. */
  acknowledged(attempt: Attempt): void
  /** No SYN+ACK (`syn`) or no answer (`answer`) for so long that something else should be tried beside. */
  stalled(attempt: Attempt, what: 'syn' | 'answer'): void
  established(attempt: Attempt): void
  failed(attempt: Attempt, failure: Failure): void
}

export class Attempt {
  candidate: Candidate
  fd = -1
  /** `syn` until the handshake is done, `answer` until the converter has answered. */
  phase: 'syn' | 'answer' | 'over' = 'syn'
  /** Set once the handshake is done. */
  protocol: Protocol | undefined
  /** Whether the peer acknowledged data in the SYN; undefined when the SYN had none. */
  synDataAccepted: boolean | undefined
  /** Whether the handshake was one of MPTCP, and the answer came over TCP. */
  turnedToTcp = false
  /** The converter's message. */
  answer: Tlv[] = []
  /** How many of the application's bytes have left, early data included. */
  sent = 0
  /** How many of them were in the SYN. */
  early = 0
  /** Whether a fresh SYN, or another form, is being tried beside this one. */
  hasSuccessor = false
  /** Why the form is another one than was asked for, if it is so. */
  leftSyn: OneRttReason | undefined
  readonly #settings: Settings
  readonly #plan: SocketPlan
  readonly #pending: PendingBytes
  readonly #events: AttemptEvents
  readonly #timers = new Timers()
  /** The Convert message, and how much of it has left. */
  #message: Uint8Array = new Uint8Array(0)
  #messageSent = 0
  /** How many bytes were in the SYN, of both. */
  #inSyn = 0
  #wait: Wait | undefined

  constructor(
    candidate: Candidate,
    settings: Settings,
    plan: SocketPlan,
    pending: PendingBytes,
    events: AttemptEvents,
  ) {
    this.candidate = candidate
    this.#settings = settings
    this.#plan = plan
    this.#pending = pending
    this.#events = events
  }

  /** Sends the SYN. Throws what the system calls throw. */
  start(): void {
    const { destination, via } = this.candidate
    const { address, port, family } = via?.endpoint ?? destination
    if (via) this.#message = encode(connectMessage(this.candidate), { allowLoopback: this.#settings.allowLoopback })
    const plan: SocketPlan = this.candidate.tcp ? { ...this.#plan, mptcp: 'off' } : this.#plan
    const opened = openSocket(family, plan, this.candidate.interface)
    this.fd = opened.fd
    this.protocol = this.candidate.tcp ? { name: 'tcp', why: NOT_ANSWERED } : opened.protocol
    try {
      if (via?.form !== '0rtt' || !this.#sendInSyn(address, port, via)) native().connect(this.fd, address, port)
      const isEstablished = native().getsockopt(this.fd, SOL_TCP, TCP_INFO, 1)[0] === TCP_ESTABLISHED
      // Within a host the handshake is over already; but 'connect' comes when the loop looks next, as with Node: behind what
      // the peer in this process has heard, and before setImmediate.
      if (isEstablished) this.#wait = reactor().awaitBytes(this.fd, 0, errno => this.#connected(errno), HELD)
      else this.#awaitConnected()
    } catch (error) {
      const shown = failedAtOnce(error as SystemError, this.fd)
      this.abandon()
      throw shown
    }
    const { converterTimeout: after } = this.#settings
    if (via && after > 0) this.#timers.after(after, () => this.#fail({ kind: 'answer-timeout', after }))
  }

  /**
   * Sends what the application has written, as far as the kernel takes it now, and what of the Convert message has not
   * left in one piece with it: a small segment behind another would wait for that one's acknowledgment (RFC 9293 §3.7.4).
   * @returns whether any byte has left that had not before
   */
  flush(): boolean {
    if (this.phase !== 'answer') return false
    const bytes = this.#pending.from(this.sent)
    if (bytes.length === 0) return false
    const message = this.#message.subarray(this.#messageSent)
    const taken = this.#send(message.length === 0 ? bytes : Buffer.concat([message, bytes]))
    this.#messageSent += Math.min(taken, message.length)
    this.sent += Math.max(taken - message.length, 0)
    return taken > message.length
  }

  /** Whether bytes have left that the user has not allowed to arrive twice. */
  get delivered(): boolean {
    return this.sent > this.early
  }

  /** Gives the descriptor to who can `open` it: 0, or a negative errno, upon which the socket is reset. */
  handOver(open: (fd: number) => number): number {
    this.#stop()
    const status = open(this.fd)
    if (status < 0) {
      this.#closeSocket()
      return status
    }
    native().release(this.fd)
    this.fd = -1
    return status
  }

  /** Ends it without a word to anybody but the peer, which gets a reset (RFC 8803 §6.2.8 demands that of an error). */
  abandon(): void {
    this.#stop()
    this.#closeSocket()
  }

  /** False where this system does not let data into a SYN, or not well, and another form will do. */
  #sendInSyn(address: string, port: number, via: Via): boolean {
    if (this.protocol?.name === 'mptcp' && !fixReceiveBuffer(this.fd) && this.#plan.steered && via.adaptive)
      return this.#leaveSyn(via, 'small-receive-buffer')
    const early = this.#settings.earlyData ? this.#pending.from(0) : new Uint8Array(0)
    const bytes = early.length === 0 ? this.#message : Buffer.concat([this.#message, early])
    let taken: number
    try {
      native().setsockopt(this.fd, SOL_TCP, TCP_FASTOPEN_NO_COOKIE, int(1))
      taken = native().sendFastOpen(this.fd, address, port, bytes)
    } catch (error) {
      if (!via.adaptive || !lacksFastOpen(error as SystemError)) throw error
      return this.#leaveSyn(via, 'no-fast-open-here')
    }
    this.#messageSent = Math.min(taken, this.#message.length)
    this.early = taken - this.#messageSent
    this.sent = this.early
    this.#inSyn = taken
    if (taken > 0) this.synDataAccepted = false
    return true
  }

  #leaveSyn(via: Via, why: OneRttReason): false {
    this.leftSyn = why
    this.candidate = { ...this.candidate, via: { ...via, form: '1rtt' } }
    return false
  }

  #tcpInfo(): TcpInfo {
    return decodeTcpInfo(native().getsockopt(this.fd, SOL_TCP, TCP_INFO, INFO_MAX))
  }

  #awaitConnected(): void {
    this.#wait = reactor().awaitConnected(this.fd, errno => this.#connected(errno), HELD)
    const { candidate, protocol } = this
    const { synTimeout, synRetriesConverter, synRetriesDirect } = this.#settings
    // A direct TCP connection is the kernel's own affair, as with net.connect.
    if (!candidate.via && protocol?.name === 'tcp') return
    const pause = synPause(candidate, synTimeout)
    const retries = candidate.via ? synRetriesConverter : synRetriesDirect
    const steps: Step[] = [[Math.max(pause, LIFE_OF_SYN), () => this.#fail({ kind: 'unanswered' })]]
    if (protocol?.name === 'mptcp') steps.unshift([LIFE_OF_SYN, () => this.#closeSocket()])
    if (candidate.unanswered < retries) steps.unshift([pause, () => this.#events.stalled(this, 'syn')])
    const inSyn = () => this.phase === 'syn'
    this.#timers.inTurn(
      steps.sort(([a], [b]) => a - b),
      inSyn,
    )
  }

  #connected(errno: number): void {
    const { via } = this.candidate
    if (errno !== 0) return this.#failed(errno)
    const wantsMptcp = this.protocol?.name === 'mptcp'
    this.protocol = protocolOf(this.fd, this.protocol)
    if (!via) return this.#isUnwanted() ? undefined : this.#established()
    const info = this.#tcpInfo()
    if (this.synDataAccepted !== undefined) this.synDataAccepted = info.synDataAcked === true
    // The kernel turns to TCP when the SYN's data is not acknowledged, now or with the first bytes that come; dialing
    // anew in the 1-RTT form keeps MPTCP.
    if (this.synDataAccepted === false && wantsMptcp && via.adaptive)
      return this.#fail({ kind: 'syn-data-not-acknowledged' })
    if (this.#isUnwanted()) return
    this.phase = 'answer'
    if (this.synDataAccepted && via.adaptive)
      this.#timers.after(stallAfter(info.rtt ?? 0), () => !this.delivered && this.#events.stalled(this, 'answer'))
    this.#events.acknowledged(this)
    this.#sendMessage()
    if (this.#isOpen()) this.#receive(HEADER_LENGTH, header => this.#readHeader(header), decode)
  }

  /** Fails the attempt when it has become TCP and the user insists on MPTCP. */
  #isUnwanted(): boolean {
    if (this.protocol?.name !== 'tcp' || this.#settings.mptcp !== 'require') return false
    this.#fail({ kind: 'tcp' })
    return true
  }

  /** What of the Convert message has not left: all of it in the 1-RTT form. It fits any send buffer. */
  #sendMessage(): void {
    if (!this.#isOpen() || this.#messageSent >= this.#message.length) return
    this.#messageSent += this.#send(this.#message.subarray(this.#messageSent))
  }

  /** How many bytes the kernel took. A peer that is gone already is a failure of the attempt, not an exception. */
  #send(bytes: Uint8Array): number {
    try {
      return native().send(this.fd, bytes)
    } catch (error) {
      this.#failed(-(error as SystemError).errno!)
      return 0
    }
  }

  #isOpen(): boolean {
    return this.phase === 'answer'
  }

  #readHeader(header: Buffer): void {
    const length = messageLength(header)
    if (length === HEADER_LENGTH) return this.#readAnswer(header)
    this.#receive(length - HEADER_LENGTH, rest => this.#readAnswer(Buffer.concat([header, rest])))
  }

  #readAnswer(bytes: Buffer): void {
    const { tlvs, failure } = readAnswer(bytes)
    this.answer = tlvs
    if (failure) return this.#fail(failure)
    // With its first bytes the peer may have shown that it does not speak MPTCP after all.
    const before = this.protocol
    this.protocol = protocolOf(this.fd, before)
    this.turnedToTcp = before?.name === 'mptcp' && this.protocol.name === 'tcp'
    if (this.turnedToTcp && this.synDataAccepted) this.#establishAsTcp()
    else if (!this.#isUnwanted()) this.#established()
  }

  /** Only once it is certain that the converter holds it for TCP, too. */
  #establishAsTcp(): void {
    const other = otherEnd(this.#tcpInfo(), this.#inSyn, this.#messageSent + this.sent - this.#inSyn)
    if (other === 'soon') this.#timers.after(LOOK_AGAIN_MS, () => this.#establishAsTcp())
    else if (other === 'not-known') this.#fail({ kind: 'half-fallback' })
    else if (!this.#isUnwanted()) this.#established()
  }

  #established(): void {
    this.#stop()
    this.#events.established(this)
  }

  /**
   * Exactly `length` bytes, so that nothing of the application's stream is ever consumed.
   * @param check looks at what came when it was less; throws what is wrong with it
   */
  #receive(length: number, done: (bytes: Buffer) => void, check: (bytes: Buffer) => unknown = () => {}): void {
    this.#wait = reactor().awaitBytes(
      this.fd,
      length,
      (errno, bytes) => {
        try {
          if (bytes.length < length) check(bytes)
          if (errno !== 0) return this.#failed(errno)
          if (bytes.length < length) return this.#fail({ kind: 'closed' })
          done(bytes)
        } catch (error) {
          if (!(error instanceof WireError)) throw error
          this.#fail({ kind: 'malformed', error })
        }
      },
      HELD,
    )
  }

  /** @param errno positive */
  #failed(errno: number): void {
    const { via, destination } = this.candidate
    this.#fail({ kind: 'system', error: failedConnect(errno, via?.endpoint ?? destination, this.#plan) })
  }

  #fail(failure: Failure): void {
    this.abandon()
    this.#events.failed(this, failure)
  }

  #stop(): void {
    this.phase = 'over'
    this.#timers.clear()
    this.#wait?.cancel()
    this.#wait = undefined
  }

  #closeSocket(): void {
    this.#wait?.cancel()
    if (this.fd >= 0) native().reset(this.fd)
    this.fd = -1
  }
}

const NOT_ANSWERED = 'SYNs with MPTCP were not answered: something on the way may drop them'
const LOOK_AGAIN_MS = 10 // bytes are acknowledged, or sent again, within some hundred milliseconds
/** What keeps the event loop alive is the dial. */
const HELD = { ref: false }
