/**
 * The mappings of one port at the PCP servers of all accesses, one mapping for each of our addresses. A mapping is requested when its
 * address appears, kept while its access is down, and deleted at the end.
 */
import { randomBytes } from 'node:crypto'
import { isIPv4 } from 'node:net'
import { EventEmitter } from 'eventemitter3'
import { AtsssError } from '../../errors.js'
import { type KnownServers, type PcpServer, pcpServers, sameServer } from '../../policy/pcp/servers.js'
import type { AccessType } from '../../policy/rules/rule.js'
import { BOTH } from '../../policy/steering/accesses.js'
import { NONCE_LENGTH, PCP_SERVER_PORT } from '../../wire/pcp/index.js'
import { type AccessConfig, AccessLinks } from '../network/access-links.js'
import type { LinkMonitor } from '../network/link-monitor.js'
import type { NetworkState } from '../network/network-state.js'
import { PcpClient } from './pcp-client.js'
import type { External, MappingWish, PcpMapping } from './pcp-mapping.js'
import { listenForAnnouncements, openTransport } from './pcp-transport.js'

/** A mapping over one access. */
export interface AccessMapping {
  access: AccessType
  /** Our address and port. */
  internal: { address: string; port: number }
  server: PcpServer
  /** `undefined` while there is no mapping. */
  external: External | undefined
  /** Whether the access can be used now. */
  usable: boolean
}

export interface ExternalAddressEvents {
  /** Peers can reach us at a new address. */
  made: [external: External, about: AccessMapping]
  /** Peers can reach us at `external` now, and no longer at `before`. */
  changed: [external: External, before: External, why: string]
  /** Peers can no longer reach us there, over any access. */
  lost: [external: External, why: string]
  /** A server refuses or does not answer; or announcements cannot be received. */
  problem: [error: Error]
  /** Why a datagram was ignored. */
  ignored: [why: string]
}

export interface ExternalAddressOptions {
  accesses: Readonly<Record<AccessType, AccessConfig>>
  links: Pick<LinkMonitor, 'state' | 'on' | 'off'>
  servers: Omit<KnownServers, 'routers'>
  /** What to request. The nonce is drawn for each server; `former` is the external address of an earlier mapping. */
  wish: Omit<MappingWish, 'nonce' | 'former'>
  /** The access over which new connections should begin. */
  preferred(): AccessType | undefined
  /** The port of the default servers. @defaultValue 5351 */
  port?: number
}

interface LiveMapping extends AccessMapping {
  client: PcpClient
  mapping: PcpMapping
}

export class ExternalAddress extends EventEmitter<ExternalAddressEvents> {
  readonly #options: ExternalAddressOptions
  readonly #accesses: AccessLinks
  readonly #live = new Map<string, LiveMapping>()
  /** One for each server, shared by all our addresses, so that a server can recognize them as those of one client. */
  readonly #nonces = new Map<string, Buffer>()
  /** The external addresses of mappings whose internal address has disappeared. They are suggested when it comes back. */
  readonly #remembered = new Map<string, External>()
  #servers: ExternalAddressOptions['servers']
  /** The external addresses that the last events have reported. */
  #reported = new Set<string>()
  #announcements: { close(): void } | undefined
  /** The interfaces on which announcements are received, as JSON. */
  #announcedOn = ''
  #hasReportedNoServer = false
  /** The last failure to open a socket. It is reported once; opening is tried again. */
  #failure = ''
  #retry: NodeJS.Timeout | undefined
  #closed = false

  constructor(options: ExternalAddressOptions) {
    super()
    this.#options = options
    this.#servers = options.servers
    this.#accesses = new AccessLinks(options.accesses, options.links.state)
    options.links.on('change', this.#changed)
    // In the next turn, so that the caller can add its listeners first.
    setImmediate(() => this.#reconcile())
  }

  /** Where peers reach us; the first is the oldest. */
  get externals(): External[] {
    return distinct(this.mappings.flatMap(({ external }) => external ?? []))
  }

  get mappings(): AccessMapping[] {
    return [...this.#live.values()].map(({ access, internal, server, mapping, usable }) => ({
      ...{ access, internal, server, usable },
      external: mapping.external,
    }))
  }

  /** Sets the addresses of the session's converters. Mappings at servers that are no longer among them are deleted. */
  useConverters(converters: readonly string[]): void {
    const dropped = this.#servers.converters.filter(address => !converters.includes(address))
    this.#servers = { ...this.#servers, converters }
    for (const [key, live] of [...this.#live]) if (dropped.includes(live.server.address)) this.#drop(key, live)
    this.#reconcile()
  }

  /** This host was suspended: the mappings may have expired, and the timers that renew them stood still. */
  requestAgain(): void {
    for (const { client } of this.#live.values()) client.requestAgain()
  }

  /** Deletes the mappings. Resolves when the servers have confirmed that, or after a second. */
  async close(): Promise<void> {
    this.#closed = true
    this.#options.links.off('change', this.#changed)
    this.#announcements?.close()
    clearTimeout(this.#retry)
    const all = [...this.#live.values()]
    this.#live.clear()
    await Promise.all(all.map(({ client }) => client.close()))
  }

  #changed = (_before: NetworkState, now: NetworkState): void => {
    this.#accesses.update(now)
    this.#reconcile()
  }

  #reconcile(): void {
    if (this.#closed) return
    clearTimeout(this.#retry)
    const wanted = new Map(BOTH.flatMap(access => this.#wanted(access)))
    for (const [key, live] of [...this.#live]) if (!wanted.has(key)) this.#leave(key, live)
    // The preferred access last: see `#holdBack`.
    let failure = ''
    const preferred = this.#options.preferred()
    const inOrder = [...wanted].sort(([, a], [, b]) => Number(a.access === preferred) - Number(b.access === preferred))
    for (const [key, about] of inOrder) {
      const live = this.#live.get(key)
      if (live) this.#use(live, about.usable)
      else failure = this.#enter(key, about) ?? failure
    }
    this.#failure = failure
    if (failure !== '') this.#retry = setTimeout(() => this.#reconcile(), RETRY_MS).unref()
    this.#receiveAnnouncements()
    const reachable = BOTH.some(access => this.#accesses.addresses(access).length > 0)
    const isReport = reachable && wanted.size === 0 && !this.#hasReportedNoServer
    this.#hasReportedNoServer = wanted.size === 0
    if (isReport) this.emit('problem', new AtsssError('ERR_PCP_NO_SERVER', NO_SERVER))
  }

  /** The mappings that should exist over an access. */
  #wanted(access: AccessType): [string, Omit<AccessMapping, 'external'>][] {
    const { wish, port = PCP_SERVER_PORT } = this.#options
    const usable = this.#accesses.facts[access].usable
    return ([4, 6] as const).flatMap(family => {
      const local = this.#accesses.address(access, family)
      if (!local) return []
      const routers = this.#options.links.state.defaultRoutes
        .filter(route => route.interfaceIndex === local.interfaceIndex && route.family === family)
        .flatMap(({ gateway }) => gateway ?? [])
      return pcpServers({ ...this.#servers, routers: [...new Set(routers)] }, family, port).map(server => {
        const internal = { address: local.address, port: wish.internalPort }
        const about = { access, internal, server, usable }
        return [`${access} ${local.address} ${addressKey(server)}`, about] as [string, typeof about]
      })
    })
  }

  /** @returns why the mapping could not be requested; `undefined` if it was */
  #enter(key: string, about: Omit<AccessMapping, 'external'>): string | undefined {
    const { wish } = this.#options
    const { access, internal, server } = about
    const local = { address: internal.address, interface: this.#interfaceOf(access) }
    const remembered = this.#remembered.get(key)
    try {
      const client = new PcpClient({
        server,
        clientAddress: internal.address,
        open: receive => openTransport(server, local, receive),
      })
      client.on('ignored', why => this.emit('ignored', why))
      const suggested = { external: this.#suggestion(internal.address), former: remembered }
      const mapping = client.map({ ...wish, ...suggested, nonce: this.#nonceOf(server) }, this.#holdBack(about))
      const live: LiveMapping = { ...about, client, mapping, external: undefined }
      this.#live.set(key, live)
      mapping.on('made', () => this.#report(live, ''))
      mapping.on('granted', () => this.#preferOthers(live, mapping.askedAt))
      mapping.on('changed', (now, before) => this.#moved(live, now, before))
      mapping.on('lost', (_, why) => this.#report(live, why))
      mapping.on('refused', error => {
        this.#preferOthers(live, Number.NEGATIVE_INFINITY)
        this.emit('problem', error)
      })
      if (!about.usable) client.pause()
      return undefined
    } catch (error) {
      // The address or its interface disappeared after the links were read, or there are too many open files.
      const { message } = error as Error
      if (message !== this.#failure) this.emit('problem', error as Error)
      return message
    }
  }

  /**
   * A server with one external address for two of ours has one mapping for both. If it moves that mapping for one of them, it moves it
   * for the other too; we request the other again, to be sure.
   */
  #moved(live: LiveMapping, now: External, before: External): void {
    for (const other of this.#live.values()) {
      const there = other.mapping.external
      if (
        other === live ||
        !sameServer(other.server, live.server) ||
        !there ||
        addressKey(there) !== addressKey(before)
      )
        continue
      other.mapping.follow(now)
      other.client.refresh()
    }
    this.#report(live, 'the server has moved the mapping')
  }

  /** The internal address has disappeared. The server keeps the mapping until it expires: the address may come back. */
  #leave(key: string, live: LiveMapping): void {
    this.#live.delete(key)
    if (live.mapping.external) this.#remembered.set(key, live.mapping.external)
    void live.client.close({ deleting: false })
    this.#report(live, `this host no longer has the address ${live.internal.address}`)
    this.#refreshOthers(live)
  }

  /** The server is no longer used, and must not send connections here any more. */
  #drop(key: string, live: LiveMapping): void {
    this.#live.delete(key)
    void live.client.close()
    this.#report(live, `${live.server.address} is no longer the address of a converter`)
  }

  #use(live: LiveMapping, usable: boolean): void {
    if (live.usable === usable) return
    live.usable = usable
    if (usable) live.client.resume()
    else {
      live.client.pause()
      this.#refreshOthers(live)
    }
  }

  /**
   * A converter first tries the address whose request came last. So the request over the preferred access waits until the others are
   * answered, for at most `HOLD_BACK_MS`. A second request, as we send it later on, would come too soon (RFC 6887 §11.2.1).
   */
  #holdBack({ access, server }: Pick<LiveMapping, 'access' | 'server'>): number {
    if (access !== this.#options.preferred()) return 0
    return this.#others(access).some(other => other.mapping.isPending && sameServer(other.server, server))
      ? HOLD_BACK_MS
      : 0
  }

  /** Requests the mapping of the preferred access again, unless that was done after `since`. */
  #preferOthers({ access, server }: LiveMapping, since: number): void {
    const preferred = this.#others(access).filter(other => other.access === this.#options.preferred())
    for (const other of preferred)
      if (sameServer(other.server, server) && other.mapping.askedAt <= since) other.client.refresh()
  }

  /** Requests the mapping of the other access again, so that the converter tries that one first. */
  #refreshOthers({ access }: Pick<LiveMapping, 'access'>): void {
    for (const other of this.#others(access)) other.client.refresh()
  }

  #others(access: AccessType): LiveMapping[] {
    return [...this.#live.values()].filter(other => other.access !== access && other.usable)
  }

  #nonceOf(server: PcpServer): Buffer {
    const key = addressKey(server)
    const nonce = this.#nonces.get(key) ?? randomBytes(NONCE_LENGTH)
    this.#nonces.set(key, nonce)
    return nonce
  }

  /** The external address that the application wants, if it is of the same family. */
  #suggestion(internal: string): MappingWish['external'] {
    const { address, port } = this.#options.wish.external
    const fits = address !== undefined && isIPv4(address) === isIPv4(internal)
    return { address: fits ? address : undefined, port }
  }

  /** Emits the differences from the last report. */
  #report(live: LiveMapping, why: string): void {
    const now = this.externals
    const keys = new Set(now.map(addressKey))
    const gone = [...this.#reported].filter(key => !keys.has(key)).map(addressOf)
    const fresh = now.filter(each => !this.#reported.has(addressKey(each)))
    this.#reported = keys
    if (gone.length === 1 && fresh.length === 1) {
      this.emit('changed', fresh[0]!, gone[0]!, why)
      return
    }
    for (const each of gone) this.emit('lost', each, why)
    const { access, internal, server, usable } = live
    for (const each of fresh) this.emit('made', each, { access, internal, server, usable, external: each })
  }

  #interfaceOf(access: AccessType): string {
    return this.#accesses.interfaces[access]?.name ?? this.#options.accesses[access].interface
  }

  /** Opens the sockets again when the interfaces have changed. */
  #receiveAnnouncements(): void {
    const all = [...this.#live.values()]
    const interfaces = BOTH.filter(access => all.some(live => live.access === access)).map(access => ({
      name: this.#interfaceOf(access),
      address: all.find(live => live.access === access && isIPv4(live.internal.address))?.internal.address,
    }))
    if (JSON.stringify(interfaces) === this.#announcedOn) return
    this.#announcedOn = JSON.stringify(interfaces)
    this.#announcements?.close()
    this.#announcements = listenForAnnouncements(
      interfaces,
      (bytes, from) => {
        // Announcements of other servers arrive here too.
        for (const { client } of this.#live.values()) if (sameServer(client.server, from)) client.receive(bytes, from)
      },
      error => this.emit('problem', error),
    )
  }
}

/** Milliseconds that the preferred access waits for the others at most. */
const HOLD_BACK_MS = 250
/** Milliseconds until a socket that could not be opened is tried again. */
const RETRY_MS = 1_000
const NO_SERVER =
  'No PCP server is known: there is neither a converter nor a default router. Set converters or pcpServers'

function addressKey({ address, port }: PcpServer): string {
  return `${address} ${port}`
}

function addressOf(key: string): External {
  const [address, port] = key.split(' ')
  return { address: address!, port: Number(port) }
}

function distinct(externals: External[]): External[] {
  return externals.filter((each, i) => externals.findIndex(other => sameServer(other, each)) === i)
}
