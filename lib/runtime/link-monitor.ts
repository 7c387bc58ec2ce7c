/**
 * The links, addresses and default routes of this network namespace, as one value that is read anew whenever the kernel
 * says that something has changed. What it says is a doorbell only: never the truth. Needs no privilege.
 */
import { EventEmitter } from 'eventemitter3'
import {
  type DefaultRoute,
  DUMPS,
  decodeRtnetlink,
  type LinkAddress,
  type LinkInfo,
  RTMGRP_ALL,
} from '../wire/rtnetlink.js'
import {
  NETLINK_ROUTE,
  NetlinkClient,
  type NetlinkClientOptions,
  type NetlinkConnection,
  openNetlink,
} from './netlink.js'

export type { DefaultRoute, LinkAddress, Operstate } from '../wire/rtnetlink.js'

export interface Link extends LinkInfo {
  /** In the kernel's order. Not yet usable ones (`tentative`) and the ones on their way out (`deprecated`) included. */
  addresses: readonly LinkAddress[]
}

export interface NetworkState {
  /** By interface index. */
  links: ReadonlyMap<number, Link>
  /** Of all tables; the lowest metric first. */
  defaultRoutes: readonly DefaultRoute[]
}

/** Why a state is not like the one before. One link or address may have several. */
export type ChangeReason =
  | {
      type:
        | 'link-added'
        | 'link-removed'
        | 'link-renamed'
        | 'link-up'
        | 'link-down'
        | 'carrier-gained'
        | 'carrier-lost'
        | 'link-changed'
      interface: string
      index: number
    }
  | {
      type: 'address-added' | 'address-removed' | 'address-usable' | 'address-changed'
      interface: string
      index: number
      address: string
    }
  /** `interface` is undefined when nobody knows it. */
  | { type: 'route-added' | 'route-removed'; interface: string | undefined; index: number; family: 4 | 6 }

export interface LinkMonitorEvents {
  change: [before: NetworkState, now: NetworkState, reasons: ChangeReason[]]
  /** Reading failed, or listening does: the state is as old as it is. Reading is tried again. */
  error: [error: Error]
}

/** Resolves when the first state has been read. An open monitor does not keep the event loop alive. */
export async function openLinkMonitor(options: NetlinkClientOptions = {}): Promise<LinkMonitor> {
  const monitor = new LinkMonitor(options)
  try {
    await monitor.refresh()
    return monitor
  } catch (error) {
    monitor.close()
    throw error
  }
}

/** Whether packets can leave by this link: up, with carrier, and not held back by what is below it. */
export function isUsable(link: Pick<LinkInfo, 'up' | 'carrier' | 'operstate'>): boolean {
  return link.up && link.carrier && (link.operstate === 'up' || link.operstate === 'unknown')
}

/** The least time from one reading to the next, ms: a change is mostly announced by several messages. */
const QUIET = 1
/** After an error, ms. */
const RETRY = 1000

export class LinkMonitor extends EventEmitter<LinkMonitorEvents> {
  readonly #client: NetlinkClient
  readonly #doorbell: NetlinkConnection
  #state: NetworkState = { links: new Map(), defaultRoutes: [] }
  #reading: Promise<NetworkState> | undefined
  #lastRead = Number.NEGATIVE_INFINITY
  /** It has rung, and nobody has answered yet. */
  #rung = false
  #timer: NodeJS.Timeout | undefined
  #closed = false

  /** @internal `openLinkMonitor` makes it */
  constructor(options: NetlinkClientOptions) {
    super()
    const { open = openNetlink } = options
    this.#client = new NetlinkClient(NETLINK_ROUTE, options)
    // Listens before the first reading, so that nothing can happen in between.
    const receiver = {
      message: () => this.#ring(),
      overrun: () => this.#ring(),
      failed: (error: Error) => this.emit('error', error),
    }
    try {
      this.#doorbell = open(NETLINK_ROUTE, receiver, { bitmap: RTMGRP_ALL })
    } catch (error) {
      this.#client.close()
      throw error
    }
  }

  /** The last state read. Values, never changed: a change makes new ones. */
  get state(): NetworkState {
    return this.#state
  }

  /** Reads now; resolves with what is there, after `change` if there was one. */
  async refresh(): Promise<NetworkState> {
    // A reading that has begun may have missed what the caller knows of.
    await this.#reading?.catch(() => {})
    this.#apply(await this.#read())
    return this.#state
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#timer)
    this.#doorbell.close()
    this.#client.close()
  }

  /** Reads at once when all was quiet; else `QUIET` after the last reading began. */
  #ring(): void {
    if (this.#rung || this.#closed) return
    this.#rung = true
    clearTimeout(this.#timer)
    const answer = () => void this.#answer()
    const wait = this.#lastRead + QUIET - performance.now()
    // The microtask comes when all that the kernel has said has been heard.
    if (wait <= 0) queueMicrotask(answer)
    else this.#timer = setTimeout(answer, wait).unref()
  }

  async #answer(): Promise<void> {
    this.#rung = false
    let now: NetworkState
    try {
      await this.#reading?.catch(() => {})
      now = await this.#read()
    } catch (error) {
      if (this.#closed) return
      this.#timer = setTimeout(() => this.#ring(), RETRY).unref()
      this.emit('error', error as Error)
      return
    }
    // Not within the try: an error of a listener is the listener's.
    this.#apply(now)
  }

  #read(): Promise<NetworkState> {
    this.#reading ??= this.#dumpAll().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  async #dumpAll(): Promise<NetworkState> {
    this.#lastRead = performance.now()
    const dumps = await Promise.all(
      DUMPS.map(({ type, payload }) => this.#client.dump(type, payload, 'rtnetlink dump')),
    )
    const links = new Map<number, LinkInfo & { addresses: LinkAddress[] }>()
    const defaultRoutes: DefaultRoute[] = []
    for (const message of dumps.flat()) {
      const said = decodeRtnetlink(message)
      if (said?.type === 'link') links.set(said.link.index, { ...said.link, addresses: [] })
      // A link that has come since the links were read will ring.
      if (said?.type === 'address') links.get(said.interfaceIndex)?.addresses.push(said.address)
      if (said?.type === 'route') defaultRoutes.push(...said.routes)
    }
    return { links, defaultRoutes: defaultRoutes.sort((a, b) => a.metric - b.metric) }
  }

  #apply(now: NetworkState): void {
    const before = this.#state
    const reasons = changesBetween(before, now)
    if (reasons.length === 0 || this.#closed) return
    this.#state = now
    this.emit('change', before, now, reasons)
  }
}

/** What has changed, in words. Pure. */
export function changesBetween(before: NetworkState, now: NetworkState): ChangeReason[] {
  const indices = new Set([...before.links.keys(), ...now.links.keys()])
  const reasons = [...indices].flatMap(index => linkChanges(before.links.get(index), now.links.get(index)))
  const routes = (type: 'route-added' | 'route-removed', of: NetworkState, notIn: NetworkState) => {
    const known = new Set(notIn.defaultRoutes.map(route => JSON.stringify(route)))
    for (const route of of.defaultRoutes) {
      if (known.has(JSON.stringify(route))) continue
      const index = route.interfaceIndex
      reasons.push({ type, interface: of.links.get(index)?.name, index, family: route.family })
    }
  }
  routes('route-removed', before, now)
  routes('route-added', now, before)
  return reasons
}

function linkChanges(before: Link | undefined, now: Link | undefined): ChangeReason[] {
  const { name, index } = (now ?? before)!
  const about = { interface: name, index }
  const reasons: ChangeReason[] = []
  if (before === undefined) reasons.push({ type: 'link-added', ...about })
  else if (now === undefined) reasons.push({ type: 'link-removed', ...about })
  else {
    if (before.name !== now.name) reasons.push({ type: 'link-renamed', ...about })
    if (before.up !== now.up) reasons.push({ type: now.up ? 'link-up' : 'link-down', ...about })
    if (before.carrier !== now.carrier)
      reasons.push({ type: now.carrier ? 'carrier-gained' : 'carrier-lost', ...about })
    const other = before.operstate !== now.operstate || before.mtu !== now.mtu || before.flags !== now.flags
    if (other && reasons.length === 0) reasons.push({ type: 'link-changed', ...about })
  }
  return [...reasons, ...addressChanges(before?.addresses ?? [], now?.addresses ?? [], about)]
}

function addressChanges(
  before: readonly LinkAddress[],
  now: readonly LinkAddress[],
  about: { interface: string; index: number },
): ChangeReason[] {
  const reasons: ChangeReason[] = []
  const same = (a: LinkAddress, b: LinkAddress) => a.address === b.address && a.prefixLength === b.prefixLength
  for (const old of before)
    if (!now.some(address => same(address, old)))
      reasons.push({ type: 'address-removed', ...about, address: old.address })
  for (const address of now) {
    const old = before.find(candidate => same(candidate, address))
    if (old === undefined) reasons.push({ type: 'address-added', ...about, address: address.address })
    else if (old.tentative && !address.tentative)
      reasons.push({ type: 'address-usable', ...about, address: address.address })
    else if (JSON.stringify(old) !== JSON.stringify(address))
      reasons.push({ type: 'address-changed', ...about, address: address.address })
  }
  return reasons
}
