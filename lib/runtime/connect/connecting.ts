/**
 * Connects a net.Socket our way. Node keeps its own part: it checks its options, makes its handle, sets `connecting`
 * and asks for the destination's address; there, in place of its lookup, we resolve, dial, and open the handle on the
 * descriptor that results. From then on the stream is Node's alone.
 */
import dns from 'node:dns'
import { type BlockList, isIP, type LookupFunction, Socket, type TcpNetConnectOpts } from 'node:net'
import { constants } from 'node:os'
import { systemError } from '../../errors.js'
import type { Settings } from '../../input/options.js'
import {
  type Candidate,
  candidates,
  directCandidates,
  type Endpoint,
  interleave,
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
} from '../kernel/node-socket.js'
import { protocolOf, type SocketPlan } from '../kernel/open-socket.js'
import type { Attempt } from './attempt.js'
import { type Refusal, refusalBy } from './block-list.js'
import { Dial, type DialEvents, type DialHistory } from './dial.js'
import { notFound, oneError } from './errors.js'
import { PendingBytes } from './pending-bytes.js'
import { converterOf, type MptcpReport } from './report.js'
import { resolveConverters } from './resolve.js'
import type { Steerer } from './steerer.js'

type WriteDone = (error?: Error | null) => void
type LookupCallback = Parameters<LookupFunction>[2]
type Addresses = { address: string; family: number }[]

/** Node does not look up what is an address: under this name it asks. */
const IN_PLACE_OF_A_LITERAL = 'address.invalid'

/** A connection in the making, and what it has become. */
export class Connecting {
  /** What differs from an empty report. It stays for as long as the socket, so it is kept small. */
  readonly report: Partial<MptcpReport> = {}
  readonly pending = new PendingBytes()
  readonly #socket: Socket
  readonly #options: TcpNetConnectOpts
  readonly #settings: Settings
  readonly #memory: ConverterMemory
  readonly #plan: SocketPlan
  readonly #opened: () => void
  readonly #steerer: Steerer | undefined
  readonly #left: (() => void) | undefined
  #dial: Dial | undefined
  #refusal: Refusal = () => undefined
  /** Whether there is more than one address. */
  #several = false
  #over = false
  #refed = true
  #writes: { end: number; done: WriteDone }[] = []

  /**
   * @param opened called once the handle is open: what was set on the socket is to be set on it now
   * @param steerer chooses the interfaces, instead of the options
   * @param left called when the steerer leaves the connection to Node
   */
  constructor(
    socket: Socket,
    options: TcpNetConnectOpts,
    settings: Settings,
    memory: ConverterMemory,
    opened: () => void,
    steerer?: Steerer,
    left?: () => void,
  ) {
    this.#steerer = steerer
    this.#left = left
    this.#socket = socket
    this.#opened = opened
    this.#options = options
    this.#settings = settings
    const attemptDelay = nodesAttemptDelay(options)
    if (attemptDelay !== undefined) this.#settings = { ...settings, attemptDelay }
    this.#memory = memory
    this.#plan = {
      mptcp: settings.mptcp,
      localAddress: options.localAddress || undefined,
      localPort: options.localPort || undefined,
      steered: steerer !== undefined,
    }
  }

  /** What to call Node's own `connect` with. */
  get nodeOptions(): TcpNetConnectOpts {
    const host = this.#options.host || 'localhost'
    if (typeof host === 'string' && isIP(host))
      return { ...this.#options, host: IN_PLACE_OF_A_LITERAL, lookup: this.#lookup }
    const { lookup } = this.#options
    // One that is no function is for Node to complain of.
    return lookup == null || typeof lookup === 'function' ? { ...this.#options, lookup: this.#lookup } : this.#options
  }

  /** Takes bytes that may leave before `'connect'`; `done` follows when they have. False: they have to wait. */
  write(bytes: Uint8Array, done: WriteDone): boolean {
    const { converters, earlyData } = this.#settings
    if (this.#over || !(earlyData || converters.some(spec => spec.pipelining))) return false
    if (converters.length === 0 || !this.pending.push(bytes)) return false
    this.#writes.push({ end: this.pending.length, done })
    this.#dial?.flush()
    return true
  }

  keepAlive(on: boolean): void {
    this.#refed = on
    this.#dial?.keepAlive(on)
  }

  cancel(): void {
    this.#over = true
    this.#dial?.cancel()
  }

  /** Hands Node the bytes taken by `write` that have not left with the connection. */
  #writeRest(): void {
    const waiting = this.#writes.splice(0)
    const bytes = this.pending.from(this.report.pipelinedBytes ?? 0)
    this.pending.clear()
    const done: WriteDone = error => {
      for (const { done } of waiting) done(error)
    }
    if (bytes.length > 0) Socket.prototype._write.call(this.#socket, bytes, 'buffer' as BufferEncoding, done)
    else done()
  }

  /** The connection is Node's to make, as if we had not been asked. */
  #leave(): void {
    this.#over = true
    this.#left?.()
    this.#writeRest()
  }

  readonly #lookup = ((host: string, options: object, done: LookupCallback) => {
    const wanted = this.#options.host || 'localhost'
    const family = typeof wanted === 'string' ? isIP(wanted) : 0 // what is no text, the look-up refuses
    if (family !== 0) {
      forgetHost(this.#socket)
      const start = () => this.#resolved([{ address: wanted, family }])
      // What the application writes in this turn shall find its place in the SYN.
      if (this.#settings.earlyData) setImmediate(start)
      else process.nextTick(start)
      return
    }
    const lookup = this.#options.lookup ?? (dns.lookup as unknown as LookupFunction)
    lookup(host, options, (error, found: unknown, familyFound) => {
      const all = (Array.isArray(found) ? found : [{ address: found, family: familyFound }]) as Addresses
      const addresses = usable(all)
      // A failed or senseless answer is for Node to complain of; an empty one would crash it.
      if (error || (addresses.length === 0 && all.length > 0)) return done(error, found as string, familyFound)
      if (all.length === 0) return done(notFound(host), '')
      if (!this.#over && this.#steerer?.leaves?.(addresses)) {
        this.#leave()
        return done(null, found as string, familyFound)
      }
      for (const each of all) if (!this.#over) this.#socket.emit('lookup', null, each?.address, each?.family, host)
      if (addresses.length > 1 && (options as { all?: boolean }).all) beginAttempts(this.#socket)
      this.#resolved(addresses)
    })
  }) as LookupFunction

  #resolved(addresses: Addresses): void {
    if (this.#over) return
    const port = Number(this.#options.port)
    const { blockList = (this.#socket as { blockList?: BlockList }).blockList } = this.#options as {
      blockList?: BlockList
    }
    this.#refusal = refusalBy(blockList)
    const destinations = interleave(addresses.map(found => ({ ...found, port }) as Endpoint))
    this.#several = destinations.length > 1
    const allowed = destinations.filter(destination => !this.#refusal(destination))
    if (allowed.length === 0) return this.#start(directCandidates(reachedOver([undefined], destinations)), [], 0) // and hears why
    if (!this.#steerer?.route) return this.#resolveWays(reachedOver([this.#settings.interface], destinations))
    const { host = 'localhost' } = this.#options
    this.#steerer.route({ host, addresses: allowed.map(found => found.address), port }).then(
      // One that is blocked has its turn all the same, and fails then.
      ({ interfaces }) =>
        this.#resolveWays(
          destinations.map(to => ({ to, interfaces: interfaces[Math.max(0, allowed.indexOf(to))] ?? [] })),
        ),
      (error: Error) => this.#socket.destroy(error),
    )
  }

  #resolveWays(destinations: Reach[]): void {
    if (this.#over) return
    const direct = directCandidates(destinations)
    const interfaces = [...new Set(destinations.flatMap(reach => reach.interfaces))]
    const { converters, fallback } = this.#settings
    if (converters.length === 0) return this.#start(direct, [], 0)
    this.#start([], fallback === 'direct' ? direct : [], converters.length)
    for (const resolving of resolveConverters(this.#settings, this.#plan, this.#memory, interfaces))
      void resolving.then(({ waysIn, errors }) => this.#dial?.add(candidates(waysIn, destinations), errors))
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
          refusal: this.#refusal,
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
      this.#socket.emit('connectionAttempt', address, port, family)
    },
    attemptFailed: ({ destination: { address, port, family } }, error) => {
      // Of a single address that is blocked Node makes no attempt that might fail.
      if (!this.#several && (error as NodeJS.ErrnoException).code === 'ERR_IP_BLOCKED') return
      if (!this.#over) this.#socket.emit('connectionAttemptFailed', address, port, family, error)
    },
    // Node gives an attempt up when it begins the next one; ours goes on beside it.
    overtaken: ({ destination: { address, port, family } }) => {
      this.#socket.emit('connectionAttemptTimeout', address, port, family)
    },
    sent: bytes => {
      const gone = this.#writes.filter(write => write.end <= bytes)
      this.#writes = this.#writes.filter(write => write.end > bytes)
      for (const { done } of gone) done()
    },
    failed: (errors, { attempts, lessons }) => {
      this.#over = true
      Object.assign(this.report, { attempts, lessons } satisfies Partial<MptcpReport>)
      this.#socket.destroy(oneError(errors, this.#settings.converters.length > 0))
    },
    connected: (attempt, history) => this.#connected(attempt, history),
  }

  #connected(attempt: Attempt, history: DialHistory): void {
    this.#over = true
    const socket = this.#socket
    const { converterError, attempts, lessons } = history
    const { name, why } = attempt.protocol!
    const { via, interface: device } = attempt.candidate
    Object.assign(this.report, {
      protocol: name,
      attempts,
      ...(device !== undefined && { interface: device }),
      ...(why && { fallback: why }),
      ...(converterError && { converterError }),
      ...(lessons.length > 0 && { lessons }),
      ...(via && {
        ...converterOf(via),
        synDataAccepted: attempt.synDataAccepted,
        earlyBytes: attempt.synDataAccepted ? attempt.early : 0,
        pipelinedBytes: attempt.sent,
        answer: attempt.answer,
      }),
    } satisfies Partial<MptcpReport>)
    const status = attempt.handOver(fd => openHandle(socket, fd) ?? -constants.errno.EBADF)
    if (status < 0) {
      socket.destroy(systemError(-status, 'open'))
      return
    }
    markConnected(socket)
    this.#steerer?.opened?.(fdOf(socket)!, attempt.candidate)
    if (attempt.candidate.via) showPeer(socket, attempt.candidate.destination)
    restartTimer(socket)
    this.#opened()
    // And what Node does after a connect of its own.
    this.#writeRest()
    socket.emit('connect')
    socket.emit('ready')
    if (!socket.isPaused()) socket.read(0)
  }
}

/** What the socket's connection speaks at this moment. */
export function protocolNow(socket: Socket, report: Readonly<MptcpReport>): Pick<MptcpReport, 'protocol' | 'fallback'> {
  const fd = fdOf(socket)
  if (report.protocol !== 'mptcp' || socket.connecting || socket.destroyed || fd === undefined)
    return { protocol: report.protocol, fallback: report.fallback }
  const { name, why } = protocolOf(fd, { name: 'mptcp' })
  return { protocol: name, fallback: why }
}

/** Node's name for `attemptDelay`, which is the one that counts where both are given to one `connect()`; below 10 ms Node takes 10. */
function nodesAttemptDelay(options: TcpNetConnectOpts & { attemptDelay?: number }): number | undefined {
  const { autoSelectFamilyAttemptTimeout: nodes, attemptDelay } = options
  // What is no number Node complains of.
  return typeof nodes === 'number' && attemptDelay === undefined ? Math.max(nodes, 10) : undefined
}

function reachedOver(interfaces: Reach['interfaces'], destinations: readonly Endpoint[]): Reach[] {
  return destinations.map(to => ({ to, interfaces }))
}

/** The addresses among what a lookup has found, each once. */
function usable(found: Addresses): Addresses {
  const addresses = found.filter(each => isIP(each?.address) !== 0 && (each.family === 4 || each.family === 6))
  return addresses.filter(({ address }, index) => addresses.findIndex(other => other.address === address) === index)
}
