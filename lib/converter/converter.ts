/** The reference Transport Converter of RFC 8803, in user space: listeners, sessions, counters. */
import { type AddressInfo, isIPv4 } from 'node:net'
import { EventEmitter } from 'eventemitter3'
import { emitToApplication } from '../input/application.js'
import { isSupported } from '../runtime/kernel/support.js'
import type { ConvertErrorValue } from '../wire/convert/error.js'
import { Incoming, type IncomingStats } from './incoming/incoming.js'
import type { IncomingInfo } from './incoming/session.js'
import type { ConverterOptions } from './options/options.js'
import { resolveOptions, type Settings } from './options/settings.js'
import { type Degraded, type ListenerInfo, noMptcp, openListener } from './outgoing/listener.js'
import { Outgoing, type OutgoingStats } from './outgoing/outgoing.js'
import { ownPlace } from './outgoing/own-place.js'
import type { ConnectionInfo, Ignored } from './outgoing/transport-session.js'
import type { Mapping, Place } from './pcp/mapping.js'
import { Clients, SWEEP_INTERVAL } from './relay/clients.js'
import { errorOf, REPORTED_NAMES, type WorkerEvent } from './workers/messages.js'
import { type WorkerInfo, type WorkerStats, Workers } from './workers/workers.js'

export interface ConverterEvents {
  /** Listening; with `pcp`, also for requests for mappings. */
  listening: (listeners: ListenerInfo[], pcp: Place[]) => void
  /** The machine lacks something, and the converter works without it. Follows `listening`. */
  degraded: (what: Degraded) => void
  /** Accepted; nothing has been read yet. */
  connection: (info: ConnectionInfo) => void
  /** The server has accepted, and the client has been answered. */
  established: (info: ConnectionInfo) => void
  /** The client has been sent an Error TLV. */
  refused: (info: ConnectionInfo, error: ConvertErrorValue) => void
  /** Ended without an answer, before the server was connected: not Convert, too late, or ended by the client. */
  'client-error': (info: ConnectionInfo, why: Ignored) => void
  /** Both connections are over. `info` does not change after this. */
  closed: (info: ConnectionInfo) => void
  /** A client is reachable from outside, at another address since a restart, or no longer. */
  mapping: (mapping: Mapping, change: 'made' | 'moved' | 'ended') => void
  /** A remote host's connection to a client: the client has confirmed it. */
  incoming: (info: IncomingInfo) => void
  /** That connection is over; with `failure`, nothing was relayed. */
  'incoming-closed': (info: IncomingInfo) => void
  /** A connection could not be accepted, usually for lack of descriptors. */
  'accept-error': (error: Error) => void
  /**
   * With `workers`: a worker process serves connections, or has ended before it should and is started again. Its connections are
   * reset, without `closed`.
   */
  worker: (info: WorkerInfo, change: 'started' | 'ended') => void
}

/**
 * Counted since the start, except `connections` and `pending`, which are of now. With `workers` all of it is as of the workers' last
 * reports, at most a second ago.
 */
export interface ConverterStats extends OutgoingStats {
  /** With `pcp`: mappings, and connections of remote hosts. */
  incoming?: IncomingStats
  /** With `workers`: of each process. */
  workers?: WorkerStats[]
}

type EventName = EventEmitter.EventNames<ConverterEvents>
type EventListener<E extends EventName> = EventEmitter.EventListener<ConverterEvents, E>

export function createConverter(options: ConverterOptions = {}): Converter {
  return new Converter(options)
}

export class Converter extends EventEmitter<ConverterEvents> {
  readonly #settings: Settings
  readonly #clients: Clients
  /** In this process; without connections if there are workers. */
  readonly #outgoing: Outgoing
  readonly #workers: Workers | undefined
  #isListening = false
  #listening: ListenerInfo[] = []
  /** What workers report before `listening` has been emitted; `undefined`: it has. */
  #early: WorkerEvent[] | undefined
  #incoming: Incoming | undefined
  #sweep: NodeJS.Timeout | undefined

  /** Throws `ERR_ATSSS_OPTION`. */
  constructor(options: ConverterOptions) {
    super()
    this.#settings = resolveOptions(options)
    this.#clients = new Clients(this.#settings)
    this.#outgoing = new Outgoing(this.#settings, {
      connection: info => this.#report('connection', info),
      established: info => this.#report('established', info),
      refused: (info, error) => this.#report('refused', info, error),
      ignored: (info, why) => this.#report('client-error', info, why),
      closed: info => this.#report('closed', info),
      notAccepted: error => this.#report('accept-error', error),
    })
    if (this.#settings.workers > 1)
      this.#workers = new Workers(this.#settings, options, this.#clients, {
        reported: event => this.#reportOfWorker(event),
        started: info => this.#report('worker', info, 'started'),
        ended: info => this.#report('worker', info, 'ended'),
        notListening: error => this.#report('accept-error', error),
      })
  }

  /**
   * Listens on all addresses; or on none, and rejects with a system error (EADDRINUSE, EACCES, EADDRNOTAVAIL, …). With `workers`,
   * also with ERR_ATSSS_ADDON, ERR_ATSSS_BUNDLED or ERR_CONVERTER_WORKER.
   */
  async listen(): Promise<AddressInfo[]> {
    if (this.#isListening)
      throw Object.assign(new Error('The converter is listening already'), { code: 'ERR_SERVER_ALREADY_LISTEN' })
    this.#isListening = true
    this.#early = []
    const lacking = new Map<string, Degraded>()
    let isOpen = false
    const degraded = (what: Degraded) => (isOpen ? this.#report('degraded', what) : lacking.set(what.message, what))
    const serverProtocol = isSupported().supported ? this.#settings.serverProtocol : 'tcp'
    if (serverProtocol !== this.#settings.serverProtocol) degraded(noMptcp('connecting to servers'))
    let pcp: Place[] = []
    try {
      this.#listening = this.#workers
        ? await this.#workers.open(serverProtocol, degraded)
        : await this.#listenHere(serverProtocol, degraded)
      if (this.#settings.pcp) pcp = await this.#openIncoming(degraded)
    } catch (error) {
      await this.close()
      throw error
    }
    this.#sweep = setInterval(() => {
      this.#clients.sweep(this.#settings.now())
      this.#incoming?.sweep(this.#settings.now())
    }, SWEEP_INTERVAL).unref()
    isOpen = true
    this.#report('listening', this.listening, pcp)
    for (const what of lacking.values()) this.#report('degraded', what)
    for (const info of this.#workers?.running ?? []) this.#report('worker', info, 'started')
    const early = this.#early
    this.#early = undefined
    for (const event of early) this.#reportOfWorker(event)
    return this.#listening.map(({ address, port }) => ({ address, port, family: isIPv4(address) ? 'IPv4' : 'IPv6' }))
  }

  /** Where and how it listens now. */
  get listening(): ListenerInfo[] {
    return this.#listening.map(info => ({ ...info }))
  }

  /** The clients that are reachable from outside now. */
  get mappings(): readonly Mapping[] {
    return this.#incoming?.mappings ?? []
  }

  stats(): ConverterStats {
    const ofWorkers = this.#workers?.stats()
    return {
      ...(ofWorkers?.sum ?? this.#outgoing.stats()),
      ...(this.#incoming && { incoming: this.#incoming.stats() }),
      ...(ofWorkers && { workers: ofWorkers.workers }),
    }
  }

  /** Stops listening, and resets what is still open after `grace` milliseconds. Resolves when everything is closed. */
  async close({ grace = 0 }: { grace?: number } = {}): Promise<void> {
    clearInterval(this.#sweep)
    this.#listening = []
    const closed = [this.#outgoing.close(), this.#workers?.close(grace)]
    const abort = () => {
      this.#outgoing.abort()
      this.#incoming?.abort()
    }
    const deadline = grace > 0 ? setTimeout(abort, grace) : abort()
    await Promise.all([...closed, this.#incoming?.close()])
    if (deadline) clearTimeout(deadline)
    this.#isListening = false
  }

  override on<E extends EventName>(event: E, listener: EventListener<E>, context?: unknown): this {
    super.on(event, listener, context)
    this.#chooseReported()
    return this
  }

  override once<E extends EventName>(event: E, listener: EventListener<E>, context?: unknown): this {
    super.once(event, listener, context)
    this.#chooseReported()
    return this
  }

  override addListener<E extends EventName>(event: E, listener: EventListener<E>, context?: unknown): this {
    return this.on(event, listener, context)
  }

  #openIncoming(degraded: (what: Degraded) => void): Promise<Place[]> {
    this.#incoming = new Incoming(this.#settings, this.#clients, isSupported().supported ? 'mptcp' : 'tcp', {
      made: mapping => this.#report('mapping', mapping, 'made'),
      moved: mapping => this.#report('mapping', mapping, 'moved'),
      ended: mapping => this.#report('mapping', mapping, 'ended'),
      established: info => this.#report('incoming', info),
      closed: info => this.#report('incoming-closed', info),
      degraded,
      notAccepted: error => this.#report('accept-error', error),
    })
    return this.#incoming.open()
  }

  async #listenHere(serverProtocol: 'tcp' | 'mptcp', degraded: (what: Degraded) => void): Promise<ListenerInfo[]> {
    const listening: ListenerInfo[] = []
    const place = ownPlace(this.#settings, () => listening)
    this.#outgoing.begin({ clients: this.#clients, place, serverProtocol, worker: undefined })
    for (const where of this.#settings.listen) {
      const { server, ...info } = await openListener(where, this.#settings, this.#outgoing.accept, degraded)
      this.#outgoing.takeOver([server])
      listening.push(info)
    }
    return listening
  }

  /** Events of connections cross processes: only those that have listeners. */
  #chooseReported(): void {
    this.#workers?.report(REPORTED_NAMES.filter(name => this.listenerCount(name) > 0))
  }

  #reportOfWorker(event: WorkerEvent): void {
    const [name, ...args] = event
    if (this.#early) this.#early.push(event)
    else if (name === 'accept-error') this.#report(name, errorOf(args[0] as Parameters<typeof errorOf>[0]))
    else this.#report(name, ...args)
  }

  /** Calls the application's listeners: last, when our own state is complete. */
  #report(event: keyof ConverterEvents, ...args: unknown[]): void {
    emitToApplication(this, event, ...args)
  }
}
