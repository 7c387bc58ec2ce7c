/**
 * Connects a net.Socket our way. Node does its own part: it checks its options, makes its handle, sets `connecting` and
 * calls `lookup` for the destination's address. That `lookup` is ours: it resolves, dials, and opens the handle on the
 * resulting descriptor. From then on Node alone handles the stream.
 */
import dns from 'node:dns'
import { type BlockList, isIP, type LookupFunction, Socket, type TcpNetConnectOpts } from 'node:net'
import { constants } from 'node:os'
import type { TLSSocket } from 'node:tls'
import { systemError } from '../../errors.js'
import { callApplication, emitToApplication } from '../../input/application.js'
import type { Settings } from '../../input/options.js'
import { bypasses } from '../../policy/connect/bypass.js'
import {
  type Candidate,
  candidates,
  directCandidates,
  type Endpoint,
  interleave,
  type Prospect,
  type Reach,
} from '../../policy/connect/candidates.js'
import type { ConverterMemory } from '../../policy/connect/converter-memory.js'
import {
  beginAttempts,
  fdOf,
  forgetHost,
  markConnected,
  noteAttempt,
  openHandle,
  restartTimer,
  showPeer,
  showPlainAddresses,
} from '../kernel/node-socket.js'
import { protocolOf } from '../kernel/open-socket.js'
import { afterHearing, type HearingTimer } from './after-hearing.js'
import type { Attempt, AttemptPlan } from './attempt.js'
import { type BlockCheck, blockCheck, Dial, type DialEvents, type DialHistory, pathOf, serverPathOf } from './dial.js'
import { EarlyHello } from './early-hello.js'
import { hostReplaced, notFound, oneError, timedOut } from './errors.js'
import { type Place, pacing } from './pacing.js'
import { PendingBytes } from './pending-bytes.js'
import { converterOf, type MptcpReport } from './report.js'
import { resolveConverters } from './resolve.js'
import type { Route, Steerer } from './steerer.js'

type WriteDone = (error?: Error | null) => void
type LookupCallback = Parameters<LookupFunction>[2]
type Addresses = { address: string; family: number }[]

const LITERAL = Symbol('atsss.literal')
const IS_FOR_NODE = Symbol('atsss.isForNode')
/** For a name, Node calls `lookup`. (Not with a hexadecimal digit first: Node would look for an IPv6 address for longer.) */
const IN_PLACE_OF_A_LITERAL = 'literal.invalid'

/** A connection that is being made, and its report. */
export class Connecting {
  /** What differs from an empty report. It lives as long as the socket, so it is kept small. */
  readonly report: Partial<MptcpReport> = {}
  readonly pending = new PendingBytes()
  /** Whether Node has called our `lookup`, which it does in its `connect`. */
  isLookedUp = false
  readonly #socket: Socket
  readonly #options: TcpNetConnectOpts
  /** Of a destination that is an address literal, its family; 0: it is a name, or nothing that could be one. */
  readonly #literalFamily: number
  readonly #settings: Settings
  readonly #memory: ConverterMemory
  readonly #plan: AttemptPlan
  readonly #opened: () => void
  readonly #steerer: Steerer | undefined
  readonly #left: (() => void) | undefined
  readonly #established: () => void
  #dial: Dial | undefined
  /** The clock of `connectTimeout`. */
  #deadline: HearingTimer | undefined
  /** Among the connections that are being made through each of the converters. */
  readonly #places: Place[] = []
  /** See `Route`. */
  #since: Route['since']
  /** What has to come before a dial can begin, for the error when it does not come in time. */
  #awaited = () => ''
  #isBlocked: BlockCheck = () => undefined
  /** Whether there is more than one address. */
  #several = false
  #over = false
  #refed = true
  /** The client of TLS above the connection, and its ClientHello once that is known. */
  #secure: TLSSocket | undefined
  #hello: EarlyHello | undefined
  /** Whether the destination is known, and is ours to connect to. */
  #isResolved = false
  /** Set while the rest of the ClientHello leaves. */
  #finishing: Attempt | undefined
  #writes: { end: number; done: WriteDone }[] = []

  /**
   * @param opened called once the handle is open, to set on it what was set on the socket before
   * @param established called just before the listeners of `'connect'`
   * @param steerer chooses the interfaces, in place of the options
   * @param left called when the steerer leaves the connection to Node
   */
  constructor(
    socket: Socket,
    options: TcpNetConnectOpts,
    settings: Settings,
    memory: ConverterMemory,
    opened: () => void,
    established: () => void,
    steerer?: Steerer,
    left?: () => void,
  ) {
    this.#steerer = steerer
    this.#left = left
    this.#socket = socket
    this.#opened = opened
    this.#established = established
    this.#options = options
    this.#literalFamily = typeof options.host === 'string' ? isIP(options.host) : 0
    this.#settings = settings
    const attemptDelay = nodesAttemptDelay(options)
    if (attemptDelay !== undefined) this.#settings = { ...settings, attemptDelay }
    this.#memory = memory
    this.#plan = {
      mptcp: settings.mptcp,
      localAddress: options.localAddress || undefined,
      localPort: options.localPort || undefined,
      steered: steerer !== undefined,
      tuning: settings.tuning,
      ...(steerer?.lookup && { lookup: steerer.lookup }),
      ...(steerer?.translate && { translate: (address, device) => steerer.translate?.(address, device) }),
    }
  }

  /** What it leads to, as the application has named it. */
  get place(): { host: string; port: number } {
    const { host, port } = this.#options
    return { host: String(host || 'localhost'), port: Number(port) }
  }

  /** The options for Node's own `connect`. */
  get nodeOptions(): TcpNetConnectOpts {
    if (this.#literalFamily !== 0) {
      const wasConnecting = this.#socket.connecting
      const isForNode = () => !this.isLookedUp && (wasConnecting || this.#socket.connecting)
      return new LiteralOptions(this.#options, this.#literalFamily, this.#lookup, isForNode)
    }
    const { lookup } = this.#options
    // Node refuses one that is not a function.
    return lookup == null || typeof lookup === 'function' ? { ...this.#options, lookup: this.#lookup } : this.#options
  }

  /** Leaves the connection to Node, which does not ask for addresses: other code has replaced the host by a literal. */
  leaveWithReason(): void {
    if (this.#left) this.#leave()
    else this.#socket.destroy(hostReplaced(this.#options.host || 'localhost'))
  }

  /** Takes bytes that may leave before `'connect'`, and calls `done` once they have left. False: they have to wait. */
  write(bytes: Uint8Array, done: WriteDone): boolean {
    const { converters, earlyData } = this.#settings
    if (this.#over || !(earlyData || converters.some(spec => spec.pipelining))) return false
    if (converters.length === 0 || !this.pending.push(bytes)) return false
    this.#writes.push({ end: this.pending.length, done })
    this.#dial?.flush()
    return true
  }

  /** TLS is to be spoken over the connection: its ClientHello may leave before `'connect'`. */
  secure(secure: TLSSocket): void {
    this.#secure = secure
    // Not at once: in this turn the caller may still change what the ClientHello says.
    if (this.#isResolved) process.nextTick(() => this.#prepareHello())
  }

  /** The client of TLS whose ClientHello was written to the socket's handle, which has counted it; undefined if there is none. */
  get secureSocket(): TLSSocket | undefined {
    return this.#hello && this.#secure
  }

  #prepareHello(): void {
    if (this.#over || this.#hello || !this.#secure || this.pending.length > 0) return
    this.#hello = EarlyHello.begin(this.#secure, this.#socket)
    if (!this.#hello || this.#over) return
    this.pending.setHello(this.#hello.bytes)
    this.#dial?.flush()
  }

  keepAlive(on: boolean): void {
    this.#refed = on
    this.#dial?.keepAlive(on)
  }

  cancel(): void {
    this.#end()
    this.#dial?.cancel()
    this.#finishing?.abandon()
  }

  /** @param isAnswered by a converter */
  #end(isAnswered = false): void {
    this.#over = true
    this.#deadline?.cancel()
    for (const place of this.#places.splice(0)) place.leave(isAnswered)
  }

  /** Hands Node the bytes that `write` took and that have not left yet. */
  #writeRest(): void {
    const waiting = this.#writes.splice(0)
    if (this.#hello) return this.pending.clear()
    const bytes = this.pending.from(this.report.pipelinedBytes ?? 0)
    this.pending.clear()
    const done: WriteDone = error => {
      for (const { done } of waiting) callApplication(done, error)
    }
    if (bytes.length > 0) Socket.prototype._write.call(this.#socket, bytes, 'buffer' as BufferEncoding, done)
    else done()
  }

  /** Leaves the connection to Node. */
  #leave(): void {
    this.#end()
    this.#left?.()
    this.#writeRest()
  }

  readonly #lookup = ((host: string, options: object, done: LookupCallback) => {
    this.isLookedUp = true
    const family = this.#literalFamily
    if (family !== 0) {
      forgetHost(this.#socket)
      const address = this.#options.host!
      const start = () => this.#resolved([{ address, family }])
      // What the application writes in this turn may go into the SYN.
      if (this.#settings.earlyData) setImmediate(start)
      else process.nextTick(start)
    } else {
      this.#awaited = () => `address for ${host}`
      // As with net.connect, connect() throws what `lookup` throws.
      this.#lookUp(host, options, done)
    }
    this.#limitTime()
  }) as LookupFunction

  #lookUp(host: string, options: object, done: LookupCallback): void {
    const lookup = this.#options.lookup ?? this.#steerer?.lookup ?? (dns.lookup as unknown as LookupFunction)
    let answered = false
    lookup(host, options, (error, found: unknown, familyFound) => {
      if (answered) return
      answered = true
      const all = (Array.isArray(found) ? found : [{ address: found, family: familyFound }]) as Addresses
      const addresses = usable(all)
      // Node reports a failed or senseless answer; an empty one would crash it.
      if (error || (addresses.length === 0 && all.length > 0)) return done(error, found as string, familyFound)
      if (all.length === 0) return done(notFound(host), '')
      if (!this.#over && this.#steerer?.leaves?.(addresses)) {
        this.#leave()
        return done(null, found as string, familyFound)
      }
      for (const each of all)
        if (!this.#over) emitToApplication(this.#socket, 'lookup', null, each?.address, each?.family, host)
      if (addresses.length > 1 && (options as { all?: boolean }).all) beginAttempts(this.#socket)
      this.#resolved(addresses)
    })
  }

  /** Starts the clock of `connectTimeout`. */
  #limitTime(): void {
    const { connectTimeout } = this.#settings
    if (this.#over || connectTimeout === 0) return
    const expire = () => {
      const late = (at?: Endpoint) => timedOut(connectTimeout, this.#awaited(), at)
      if (this.#dial) this.#dial.expire(latest => late(latest?.via?.endpoint ?? latest?.destination))
      else this.#socket.destroy(late())
    }
    this.#deadline = afterHearing(connectTimeout, () => this.#dial?.hasArrived === true, expire)
  }

  #resolved(addresses: Addresses): void {
    if (this.#over) return
    this.#isResolved = true
    if (this.#settings.earlyData) this.#prepareHello()
    if (!this.#over) this.#begin(addresses)
    // It takes a millisecond or more to make one: a SYN that is under way need not have waited for it.
    this.#prepareHello()
  }

  #begin(addresses: Addresses): void {
    const port = Number(this.#options.port)
    const { blockList = (this.#socket as { blockList?: BlockList }).blockList } = this.#options as {
      blockList?: BlockList
    }
    this.#isBlocked = blockCheck(blockList)
    const destinations = interleave(addresses.map(({ address, family }) => ({ address, family, port }) as Endpoint))
    this.#several = destinations.length > 1
    const allowed = destinations.filter(destination => !this.#isBlocked(destination))
    if (this.#over) return
    // The dial reports why.
    if (allowed.length === 0) return this.#start(directCandidates(reachedOver([undefined], destinations)), [], 0)
    if (!this.#steerer?.route) return this.#resolveWays(reachedOver([this.#settings.interface], destinations))
    const { host = 'localhost' } = this.#options
    this.#awaited = () => 'choice of an access by the session'
    const route = this.#steerer.route({ host, addresses: allowed.map(found => found.address), port })
    // One that is blocked is tried all the same, and fails then.
    const routed = ({ interfaces, plain, since, tuning }: Route) => {
      this.#since = since
      const reach = (to: Endpoint): Reach => {
        const index = Math.max(0, allowed.indexOf(to))
        return { to, interfaces: interfaces[index] ?? [], plain: plain[index], tuning: tuning?.[index] }
      }
      this.#resolveWays(destinations.map(reach))
    }
    // In a tick: what follows may call the application, which must not be in a promise of ours.
    route.then(
      found => process.nextTick(routed, found),
      error => process.nextTick(() => this.#socket.destroy(error as Error)),
    )
  }

  #resolveWays(all: Reach[]): void {
    if (this.#over) return
    const { converters, fallback } = this.#settings
    const destinations = all.filter(({ plain }) => plain === undefined)
    const prospectOf = this.#prospectOf
    if (converters.length === 0 || destinations.length === 0)
      return this.#start(directCandidates(all, prospectOf), [], 0)
    const plain = directCandidates(
      all.filter(reach => reach.plain !== undefined),
      prospectOf,
    )
    const direct = fallback === 'direct' ? directCandidates(destinations, prospectOf) : []
    const known = this.#settings.bypass === 'learned' ? bypasses(destinations, this.#isKnown) : []
    const [{ interfaces: ofFirst }, ...others] = destinations as [Reach, ...Reach[]]
    const interfaces = others.length === 0 ? ofFirst : [...new Set(destinations.flatMap(reach => reach.interfaces))]
    this.#awaited = () => `address for the converter ${converters.map(({ name }) => name).join(' or ')}`
    this.#start([...plain, ...known], direct, converters.length)
    resolveConverters(this.#settings, this.#plan, this.#memory, interfaces, prospectOf, ({ waysIn, errors }) => {
      if (this.#over) return
      const add = () => this.#dial?.add(candidates(waysIn, destinations), errors)
      const [first] = waysIn
      if (first) this.#places.push(pacing.enter(first.via.name, add))
      else add()
    })
  }

  /** Whether the server is known to speak MPTCP, over this interface. */
  readonly #isKnown = (to: Endpoint, device: string | undefined): boolean =>
    this.#memory.servers.has(serverPathOf(to, device, this.#plan), performance.now())

  readonly #prospectOf = (to: Endpoint, device: string | undefined): Prospect => {
    if (device !== undefined && this.#steerer?.mayHaveAddress?.(device, to.family) === false) {
      const isTranslated = to.family === 4 && this.#plan.translate?.(to.address, device) !== undefined
      if (!isTranslated) return 'none'
    }
    const since = device === undefined ? undefined : this.#since?.get(device)
    const trouble = this.#memory.trouble(pathOf(to, device, this.#plan), performance.now(), since)
    return trouble === undefined ? 'good' : 'poor'
  }

  #start(ways: Candidate[], fallback: Candidate[], coming: number): void {
    try {
      this.#dial = new Dial(
        {
          candidates: ways,
          fallback,
          coming,
          settings: this.#settings,
          plan: this.#plan,
          pending: this.pending,
          memory: this.#memory,
          isBlocked: this.#isBlocked,
        },
        this.#events,
      )
    } catch (error) {
      this.#socket.destroy(error as Error) // no addon for this system
      return
    }
    this.#dial.keepAlive(this.#refed)
    this.#dial.start()
  }

  readonly #events: DialEvents = {
    attempting: ({ destination: { address, port, family } }) => {
      restartTimer(this.#socket)
      noteAttempt(this.#socket, address, port)
      emitToApplication(this.#socket, 'connectionAttempt', address, port, family)
    },
    attemptFailed: ({ destination: { address, port, family } }, error) => {
      // For a single address that is blocked, Node makes no attempt that could fail.
      if (!this.#several && (error as NodeJS.ErrnoException).code === 'ERR_IP_BLOCKED') return
      if (!this.#over) emitToApplication(this.#socket, 'connectionAttemptFailed', address, port, family, error)
    },
    // Node gives up an attempt when it starts the next one; ours continues at the same time.
    overtaken: ({ destination: { address, port, family } }) => {
      emitToApplication(this.#socket, 'connectionAttemptTimeout', address, port, family)
    },
    sent: bytes => {
      const gone = this.#writes.filter(write => write.end <= bytes)
      this.#writes = this.#writes.filter(write => write.end > bytes)
      for (const { done } of gone) callApplication(done)
    },
    overdue: attempt => {
      const steerer = this.#steerer
      if (attempt.steering || !steerer?.opened || attempt.protocol?.name !== 'mptcp') return
      attempt.steering = { closing: () => steerer.closing?.(), closed: () => steerer.closed?.() }
      steerer.opened(attempt.fd, attempt.candidate, attempt.isDual)
    },
    failed: (errors, { attempts, lessons, refused }) => {
      this.#end(refused !== undefined)
      const { via } = refused?.candidate ?? {}
      Object.assign(this.report, {
        attempts,
        lessons,
        ...(via && { ...converterOf(via), synDataAccepted: refused!.synDataAccepted }),
      } satisfies Partial<MptcpReport>)
      this.#socket.destroy(oneError(errors, this.#settings.converters.length > 0))
    },
    connected: (attempt, history) => this.#connected(attempt, history),
  }

  #connected(attempt: Attempt, history: DialHistory): void {
    this.#end(attempt.candidate.via !== undefined)
    const { converterError, attempts, lessons } = history
    const { name, why } = attempt.protocol!
    const { via, interface: device, bypass } = attempt.candidate
    const { report } = this
    report.protocol = name
    report.attempts = attempts
    if (device !== undefined) report.interface = device
    if (bypass) report.bypass = bypass
    if (why) report.fallback = why
    if (converterError) report.converterError = converterError
    if (lessons.length > 0) report.lessons = lessons
    if (via) {
      Object.assign(report, converterOf(via))
      report.synDataAccepted = attempt.synDataAccepted
      report.earlyBytes = attempt.synDataAccepted ? attempt.early : 0
      report.pipelinedBytes = attempt.sent
      if (attempt.answer.length > 0) report.answer = attempt.answer
    }
    if (!this.#hello) return this.#open(attempt)
    this.#finishing = attempt
    attempt.sendRest(() => {
      this.#finishing = undefined
      this.#open(attempt)
    })
  }

  #open(attempt: Attempt): void {
    const socket = this.#socket
    const hello = this.#hello
    const isSteered = attempt.steering !== undefined
    const { isTranslated } = attempt
    const status = hello
      ? attempt.handOver(fd => hello.replace(fd), true)
      : attempt.handOver(fd => openHandle(socket, fd) ?? -constants.errno.EBADF)
    if (status < 0) {
      socket.destroy(systemError(-status, hello ? 'dup3' : 'open'))
      return
    }
    markConnected(socket)
    if (!isSteered) this.#steerer?.opened?.(fdOf(socket)!, attempt.candidate, attempt.isDual)
    if (attempt.isDual) showPlainAddresses(socket)
    if (attempt.candidate.via || isTranslated) showPeer(socket, attempt.candidate.destination)
    restartTimer(socket)
    this.#opened()
    this.#writeRest()
    if (socket.destroyed) return // by the callback of a write, or a listener of the session
    this.#established()
    if (socket.destroyed) return // by a subscriber of a diagnostics channel
    // As Node does after its own connect: an exception in a listener ends it.
    if (!emitToApplication(socket, 'connect') || !emitToApplication(socket, 'ready')) return
    if (!socket.isPaused()) socket.read(0)
  }
}

/**
 * The options for Node's own `connect` to an address literal. Node would call no `lookup` for it. So Node, and only Node, reads a name in
 * its place: it reads `host` once, when the socket is connecting. Instrumentation that wraps net.Socket.prototype.connect reads what the
 * application gave. A copy of the options that such code passes on has no host, since a copy has no accessors; Node then calls `lookup`, too.
 *
 * The accessor is on the prototype: with one on each object, V8 would share nothing between them.
 */
class LiteralOptions {
  // Not private: options that inherit from these have them, too.
  readonly [LITERAL]: string
  readonly [IS_FOR_NODE]: () => boolean
  readonly port: number
  /** Node need not look for several. */
  readonly family: number
  readonly lookup: LookupFunction

  constructor(options: TcpNetConnectOpts, family: number, lookup: LookupFunction, isForNode: () => boolean) {
    Object.assign(this, options)
    this[LITERAL] = options.host!
    this[IS_FOR_NODE] = isForNode
    this.port = options.port
    this.family = family
    this.lookup = lookup
  }

  get host(): string {
    return this[IS_FOR_NODE]() ? IN_PLACE_OF_A_LITERAL : this[LITERAL]
  }

  set host(_: string) {} // for Object.assign
}

/** The protocol of the socket's connection at this moment. */
export function protocolNow(socket: Socket, report: Readonly<MptcpReport>): Pick<MptcpReport, 'protocol' | 'fallback'> {
  const fd = fdOf(socket)
  if (report.protocol !== 'mptcp' || socket.connecting || socket.destroyed || fd === undefined)
    return { protocol: report.protocol, fallback: report.fallback }
  const { name, why } = protocolOf(fd, { name: 'mptcp' })
  return { protocol: name, fallback: why }
}

/** Node's name for `attemptDelay`, where that is not given to the same `connect()`. Like Node, we take 10 for less than 10 ms. */
function nodesAttemptDelay(options: TcpNetConnectOpts & { attemptDelay?: number }): number | undefined {
  const { autoSelectFamilyAttemptTimeout: nodes, attemptDelay } = options
  // Node refuses what is not a number.
  return typeof nodes === 'number' && attemptDelay === undefined ? Math.max(nodes, 10) : undefined
}

function reachedOver(interfaces: Reach['interfaces'], destinations: readonly Endpoint[]): Reach[] {
  return destinations.map(to => ({ to, interfaces }))
}

/** The addresses in a lookup's answer, each once. */
function usable(found: Addresses): Addresses {
  const addresses = found.filter(each => isIP(each?.address) !== 0 && (each.family === 4 || each.family === 6))
  return addresses.filter(({ address }, index) => addresses.findIndex(other => other.address === address) === index)
}
