/**
 * One port of ours at the PCP servers of all accesses: a mapping for each of our addresses, asked for when an address
 * comes, kept while its access is away, deleted at the end.
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
import { hearAnnouncements, openTransport } from './pcp-transport.js'

/** A mapping over one access. */
export interface AccessMapping {
  access: AccessType
  /** Ours. */
  internal: { address: string; port: number }
  server: PcpServer
  /** `undefined` while there is none. */
  external: External | undefined
  /** Whether the access is there now. */
  usable: boolean
}

export interface ExternalAddressEvents {
  /** Peers can reach us at an address at which they could not before. */
  made: [external: External, about: AccessMapping]
  /** They can no longer reach us where they could, but elsewhere. */
  changed: [external: External, before: External, why: string]
  /** Peers can no longer reach us there, over any access. */
  lost: [external: External, why: string]
  /** A server refuses or does not answer; or announcements cannot be heard. */
  problem: [error: Error]
  /** A datagram that was not believed, and why. */
  ignored: [why: string]
}

export interface ExternalAddressOptions {
  accesses: Record<AccessType, AccessConfig>
  links: Pick<LinkMonitor, 'state' | 'on' | 'off'>
  servers: Omit<KnownServers, 'routers'>
  /** All but the nonce, which is drawn for each server, and what there was before. */
  wish: Omit<MappingWish, 'nonce' | 'former'>
  /** Over which access connections had best begin. */
  preferred(): AccessType | undefined
  /** Of the default servers. @defaultValue 5351 */
  port?: number
}

interface Path extends AccessMapping {
  client: PcpClient
  mapping: PcpMapping
}

export class ExternalAddress extends EventEmitter<ExternalAddressEvents> {
  readonly #options: ExternalAddressOptions
  readonly #accesses: AccessLinks
  readonly #paths = new Map<string, Path>()
  /** One for each server, shared by our addresses: by it a server may know that they are one client's. */
  readonly #nonces = new Map<string, Buffer>()
  /** What a path had when its address went away: it is suggested when that comes back. */
  readonly #remembered = new Map<string, External>()
  #told = new Set<string>()
  #announcements: { close(): void } | undefined
  #hearingOn = ''
  #complained = false
  #closed = false

  constructor(options: ExternalAddressOptions) {
    super()
    this.#options = options
    this.#accesses = new AccessLinks(options.accesses, options.links.state)
    options.links.on('change', this.#changed)
    // In the next turn: whoever made it wants to hear.
    setImmediate(() => this.#reconcile())
  }

  /** Where peers reach us; the first is the oldest. */
  get externals(): External[] {
    return distinct(this.mappings.flatMap(({ external }) => external ?? []))
  }

  get mappings(): AccessMapping[] {
    return [...this.#paths.values()].map(({ access, internal, server, mapping, usable }) => ({
      ...{ access, internal, server, usable },
      external: mapping.external,
    }))
  }

  /** Deletes the mappings. Resolves when the servers have said so, or do not answer within a second. */
  async close(): Promise<void> {
    this.#closed = true
    this.#options.links.off('change', this.#changed)
    this.#announcements?.close()
    const paths = [...this.#paths.values()]
    this.#paths.clear()
    await Promise.all(paths.map(({ client }) => client.close()))
  }

  #changed = (_before: NetworkState, now: NetworkState): void => {
    this.#accesses.update(now)
    this.#reconcile()
  }

  #reconcile(): void {
    if (this.#closed) return
    const wanted = new Map(BOTH.flatMap(access => this.#wanted(access)))
    for (const [key, path] of [...this.#paths]) if (!wanted.has(key)) this.#leave(key, path)
    // The preferred access last: see `#holdBack`.
    const preferred = this.#options.preferred()
    const inOrder = [...wanted].sort(([, a], [, b]) => Number(a.access === preferred) - Number(b.access === preferred))
    for (const [key, about] of inOrder) {
      const path = this.#paths.get(key)
      if (!path) this.#enter(key, about)
      else this.#use(path, about.usable)
    }
    this.#hear()
    const reachable = BOTH.some(access => this.#accesses.addresses(access).length > 0)
    if (reachable && wanted.size === 0 && !this.#complained)
      this.emit('problem', new AtsssError('ERR_PCP_NO_SERVER', NO_SERVER))
    this.#complained = wanted.size === 0
  }

  /** The paths that there should be over an access. */
  #wanted(access: AccessType): [string, Omit<AccessMapping, 'external'>][] {
    const { servers, wish, port = PCP_SERVER_PORT } = this.#options
    const usable = this.#accesses.facts[access].usable
    return ([4, 6] as const).flatMap(family => {
      const local = this.#accesses.address(access, family)
      if (!local) return []
      const routers = this.#options.links.state.defaultRoutes
        .filter(route => route.interfaceIndex === local.interfaceIndex && route.family === family)
        .flatMap(({ gateway }) => gateway ?? [])
      return pcpServers({ ...servers, routers: [...new Set(routers)] }, family, port).map(server => {
        const internal = { address: local.address, port: wish.internalPort }
        const about = { access, internal, server, usable }
        return [`${access} ${local.address} ${keyOf(server)}`, about] as [string, typeof about]
      })
    })
  }

  #enter(key: string, about: Omit<AccessMapping, 'external'>): void {
    const { wish, accesses } = this.#options
    const { access, internal, server } = about
    const local = { address: internal.address, interface: accesses[access].interface }
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
      const path: Path = { ...about, client, mapping, external: undefined }
      this.#paths.set(key, path)
      mapping.on('made', () => this.#tell(path, ''))
      mapping.on('granted', () => this.#preferOthers(path, mapping.askedAt))
      mapping.on('changed', (now, before) => this.#moved(path, now, before))
      mapping.on('lost', (_, why) => this.#tell(path, why))
      mapping.on('refused', error => {
        this.#preferOthers(path, Number.NEGATIVE_INFINITY)
        this.emit('problem', error)
      })
      if (!about.usable) client.pause()
    } catch (error) {
      // The address, or its interface, has gone since the links were read: they will be read again.
      this.emit('problem', error as Error)
    }
  }

  /**
   * Where the server has one external address for two of ours, it has one mapping for both: what it says of one is true of
   * the other, of which it will say so, too, or is asked.
   */
  #moved(path: Path, now: External, before: External): void {
    for (const other of this.#paths.values()) {
      const there = other.mapping.external
      if (other === path || !sameServer(other.server, path.server) || !there || keyOf(there) !== keyOf(before)) continue
      other.mapping.follow(now)
      other.client.refresh()
    }
    this.#tell(path, 'the server has moved it')
  }

  /** The address has gone. The mapping is the server's to keep until its end: the address may come back. */
  #leave(key: string, path: Path): void {
    this.#paths.delete(key)
    if (path.mapping.external) this.#remembered.set(key, path.mapping.external)
    void path.client.close({ deleting: false })
    this.#tell(path, `${path.internal.address} has gone`)
    this.#refreshOthers(path)
  }

  #use(path: Path, usable: boolean): void {
    if (path.usable === usable) return
    path.usable = usable
    if (usable) path.client.resume()
    else {
      path.client.pause()
      this.#refreshOthers(path)
    }
  }

  /**
   * What is asked for last is what a converter tries first. So the preferred access lets the others go first: until they are
   * answered, or for so many milliseconds. To ask once more, as at any later time, would be too soon (RFC 6887 §11.2.1).
   */
  #holdBack({ access, server }: Pick<Path, 'access' | 'server'>): number {
    if (access !== this.#options.preferred()) return 0
    return this.#others(access).some(other => other.mapping.isPending && sameServer(other.server, server))
      ? HOLD_BACK_MS
      : 0
  }

  /** The preferred access is asked for, where it was not since then. */
  #preferOthers({ access, server }: Path, since: number): void {
    const preferred = this.#others(access).filter(other => other.access === this.#options.preferred())
    for (const other of preferred)
      if (sameServer(other.server, server) && other.mapping.askedAt <= since) other.client.refresh()
  }

  /** The other access is the one to try now. */
  #refreshOthers({ access }: Pick<Path, 'access'>): void {
    for (const other of this.#others(access)) other.client.refresh()
  }

  #others(access: AccessType): Path[] {
    return [...this.#paths.values()].filter(other => other.access !== access && other.usable)
  }

  #nonceOf(server: PcpServer): Buffer {
    const key = keyOf(server)
    const nonce = this.#nonces.get(key) ?? randomBytes(NONCE_LENGTH)
    this.#nonces.set(key, nonce)
    return nonce
  }

  /** The application's, where it is of the same family. */
  #suggestion(internal: string): MappingWish['external'] {
    const { address, port } = this.#options.wish.external
    const fits = address !== undefined && isIPv4(address) === isIPv4(internal)
    return { address: fits ? address : undefined, port }
  }

  /** Compares what there is now with what was told last. */
  #tell(path: Path, why: string): void {
    const now = this.externals
    const keys = new Set(now.map(keyOf))
    const gone = [...this.#told].filter(key => !keys.has(key)).map(external)
    const fresh = now.filter(each => !this.#told.has(keyOf(each)))
    this.#told = keys
    if (gone.length === 1 && fresh.length === 1) {
      this.emit('changed', fresh[0]!, gone[0]!, why)
      return
    }
    for (const each of gone) this.emit('lost', each, why)
    const { access, internal, server, usable } = path
    for (const each of fresh) this.emit('made', each, { access, internal, server, usable, external: each })
  }

  /** Opened anew when the interfaces have changed. */
  #hear(): void {
    const paths = [...this.#paths.values()]
    const interfaces = BOTH.filter(access => paths.some(path => path.access === access)).map(access => ({
      name: this.#options.accesses[access].interface,
      address: paths.find(path => path.access === access && isIPv4(path.internal.address))?.internal.address,
    }))
    if (JSON.stringify(interfaces) === this.#hearingOn) return
    this.#hearingOn = JSON.stringify(interfaces)
    this.#announcements?.close()
    this.#announcements = hearAnnouncements(
      interfaces,
      (bytes, from) => {
        // Others' servers announce themselves, too.
        for (const { client } of this.#paths.values()) if (sameServer(client.server, from)) client.receive(bytes, from)
      },
      error => this.emit('problem', error),
    )
  }
}

/** Milliseconds. */
const HOLD_BACK_MS = 250
const NO_SERVER = 'No PCP server is known: none is configured, and there is neither a converter nor a default router'

function keyOf({ address, port }: PcpServer): string {
  return `${address} ${port}`
}

function external(key: string): External {
  const [address, port] = key.split(' ')
  return { address: address!, port: Number(port) }
}

function distinct(externals: External[]): External[] {
  return externals.filter((each, i) => externals.findIndex(other => sameServer(other, each)) === i)
}
