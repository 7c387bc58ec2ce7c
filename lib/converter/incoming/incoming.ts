/** Incoming connections: clients ask for mappings (PCP), remote hosts connect to them, and the converter connects on to the client. */
import type { Socket } from 'node:net'
import { FAST_OPEN_NEEDS } from '../../runtime/kernel/fast-open.js'
import { native } from '../../runtime/kernel/native.js'
import type { PcpResult } from '../../wire/pcp/index.js'
import type { Settings } from '../options/settings.js'
import type { Degraded } from '../outgoing/listener.js'
import type { Mapping, Place } from '../pcp/mapping.js'
import { Mappings } from '../pcp/mappings.js'
import { PcpServer } from '../pcp/server.js'
import type { Clients } from '../relay/clients.js'
import { reset } from '../relay/kernel.js'
import { ExternalPorts } from './external-ports.js'
import { openJoinEndpoints } from './join-endpoints.js'
import { ClientMemory } from './reach-client.js'
import { type IncomingFailure, type IncomingInfo, IncomingSession } from './session.js'

/** Counted since the start, except `mappings` and `connections`, which are of now. */
export interface IncomingStats {
  mappings: number
  connections: number
  accepted: number
  established: number
  /** By the reason why a connection ended before anything was relayed. */
  failed: Partial<Record<IncomingFailure, number>>
  /** Answers to PCP requests, by result. */
  requests: Partial<Record<PcpResult | 'ignored', number>>
}

interface IncomingEvents {
  made(mapping: Mapping): void
  moved(mapping: Mapping): void
  ended(mapping: Mapping): void
  established(info: IncomingInfo): void
  closed(info: IncomingInfo): void
  degraded(what: Degraded): void
  notAccepted(error: Error): void
}

export class Incoming {
  readonly #settings: Settings
  readonly #clients: Clients
  readonly #protocol: 'mptcp' | 'tcp'
  readonly #events: IncomingEvents
  readonly #mappings: Mappings
  readonly #memory: ClientMemory
  readonly #ports: ExternalPorts
  readonly #pcp: PcpServer
  readonly #sessions = new Set<IncomingSession>()
  readonly #counted = { accepted: 0, established: 0 }
  readonly #failed: IncomingStats['failed'] = {}
  readonly #requests: IncomingStats['requests'] = {}
  #ids = 0
  #closedAll = (): void => {}
  #joins: { close(): Promise<void> } | undefined

  constructor(settings: Settings, clients: Clients, protocol: 'mptcp' | 'tcp', events: IncomingEvents) {
    this.#settings = settings
    this.#clients = clients
    this.#protocol = protocol
    this.#events = events
    this.#memory = new ClientMemory(() => events.degraded(NO_FAST_OPEN))
    this.#mappings = new Mappings(settings.pcp!)
    this.#ports = new ExternalPorts((socket, place) => this.#accept(socket, place), events.notAccepted)
    this.#pcp = new PcpServer(settings, this.#mappings, {
      changed: () => this.#ports.follow(this.#mappings.all),
      made: mapping => events.made(mapping),
      moved: mapping => events.moved(mapping),
      ended: mapping => events.ended(mapping),
      answered: result => {
        this.#requests[result] = (this.#requests[result] ?? 0) + 1
      },
      failed: error => events.degraded({ what: 'pcp-state', message: error.message, remedy: 'none' }),
    })
  }

  /** Throws system errors, `ERR_CONVERTER_PRIVILEGE` and `ERR_ATSSS_ADDON`. @returns where it listens for PCP requests */
  async open(): Promise<Place[]> {
    native()
    const { pool } = this.#mappings
    const refused = await this.#ports.open(pool, this.#settings.backlog)
    for (const { place } of refused) this.#mappings.exclude(place)
    const [first] = refused
    if (first && refused.length === pool.length) throw first.error
    if (first)
      this.#events.degraded({
        what: 'pcp-ports',
        message: `${refused.length} of ${pool.length} external ports cannot be listened on: ${first.error.message}`,
        remedy: 'list in pcp.ports only ports that no other program uses',
      })
    const { listen, joinPort } = this.#settings.pcp!
    const joinable = listen.filter(({ host }) => !['0.0.0.0', '::', '127.0.0.1', '::1'].includes(host))
    if (this.#protocol === 'mptcp' && joinPort !== 0)
      this.#joins = await openJoinEndpoints(
        joinable.map(({ host }) => ({ address: host, port: joinPort })),
        what => this.#events.degraded(what),
      )
    return this.#pcp.open()
  }

  get mappings(): Mapping[] {
    return this.#mappings.all
  }

  stats(): IncomingStats {
    return {
      mappings: this.#mappings.all.length,
      connections: this.#sessions.size,
      ...this.#counted,
      failed: { ...this.#failed },
      requests: { ...this.#requests },
    }
  }

  sweep(now: number): void {
    this.#memory.sweep(now)
  }

  /** Stops taking requests and connections; resolves when all open connections have ended. */
  async close(): Promise<void> {
    const closed = this.#ports.close()
    await this.#pcp.close()
    await closed
    if (this.#sessions.size > 0)
      await new Promise<void>(resolve => {
        this.#closedAll = resolve
      })
    // Last, since the kernel ends the subflows that have joined there. It refuses if the namespace or the privilege has gone.
    await this.#joins?.close().catch(() => {})
  }

  /** Resets what is still open. */
  abort(): void {
    for (const session of [...this.#sessions]) session.abort()
  }

  #accept(socket: Socket, place: Place): void {
    const mapping = this.#mappings.at(place)
    if (!mapping) return reset(socket)
    const session = new IncomingSession(++this.#ids, socket, mapping, {
      settings: this.#settings,
      clients: this.#clients,
      memory: this.#memory,
      protocol: this.#protocol,
      established: info => {
        this.#counted.established++
        this.#events.established(info)
      },
      closed: ended => {
        this.#sessions.delete(ended)
        const { failure } = ended.info
        if (failure) this.#failed[failure] = (this.#failed[failure] ?? 0) + 1
        if (this.#sessions.size === 0) this.#closedAll()
        this.#events.closed(ended.info)
      },
    })
    this.#sessions.add(session)
    this.#counted.accepted++
    session.start(mapping)
  }
}

const NO_FAST_OPEN: Degraded = {
  what: 'fast-open',
  message:
    'This system sends no data in SYNs: connections to clients take one round trip more (the Convert message follows the handshake)',
  remedy: `${FAST_OPEN_NEEDS}, are needed: sysctl -w net.ipv4.tcp_fastopen=3`,
}
