/** The sessions of all clients that connect to this process, and what is counted of them. */
import type { Server, Socket } from 'node:net'
import type { ConvertErrorValue } from '../../wire/convert/error.js'
import type { Settings } from '../options/settings.js'
import { type ConnectionInfo, type Host, type Ignored, TransportSession } from './transport-session.js'

/** Counted since the start, except `connections` and `pending`, which are of now. */
export interface OutgoingStats {
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
}

/** What happens to connections: `ConverterEvents` says when. */
export interface OutgoingEvents {
  connection(info: ConnectionInfo): void
  established(info: ConnectionInfo): void
  refused(info: ConnectionInfo, error: ConvertErrorValue): void
  ignored(info: ConnectionInfo, why: Ignored): void
  closed(info: ConnectionInfo): void
  notAccepted(error: Error): void
}

/** What the sessions of one process need besides their settings. */
export type Surroundings = Pick<Host, 'clients' | 'place' | 'serverProtocol' | 'worker'>

export class Outgoing {
  readonly #events: OutgoingEvents
  readonly #settings: Settings
  #host: Host | undefined
  readonly #sessions = new Set<TransportSession>()
  #servers: readonly Server[] = []
  #ids = 0
  /** What waits for the end of all sessions. */
  #closedAll: (() => void)[] = []
  readonly #counted = { accepted: 0, abandoned: 0, zeroRtt: 0, mptcp: 0, established: 0 }
  readonly #refused: OutgoingStats['refused'] = {}
  readonly #clientErrors: OutgoingStats['clientErrors'] = {}
  readonly #bytes = { fromClients: 0, fromServers: 0 }

  constructor(settings: Settings, events: OutgoingEvents) {
    this.#settings = settings
    this.#events = events
  }

  /** Before anything is accepted. */
  begin(surroundings: Surroundings): void {
    const events = this.#events
    this.#host = {
      ...surroundings,
      settings: this.#settings,
      established: info => {
        this.#counted.established++
        events.established(info)
      },
      refused: (info, error) => {
        this.#refused[error.name] = (this.#refused[error.name] ?? 0) + 1
        events.refused(info, error)
      },
      ignored: (info, why) => {
        this.#clientErrors[why] = (this.#clientErrors[why] ?? 0) + 1
        events.ignored(info, why)
      },
      closed: session => {
        this.#sessions.delete(session)
        this.#bytes.fromClients += session.info.bytes.fromClient
        this.#bytes.fromServers += session.info.bytes.fromServer
        if (this.#sessions.size === 0) for (const resolve of this.#closedAll.splice(0)) resolve()
        events.closed(session.info)
      },
    }
  }

  /** Serves a connection that a listener has accepted. */
  readonly accept = (socket: Socket): void => {
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
    this.#events.connection(session.info)
    session.start()
  }

  /** Reports what these servers cannot accept, and closes them in `close`. */
  takeOver(servers: readonly Server[]): void {
    this.#servers = [...this.#servers, ...servers]
    for (const server of servers) server.on('error', error => this.#events.notAccepted(error))
  }

  stats(): OutgoingStats {
    const stats: OutgoingStats = {
      connections: this.#sessions.size,
      pending: 0,
      ...this.#counted,
      refused: { ...this.#refused },
      clientErrors: { ...this.#clientErrors },
      bytes: { ...this.#bytes },
    }
    for (const { info } of this.#sessions) {
      if (info.state !== 'relaying' && info.state !== 'lingering') stats.pending++
      stats.bytes.fromClients += info.bytes.fromClient
      stats.bytes.fromServers += info.bytes.fromServer
    }
    return stats
  }

  /** Stops listening; resolves when all connections have ended. */
  async close(): Promise<void> {
    const servers = this.#servers
    this.#servers = []
    await Promise.all(servers.map(server => new Promise<void>(resolve => server.close(() => resolve()))))
    // The listeners do not wait for the connections to servers. An event could not be relied upon: an application's
    // listener that throws hides it from those behind, and removeAllListeners() removes ours.
    if (this.#sessions.size > 0)
      await new Promise<void>(resolve => {
        this.#closedAll.push(resolve)
      })
  }

  /** Resets what is still open. */
  abort(): void {
    for (const session of this.#sessions) session.abort()
  }
}
