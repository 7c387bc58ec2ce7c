/**
 * One attempt on one way: a socket, its SYN and, for a way through a converter, the exchange of Convert messages
 * (RFC 8803 §4.2, §6). It makes no decisions; it only reports events.
 */
import type { LookupFunction } from 'node:net'
import { constants } from 'node:os'
import { type SystemError, systemError, WireError } from '../../errors.js'
import { mappedAddress } from '../../input/addresses.js'
import type { Settings } from '../../input/options.js'
import { readAnswer } from '../../policy/connect/answer.js'
import {
  type Candidate,
  connectMessage,
  type Endpoint,
  LIFE_OF_SYN,
  stallAfter,
  synPause,
  type ViaConverter,
} from '../../policy/connect/candidates.js'
import type { OneRttReason } from '../../policy/connect/converter-memory.js'
import { otherEnd } from '../../policy/connect/half-fallback.js'
import { type Failure, type Sent, whyNoConverter } from '../../policy/connect/reaction.js'
import { decode, encode, HEADER_LENGTH, messageLength, type Tlv } from '../../wire/convert/index.js'
import { decodeMptcpInfo } from '../../wire/kernel/mptcp-info.js'
import { decodeTcpInfo, TCP_STATES, type TcpInfo } from '../../wire/kernel/tcp-info.js'
import { EPOLLOUT, INFO_MAX, MPTCP_INFO, SOL_MPTCP, SOL_TCP, TCP_ESTABLISHED, TCP_INFO } from '../kernel/constants.js'
import { allowSynData, lacksFastOpen } from '../kernel/fast-open.js'
import { native } from '../kernel/native.js'
import { fixReceiveBuffer, openSocket, type Protocol, protocolOf, type SocketPlan } from '../kernel/open-socket.js'
import { reactor, type Wait } from '../kernel/reactor.js'
import { type Step, Timers } from './after-hearing.js'
import { failedAtOnce, failedConnect, noSynData } from './errors.js'
import type { PendingBytes } from './pending-bytes.js'

export interface AttemptPlan extends SocketPlan {
  /** In place of dns.lookup, for names of converters. */
  lookup?: LookupFunction
  /** The IPv6 address by which a translator (NAT64) reaches this IPv4 address over the interface; undefined: it is reached as it is. */
  translate?(address: string, device: string): string | undefined
}

export interface AttemptEvents {
  /** The handshake is done; the converter has not answered yet. */
  acknowledged(attempt: Attempt): void
  /** The SYN+ACK (`syn`) or the answer (`answer`) is overdue: something else should be tried at the same time. */
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
  /** Whether its socket is one of IPv6 that takes IPv4 addresses too. */
  isDual = false
  /** Whether the peer acknowledged data in the SYN; undefined when the SYN had none. */
  synDataAccepted: boolean | undefined
  /** Whether the handshake was MPTCP, but the answer came over TCP. */
  turnedToTcp = false
  /** The converter's message. */
  answer: Tlv[] = []
  /** How many of the application's bytes have left, early data included. */
  sent = 0
  /** How many of them were in the SYN. */
  early = 0
  /** Whether a fresh SYN, or the other form, is being tried at the same time. */
  hasSuccessor = false
  /** Why the form is not the one that was asked for; undefined if it is. */
  leftSyn: OneRttReason | undefined
  readonly #settings: Settings
  readonly #plan: AttemptPlan
  readonly #pending: PendingBytes
  readonly #events: AttemptEvents
  readonly #timers = new Timers(() => this.hasArrived)
  /** The Convert message, and how much of it has left. */
  #message: Uint8Array = new Uint8Array(0)
  #messageSent = 0
  /** How many bytes were in the SYN, of both. */
  #inSyn = 0
  /** µs. */
  #roundTrip = 0
  #wait: Wait | undefined
  /** See `AttemptPlan`. */
  #translated: string | undefined

  constructor(
    candidate: Candidate,
    settings: Settings,
    plan: AttemptPlan,
    pending: PendingBytes,
    events: AttemptEvents,
  ) {
    this.candidate = candidate
    this.#settings = settings
    this.#plan = plan
    this.#pending = pending
    this.#events = events
  }

  /** Called when the descriptor closes, while it is steered before it is the application's. */
  steering: { closing(): void; closed(): void } | undefined
  /** When its SYN was sent, as of `performance.now()`. */
  began = 0

  /** Sends the SYN. Throws what the system calls throw. */
  start(): void {
    this.began = performance.now()
    const { via } = this.candidate
    if (via) this.#message = encode(connectMessage(this.candidate), { allowLoopback: this.#settings.allowLoopback })
    this.#open()
    try {
      if (via?.form !== '0rtt' || !this.#sendInSyn(via)) native().connect(this.fd, this.#address, this.#reached.port)
      const isEstablished = tcpState(this.fd) === TCP_ESTABLISHED
      // Within a host the handshake is over already. But as with Node, 'connect' waits for the loop's next poll: it comes after
      // the events of a peer in this process, and before setImmediate.
      if (isEstablished) this.#wait = reactor().awaitBytes(this.fd, 0, errno => this.#connected(errno), HELD)
      else this.#awaitConnected()
    } catch (error) {
      const shown = failedAtOnce(error as SystemError, this.fd, this.#reached)
      this.abandon()
      throw shown
    }
    const { converterTimeout: after } = this.#settings
    if (via && after > 0) this.#timers.after(after, () => this.#fail({ kind: 'answer-timeout', after }))
  }

  /**
   * Sends what the application has written, as much as the kernel takes now. What is left of the Convert message goes in the
   * same call: a second small segment would wait for the acknowledgment of the first (RFC 9293 §3.7.4).
   *
   * @returns whether any byte of the application left
   */
  flush(): boolean {
    if (this.phase !== 'answer') return false
    const bytes = this.#pending.from(this.sent)
    if (bytes.length === 0) return false
    const message = this.#message.subarray(this.#messageSent)
    const first = !this.delivered
    const taken = this.#send(message.length === 0 ? bytes : Buffer.concat([message, bytes]))
    this.#messageSent += Math.min(taken, message.length)
    this.sent += Math.max(taken - message.length, 0)
    if (first && this.delivered) this.watchAnswer()
    return taken > message.length
  }

  /** Whether the kernel has something for this attempt that we have not taken yet. */
  get hasArrived(): boolean {
    if (this.fd < 0 || this.phase === 'over') return false
    return this.phase === 'syn' ? tcpState(this.fd) !== TCP_STATES.synSent : native().unread(this.fd) > 0
  }

  /**
   * Whether the peer has acknowledged nothing for so long that the access is lost: what was sent has been sent again three
   * times, with pauses that double.
   */
  get isUnacknowledged(): boolean {
    if (!this.#isOpen()) return false
    const { unacked = 0, retransmits = 0 } = this.#tcpInfo()
    return unacked > 0 && retransmits >= 3 && !this.#hasOtherSubflows()
  }

  #hasOtherSubflows(): boolean {
    if (protocolOf(this.fd, this.protocol).name !== 'mptcp') return false
    return decodeMptcpInfo(native().getsockopt(this.fd, SOL_MPTCP, MPTCP_INFO, INFO_MAX)).subflows !== 0
  }

  /** Reports once more when the answer is overdue. */
  watchAnswer(): void {
    this.#timers.after(stallAfter(this.#roundTrip), () => this.#isOpen() && this.#events.stalled(this, 'answer'))
  }

  /** The converter answers over another access, and acknowledges nothing over this one. */
  giveUp(): void {
    this.#fail({ kind: 'access-lost', after: Math.round(performance.now() - this.began) })
  }

  /** Whether bytes have left that must not arrive twice. */
  get delivered(): boolean {
    return this.left === 'once'
  }

  /** Which bytes have left after the SYN. */
  get left(): Sent {
    if (this.sent <= this.early) return 'nothing'
    return this.#pending.areHello ? 'again' : 'once'
  }

  /**
   * Sends what has not left of the ClientHello, on the connection that is there.
   *
   * @param done called once the kernel has all of it, mostly before this returns; or the connection is gone, as the next
   * thing that is read will show
   */
  sendRest(done: () => void): void {
    const bytes = this.#pending.from(this.sent)
    const taken = bytes.length === 0 ? 0 : sendIfThere(this.fd, bytes)
    this.sent += taken ?? 0
    if (taken === undefined || taken === bytes.length) return done()
    const wait = reactor().watchEdges(this.fd, EPOLLOUT, () => {
      wait.cancel()
      this.sendRest(done)
    })
    this.#wait = wait
  }

  /**
   * Hands the descriptor to `open`, which returns 0 or a negative errno. On an error the connection is reset.
   *
   * @param copied whether `open` makes a copy of the descriptor
   */
  handOver(open: (fd: number) => number, copied = false): number {
    this.#stop()
    const status = open(this.fd)
    if (status < 0) {
      this.#closeSocket()
      return status
    }
    this.steering = undefined
    if (copied) native().close(this.fd)
    else native().release(this.fd)
    this.fd = -1
    return status
  }

  /** Ends the attempt without an event. The peer gets a reset, which RFC 8803 §6.2.8 demands after an Error TLV. */
  abandon(): void {
    this.#stop()
    this.#closeSocket()
  }

  /** The converter, or without one the destination. */
  get #reached(): Endpoint {
    return this.candidate.via?.endpoint ?? this.candidate.destination
  }

  /** Whether a translator (NAT64) is between us and it. */
  get isTranslated(): boolean {
    return this.#translated !== undefined
  }

  /** Its address as this socket takes it. */
  get #address(): string {
    const { address } = this.#reached
    return this.#translated ?? (this.isDual ? mappedAddress(address) : address)
  }

  #open(): void {
    const { family, address } = this.#reached
    const { interface: device, tcp, tuning } = this.candidate
    this.#translated = family === 4 && device !== undefined ? this.#plan.translate?.(address, device) : undefined
    const ofRule = tuning ? { tuning: { ...this.#plan.tuning, ...tuning } } : {}
    const plan: SocketPlan = tcp || tuning ? { ...this.#plan, ...(tcp && { mptcp: 'off' }), ...ofRule } : this.#plan
    const { fd, protocol, isDual } = openSocket(this.#translated === undefined ? family : 6, plan, device)
    this.fd = fd
    this.isDual = isDual
    this.protocol = this.candidate.tcp ? { name: 'tcp', why: this.candidate.plain ?? NOT_ANSWERED } : protocol
    if (this.candidate.prospect === 'none' && this.#translated === undefined) throw this.#unreachable()
  }

  /** The kernel would send from an address of another interface, and wait for an answer that cannot come. */
  #unreachable(): SystemError {
    const { address, port } = this.#reached
    this.abandon()
    return systemError(constants.errno.ENETUNREACH, 'connect', address, port)
  }

  /** False where this system cannot send data in a SYN, or not reliably, and the 1-RTT form may be used instead. */
  #sendInSyn(via: ViaConverter): boolean {
    if (this.protocol?.name === 'mptcp' && !fixReceiveBuffer(this.fd) && this.#plan.steered && via.adaptive)
      return this.#leaveSyn(via, 'small-receive-buffer')
    const early = this.#settings.earlyData ? this.#pending.from(0) : new Uint8Array(0)
    const bytes = early.length === 0 ? this.#message : Buffer.concat([this.#message, early])
    let taken: number
    try {
      allowSynData(this.fd)
      taken = native().sendFastOpen(this.fd, this.#address, this.#reached.port, bytes)
    } catch (error) {
      if (!lacksFastOpen(error as SystemError)) throw error
      if (!via.adaptive) throw noSynData(error as SystemError)
      // A socket whose MSG_FASTOPEN was refused connects, but the kernel gives it no further subflow (EINVAL).
      native().close(this.fd)
      this.#open()
      return this.#leaveSyn(via, 'no-fast-open-here')
    }
    this.#messageSent = Math.min(taken, this.#message.length)
    this.early = taken - this.#messageSent
    this.sent = this.early
    this.#inSyn = taken
    if (taken > 0) this.synDataAccepted = false
    return true
  }

  #leaveSyn(via: ViaConverter, why: OneRttReason): false {
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
    // As with net.connect, the kernel alone repeats the SYN of a direct TCP connection.
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
    // When the SYN's data is not acknowledged, the kernel falls back to TCP, now or with the first bytes that arrive. A new
    // connection in the 1-RTT form keeps MPTCP.
    if (this.synDataAccepted === false && wantsMptcp && via.adaptive)
      return this.#fail({ kind: 'syn-data-not-acknowledged' })
    if (this.#isUnwanted()) return
    this.phase = 'answer'
    this.#roundTrip = info.rtt ?? 0
    this.watchAnswer()
    this.#events.acknowledged(this)
    this.#sendMessage()
    if (this.#isOpen()) this.#receive(HEADER_LENGTH, header => this.#readHeader(header), decode)
  }

  /** Fails the attempt when it has become TCP and MPTCP is required, or a converter could have provided it. */
  #isUnwanted(): boolean {
    if (this.protocol?.name !== 'tcp') return false
    if (this.#settings.mptcp !== 'require' && !this.candidate.bypass) return false
    this.#fail({ kind: 'tcp' })
    return true
  }

  /** Sends the rest of the Convert message: all of it in the 1-RTT form. It fits any send buffer. */
  #sendMessage(): void {
    if (!this.#isOpen() || this.#messageSent >= this.#message.length) return
    this.#messageSent += this.#send(this.#message.subarray(this.#messageSent))
  }

  /** Returns how many bytes the kernel took. If the peer is gone already, the attempt fails; nothing is thrown. */
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
    const length = this.#decoded(header, messageLength)
    if (length === undefined) return
    if (length === HEADER_LENGTH) return this.#readAnswer(header)
    this.#receive(length - HEADER_LENGTH, rest => this.#readAnswer(Buffer.concat([header, rest])))
  }

  #readAnswer(bytes: Buffer): void {
    const read = this.#decoded(bytes, readAnswer)
    if (!read) return
    const { tlvs, failure } = read
    this.answer = tlvs
    if (failure) return this.#fail(failure)
    // Its first bytes may show that the peer does not speak MPTCP after all.
    const before = this.protocol
    this.protocol = protocolOf(this.fd, before)
    this.turnedToTcp = before?.name === 'mptcp' && this.protocol.name === 'tcp'
    if (this.turnedToTcp && this.synDataAccepted) this.#establishAsTcp()
    else if (!this.#isUnwanted()) this.#established()
  }

  /** Waits until it is certain that the converter also treats the connection as TCP. */
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
   * Reads exactly `length` bytes, so that no byte of the application's stream is consumed.
   *
   * @param check looks at the bytes when there are fewer, and throws what is wrong with them
   */
  #receive(length: number, done: (bytes: Buffer) => void, check: (bytes: Uint8Array) => unknown = () => {}): void {
    this.#wait = reactor().awaitBytes(
      this.fd,
      length,
      (errno, bytes) => {
        if (bytes.length === length && errno === 0) return done(bytes)
        if (bytes.length < length) this.#decoded(bytes, check)
        if (!this.#isOpen()) return
        if (errno !== 0) this.#failed(errno)
        else this.#fail({ kind: 'closed' })
      },
      HELD,
    )
  }

  /** What `decode` returns. Malformed bytes fail the attempt. Only decoding is in the `try`: what follows may call the application. */
  #decoded<T>(bytes: Uint8Array, decode: (bytes: Uint8Array) => T): T | undefined {
    try {
      return decode(bytes)
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      this.#fail({ kind: 'malformed', error, received: bytes })
      return undefined
    }
  }

  /** @param errno positive */
  #failed(errno: number): void {
    const why = this.candidate.via && whyNoConverter(errno)
    this.#fail({ kind: 'system', error: failedConnect(errno, this.#reached, this.#plan, why) })
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
    const { steering } = this
    this.steering = undefined
    steering?.closing()
    if (this.fd >= 0) native().reset(this.fd)
    this.fd = -1
    steering?.closed()
  }
}

/** The first byte of struct tcp_info, tcpi_state. */
function tcpState(fd: number): number {
  return native().getsockoptInt(fd, SOL_TCP, TCP_INFO)! & 0xff
}

/** `undefined`: the peer is gone. */
function sendIfThere(fd: number, bytes: Uint8Array): number | undefined {
  try {
    return native().send(fd, bytes)
  } catch {
    return undefined
  }
}

const NOT_ANSWERED = 'SYNs with MPTCP were not answered: something on the path may drop them'
const LOOK_AGAIN_MS = 10 // bytes are acknowledged, or sent again, within some hundred milliseconds
/** The dial keeps the event loop alive, not its attempts. */
const HELD = { ref: false }
