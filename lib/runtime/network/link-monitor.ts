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
  type RtnetlinkMessage,
} from '../../wire/netlink/route.js'
import { differs, LinkGlimpse } from './link-poll.js'
import {
  NETLINK_ROUTE,
  NetlinkClient,
  type NetlinkClientOptions,
  type NetlinkConnection,
  type OpenNetlink,
  openNetlink,
} from './netlink.js'
import { type ChangeReason, changesBetween, type NetworkState } from './network-state.js'

export type { DefaultRoute, LinkAddress, Operstate } from '../../wire/netlink/route.js'
export { type ChangeReason, changesBetween, isUsable, type Link, type NetworkState } from './network-state.js'

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

/** The least time from one reading to the next, ms: a change is mostly announced by several messages. */
const QUIET = 1
/** After an error, ms. */
const RETRY = 1000
/**
 * How long, and how often, the links are looked at after a carrier has come or gone, ms. For the kernel announces a lost
 * carrier at most once a second, for all links of the machine in all its namespaces together (net/core/link_watch.c).
 */
const AFTERMATH = { duration: 1100, interval: 5 }

const CARRIER: ReadonlySet<string> = new Set<ChangeReason['type']>(['link-up', 'carrier-gained', 'carrier-lost'])

export class LinkMonitor extends EventEmitter<LinkMonitorEvents> {
  readonly #open: OpenNetlink
  readonly #client: NetlinkClient
  readonly #doorbell: NetlinkConnection
  #state: NetworkState = { links: new Map(), defaultRoutes: [] }
  #reading: Promise<NetworkState> | undefined
  #lastRead = Number.NEGATIVE_INFINITY
  /** It has rung, and nobody has answered yet. */
  #rung = false
  #timer: NodeJS.Timeout | undefined
  #interval = Number.POSITIVE_INFINITY
  /** All, when undefined. */
  #watched: readonly string[] | undefined
  #glimpse: LinkGlimpse | undefined
  #aftermath = Number.NEGATIVE_INFINITY
  #glances: NodeJS.Timeout | undefined
  #closed = false

  /** @internal `openLinkMonitor` makes it */
  constructor(options: NetlinkClientOptions) {
    super()
    const { open = openNetlink } = options
    this.#open = open
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

  /**
   * Looks at the links every so many milliseconds, beside being told: `Infinity`, as at first, ends it. The kernel may tell
   * of a lost carrier a second late (see `AFTERMATH`): whoever has data at stake does not wait for that.
   *
   * @param interfaces by their names: a look at a few takes some 10 µs, at all of them more with each
   */
  watch(interval: number, interfaces?: readonly string[]): void {
    this.#interval = interval
    this.#watched = interfaces
    this.#watchOn()
  }

  /** Reads now, some 200 µs; resolves with what is there, after `change` if there was one. */
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
    clearTimeout(this.#glances)
    this.#doorbell.close()
    this.#client.close()
    this.#glimpse?.close()
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

  #watchOn(): void {
    clearTimeout(this.#glances)
    const interval = Math.min(this.#interval, performance.now() < this.#aftermath ? AFTERMATH.interval : this.#interval)
    if (Number.isFinite(interval) && !this.#closed)
      this.#glances = setTimeout(() => void this.#glance(), interval).unref()
  }

  /** At the links only; what it sees is read again with everything else. */
  async #glance(): Promise<void> {
    const known = this.#state.links
    try {
      if (this.#watched) {
        const watched = [...known.values()].filter(({ name }) => this.#watched!.includes(name))
        this.#glimpse ??= new LinkGlimpse(this.#open)
        if (this.#glimpse.hasChanged(watched)) this.#ring()
        return this.#watchOn()
      }
      const links = (await this.#dump(DUMPS[0]!)).flatMap(said => (said.type === 'link' ? [said.link] : []))
      if (links.length !== known.size || links.some(link => differs(known.get(link.index), link))) this.#ring()
    } catch {
      // The next look may see; whether reading works is said when everything is read.
    }
    this.#watchOn()
  }

  #read(): Promise<NetworkState> {
    this.#reading ??= this.#dumpAll().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  async #dumpAll(): Promise<NetworkState> {
    this.#lastRead = performance.now()
    const links = new Map<number, LinkInfo & { addresses: LinkAddress[] }>()
    const defaultRoutes: DefaultRoute[] = []
    for (const said of (await Promise.all(DUMPS.map(dump => this.#dump(dump)))).flat()) {
      if (said.type === 'link') links.set(said.link.index, { ...said.link, addresses: [] })
      // A link that has come since the links were read will ring.
      if (said.type === 'address') links.get(said.interfaceIndex)?.addresses.push(said.address)
      if (said.type === 'route') defaultRoutes.push(...said.routes)
    }
    return { links, defaultRoutes: defaultRoutes.sort((a, b) => a.metric - b.metric) }
  }

  async #dump({ type, payload }: { type: number; payload: Uint8Array }): Promise<RtnetlinkMessage[]> {
    const messages = await this.#client.dump(type, payload, 'rtnetlink dump')
    return messages.flatMap(message => decodeRtnetlink(message) ?? [])
  }

  #apply(now: NetworkState): void {
    const before = this.#state
    const reasons = changesBetween(before, now)
    if (reasons.length === 0 || this.#closed) return
    this.#state = now
    if (reasons.some(({ type }) => CARRIER.has(type))) {
      this.#aftermath = performance.now() + AFTERMATH.duration
      this.#watchOn()
    }
    this.emit('change', before, now, reasons)
  }
}
