/** The reference Transport Converter of RFC 8803, in user space: listeners, sessions, counters. */
import type { AddressInfo, Socket } from 'node:net'
import { EventEmitter } from 'eventemitter3'
import { PrefixSet, plainAddress } from '../input/addresses.js'
import { emitToApplication } from '../input/application.js'
import { interfacesNow } from '../runtime/kernel/interfaces.js'
import { isSupported } from '../runtime/kernel/support.js'
import { sysctlNumber } from '../runtime/kernel/sysctl.js'
import type { ConvertErrorValue } from '../wire/convert/error.js'
import { Incoming, type IncomingStats } from './incoming/incoming.js'
import type { IncomingInfo } from './incoming/session.js'
import type { ConverterOptions } from './options/options.js'
import { resolveOptions, type Settings } from './options/settings.js'
import { type Degraded, type Listener, noMptcp, openListener } from './outgoing/listener.js'
import type { Target } from './outgoing/request.js'
import { TCP_OPTION } from './outgoing/tcp-options.js'
import { type ConnectionInfo, type Host, type Ignored, TransportSession } from './outgoing/transport-session.js'
import type { Mapping, Place } from './pcp/mapping.js'
import { Clients } from './relay/clients.js'

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
}

export interface ListenerInfo {
  address: string
  port: number
  protocol: 'mptcp' | 'tcp'
  /** Whether the data of SYNs is taken, which 0-RTT clients need. */
  fastOpen: boolean
}

/** Counted since the start, except `connections` and `pending`, which are of now. */
export interface ConverterStats {
  /** Open now; `pending`: those of them that have not been answered. */
  connections: number
  pending: number
  accepted: number
  /** Reset by their clients before they were accepted: no event reports them. */
  abandoned: number
  zeroRtt: number
  mptcp: number
  established: number
  /** By the name of the Error TLV. */
  refused: Partial<Record<ConvertErrorValue['name'], number>>
  clientErrors: Partial<Record<Ignored, number>>
  /** Bytes of all connections, ended and open. */
  bytes: { fromClients: number; fromServers: number }
  /** With `pcp`: mappings, and connections of remote hosts. */
  incoming?: IncomingStats
}

export function createConverter(options: ConverterOptions = {}): Converter {
  return new Converter(options)
}

export class Converter extends EventEmitter<ConverterEvents> {
  readonly #settings: Settings
  readonly #clients: Clients
  readonly #sessions = new Set<TransportSession>()
  #listeners: Listener[] = []
  #host: Host | undefined
  #incoming: Incoming | undefined
  #sweep: NodeJS.Timeout | undefined
  #ids = 0
  /** What waits for the end of all sessions. */
  #closedAll: (() => void)[] = []
  #counted = { accepted: 0, abandoned: 0, zeroRtt: 0, mptcp: 0, established: 0 }
  #refused: ConverterStats['refused'] = {}
  #clientErrors: ConverterStats['clientErrors'] = {}
  #bytes = { fromClients: 0, fromServers: 0 }

  /** Throws `ERR_ATSSS_OPTION`. */
  constructor(options: ConverterOptions) {
    super()
    this.#settings = resolveOptions(options)
    this.#clients = new Clients(this.#settings)
  }

  /** Listens on all addresses; or on none, and rejects with a system error (EADDRINUSE, EACCES, EADDRNOTAVAIL, …). */
  async listen(): Promise<AddressInfo[]> {
    if (this.#host)
      throw Object.assign(new Error('The converter is listening already'), { code: 'ERR_SERVER_ALREADY_LISTEN' })
    this.#host = this.#makeHost()
    const lacking = new Map<string, Degraded>()
    let isListening = false
    const degraded = (what: Degraded) =>
      isListening ? this.#report('degraded', what) : lacking.set(what.message, what)
    if (this.#host.serverProtocol !== this.#settings.serverProtocol) degraded(noMptcp('connecting to servers'))
    let pcp: Place[] = []
    try {
      for (const where of this.#settings.listen)
        this.#listeners.push(await openListener(where, this.#settings, socket => this.#accept(socket), degraded))
      if (this.#settings.pcp) pcp = await this.#openIncoming(degraded)
    } catch (error) {
      await this.close()
      throw error
    }
    for (const { server } of this.#listeners) server.on('error', error => this.#report('accept-error', error))
    this.#sweep = setInterval(() => {
      this.#clients.sweep(this.#settings.now())
      this.#incoming?.sweep(this.#settings.now())
    }, SWEEP_INTERVAL).unref()
    isListening = true
    this.#report('listening', this.listening, pcp)
    for (const what of lacking.values()) this.#report('degraded', what)
    return this.#listeners.map(({ address }) => address)
  }

  /** Where and how it listens now. */
  get listening(): ListenerInfo[] {
    return this.#listeners.map(({ address: { address, port }, protocol, fastOpen }) => ({
      address,
      port,
      protocol,
      fastOpen,
    }))
  }

  /** The clients that are reachable from outside now. */
  get mappings(): readonly Mapping[] {
    return this.#incoming?.mappings ?? []
  }

  stats(): ConverterStats {
    const living = [...this.#sessions].map(({ info }) => info)
    const sum = (side: keyof ConnectionInfo['bytes']) => living.reduce((total, { bytes }) => total + bytes[side], 0)
    return {
      connections: living.length,
      pending: living.filter(({ state }) => state !== 'relaying' && state !== 'lingering').length,
      ...this.#counted,
      refused: { ...this.#refused },
      clientErrors: { ...this.#clientErrors },
      bytes: {
        fromClients: this.#bytes.fromClients + sum('fromClient'),
        fromServers: this.#bytes.fromServers + sum('fromServer'),
      },
      ...(this.#incoming && { incoming: this.#incoming.stats() }),
    }
  }

  /** Stops listening, and resets what is still open after `grace` milliseconds. Resolves when everything is closed. */
  async close({ grace = 0 }: { grace?: number } = {}): Promise<void> {
    clearInterval(this.#sweep)
    const closed = this.#listeners
      .splice(0)
      .map(({ server }) => new Promise<void>(resolve => server.close(() => resolve())))
    const abort = () => {
      for (const session of this.#sessions) session.abort()
      this.#incoming?.abort()
    }
    const deadline = grace > 0 ? setTimeout(abort, grace) : abort()
    await Promise.all([...closed, this.#incoming?.close()])
    // The listeners do not wait for the connections to servers. An event could not be relied upon: an application's
    // listener that throws hides it from those behind, and removeAllListeners() removes ours.
    if (this.#sessions.size > 0)
      await new Promise<void>(resolve => {
        this.#closedAll.push(resolve)
      })
    if (deadline) clearTimeout(deadline)
    this.#host = undefined
  }

  #accept(socket: Socket): void {
    // Reset while it waited to be accepted, by a client that has given up: a busy converter has others to serve.
    if (socket.remoteAddress === undefined) {
      this.#counted.abandoned++
      socket.on('error', () => {}).destroy()
      return
    }
    const session = new TransportSession(++this.#ids, socket, this.#host!)
    this.#sessions.add(session)
    this.#counted.accepted++
    if (session.info.zeroRtt) this.#counted.zeroRtt++
    if (session.info.protocol === 'mptcp') this.#counted.mptcp++
    this.#report('connection', session.info)
    session.start()
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

  /** What sessions see of this converter while it listens. */
  #makeHost(): Host {
    return {
      settings: this.#settings,
      clients: this.#clients,
      serverProtocol: isSupported().supported ? this.#settings.serverProtocol : 'tcp',
      place: { tcpOptions: tcpOptions(this.#settings), isSelf: target => this.#isSelf(target) },
      established: info => {
        this.#counted.established++
        this.#report('established', info)
      },
      refused: (info, error) => {
        this.#refused[error.name] = (this.#refused[error.name] ?? 0) + 1
        this.#report('refused', info, error)
      },
      ignored: (info, why) => {
        this.#clientErrors[why] = (this.#clientErrors[why] ?? 0) + 1
        this.#report('client-error', info, why)
      },
      closed: session => {
        this.#sessions.delete(session)
        this.#bytes.fromClients += session.info.bytes.fromClient
        this.#bytes.fromServers += session.info.bytes.fromServer
        if (this.#sessions.size === 0) for (const resolve of this.#closedAll.splice(0)) resolve()
        this.#report('closed', session.info)
      },
    }
  }

  /** Calls the application's listeners: last, when our own state is complete. */
  #report(event: keyof ConverterEvents, ...args: unknown[]): void {
    emitToApplication(this, event, ...args)
  }

  #isSelf({ address, port }: Target): boolean {
    const ours = this.#listeners.map(listener => listener.address)
    if (!ours.some(each => each.port === port)) return false
    // Each of 127.0.0.0/8 is this machine, although its interface has only the first.
    if (LOOPBACK.has(address) && ours.some(each => each.port === port && isWildcard(each.address))) return true
    return (
      ours.some(each => each.port === port && plainAddress(each.address) === address) ||
      Object.values(interfacesNow()).some(list => list?.some(each => plainAddress(each.address) === address))
    )
  }
}

function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || address === '::'
}

const LOOPBACK = new PrefixSet(['127.0.0.0/8', '::1'], '')

/** The options that the kernel puts into its SYNs: the answer to an Info TLV, and what an extended Connect may list. */
function tcpOptions({ protocol }: Settings): Set<number> {
  const kinds = new Set<number>()
  if (sysctlNumber('net.ipv4.tcp_sack')) kinds.add(TCP_OPTION.sackPermitted)
  if (sysctlNumber('net.ipv4.tcp_timestamps')) kinds.add(TCP_OPTION.timestamps)
  if (protocol === 'mptcp' && isSupported().supported) kinds.add(TCP_OPTION.mptcp)
  return kinds
}

/** Milliseconds. Sweeping visits every client. */
const SWEEP_INTERVAL = 10_000
