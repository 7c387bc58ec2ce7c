/**
 * The links, addresses and default routes of this network namespace, as one value. A message from the kernel is only a
 * doorbell: it says when to read everything again. Needs no privilege.
 */
import { EventEmitter } from 'eventemitter3'
import { emitToApplication } from '../../input/application.js'
import {
  type DefaultRoute,
  DUMPS,
  decodeRtnetlink,
  type LinkAddress,
  type LinkInfo,
  RTMGRP_ALL,
  type RtnetlinkMessage,
} from '../../wire/netlink/route.js'
import { differs, type LinkPoll, openLinkPoll } from './link-poll.js'
import {
  NETLINK_ROUTE,
  NetlinkClient,
  type NetlinkClientOptions,
  type NetlinkConnection,
  type OpenNetlink,
  openNetlink,
} from './netlink.js'
import { type ChangeReason, changesBetween, linkNamed, type NetworkState } from './network-state.js'

export type { DefaultRoute, LinkAddress, Operstate } from '../../wire/netlink/route.js'
export {
  type ChangeReason,
  changesBetween,
  isUsable,
  type Link,
  linkNamed,
  type NetworkState,
} from './network-state.js'

export interface LinkMonitorEvents {
  change: [before: NetworkState, now: NetworkState, reasons: ChangeReason[]]
  /** Reading or listening failed, and the state may be out of date. Reading is tried again. */
  error: [error: Error]
}

/** Resolves when the first state has been read. An open monitor does not keep the event loop alive. */
export async function openLinkMonitor(options: NetlinkClientOptions = {}): Promise<LinkMonitor> {
  const monitor = new LinkMonitor(options)
  try {
    await readFirst(monitor)
    return monitor
  } catch (error) {
    monitor.close()
    throw error
  }
}

/** While interfaces come by the hundred, each reading may be interrupted. */
async function readFirst(monitor: LinkMonitor): Promise<void> {
  for (let attempt = 1; ; attempt++)
    try {
      await monitor.refresh()
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EINTR' || attempt === FIRST_READINGS) throw error
    }
}

/** Each takes 0.3 s or more if it is interrupted. */
const FIRST_READINGS = 10

/** The least time between two readings, in milliseconds. The kernel mostly announces a change by several messages. */
const QUIET_MS = 1
/** When to read again after an error, in milliseconds. */
const RETRY_MS = 1000
/** When to read again if the network changed during each reading, in milliseconds: the next event may come much later. */
const CHANGING_RETRY_MS = 50
/** For how long in a row that may be so before it is reported, in milliseconds. */
const CHANGING_MOST_MS = 10_000
/**
 * How long, and how often, the links are polled after a carrier has come or gone, in milliseconds. The kernel announces lost
 * carriers at most once a second, for all links of the machine in all its namespaces together (net/core/link_watch.c).
 */
const AFTERMATH = { durationMs: 1100, intervalMs: 5 }

const CARRIER: ReadonlySet<string> = new Set<ChangeReason['type']>(['link-up', 'carrier-gained', 'carrier-lost'])

export class LinkMonitor extends EventEmitter<LinkMonitorEvents> {
  readonly #open: OpenNetlink
  readonly #client: NetlinkClient
  readonly #doorbell: NetlinkConnection
  #state: NetworkState = { links: new Map(), defaultRoutes: [] }
  #reading: Promise<NetworkState> | undefined
  #lastRead = Number.NEGATIVE_INFINITY
  /** The doorbell has rung, and reading has not begun yet. */
  #rung = false
  #timer: NodeJS.Timeout | undefined
  #interval = Number.POSITIVE_INFINITY
  /** The interfaces to poll; undefined: all. */
  #watched: readonly string[] | undefined
  #poll: LinkPoll | undefined
  #aftermathUntil = Number.NEGATIVE_INFINITY
  #pollTimer: NodeJS.Timeout | undefined
  #closed = false
  /** Since when each reading has been interrupted. */
  #changingSince: number | undefined

  /** @internal `openLinkMonitor` makes it */
  constructor(options: NetlinkClientOptions) {
    super()
    const { open = openNetlink } = options
    this.#open = open
    this.#client = new NetlinkClient(NETLINK_ROUTE, options)
    // Listen before the first reading, so that no change is missed in between.
    const receiver = {
      message: () => this.#ring(),
      overrun: () => this.#ring(),
      failed: (error: Error) => emitToApplication(this, 'error', error),
    }
    try {
      this.#doorbell = open(NETLINK_ROUTE, receiver, { bitmap: RTMGRP_ALL })
    } catch (error) {
      this.#client.close()
      throw error
    }
  }

  /** The last state that was read. It is never modified: a change makes a new value. */
  get state(): NetworkState {
    return this.#state
  }

  /**
   * Polls the links in addition to listening, since the kernel may announce a lost carrier a second late (see `AFTERMATH`).
   *
   * @param interval milliseconds; `Infinity`, the initial value, ends it
   * @param interfaces the names of the links to poll, about 10 µs for a few; all, if undefined
   */
  watch(interval: number, interfaces?: readonly string[]): void {
    this.#interval = interval
    this.#watched = interfaces
    this.#watchOn()
  }

  /** Reads now, in about 200 µs. Resolves with the state, after `change` if there was one. */
  async refresh(): Promise<NetworkState> {
    // A reading that has begun already may miss what the caller knows of.
    await this.#reading?.catch(() => {})
    this.#apply(await this.#read())
    return this.#state
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#timer)
    clearTimeout(this.#pollTimer)
    this.#doorbell.close()
    this.#client.close()
    this.#poll?.close()
  }

  /** Reads at once, but not within `QUIET_MS` of the last reading. */
  #ring(): void {
    if (this.#rung || this.#closed) return
    this.#rung = true
    clearTimeout(this.#timer)
    const answer = () => void this.#answer()
    const wait = this.#lastRead + QUIET_MS - performance.now()
    // The microtask runs once all messages that have arrived are received.
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
      const wait = this.#isStillChanging(error as NodeJS.ErrnoException) ? CHANGING_RETRY_MS : RETRY_MS
      this.#timer = setTimeout(() => this.#ring(), wait).unref()
      if (wait === RETRY_MS) emitToApplication(this, 'error', error as Error)
      return
    }
    this.#changingSince = undefined
    this.#apply(now)
  }

  /** Whether the reading only has to be repeated: EINTR of a dump is an invitation to do so, and what is known stays good. */
  #isStillChanging({ code }: NodeJS.ErrnoException): boolean {
    if (code !== 'EINTR' && code !== 'ENOBUFS') return false
    this.#changingSince ??= performance.now()
    if (performance.now() - this.#changingSince < CHANGING_MOST_MS) return true
    this.#changingSince = undefined
    return false
  }

  #watchOn(): void {
    clearTimeout(this.#pollTimer)
    const interval = Math.min(
      this.#interval,
      performance.now() < this.#aftermathUntil ? AFTERMATH.intervalMs : this.#interval,
    )
    if (Number.isFinite(interval) && !this.#closed)
      this.#pollTimer = setTimeout(() => void this.#pollLinks(), interval).unref()
  }

  /** Reads the links only. If one has changed, everything is read. */
  async #pollLinks(): Promise<void> {
    const known = this.#state.links
    try {
      if (this.#watched) {
        const watched = this.#watched.flatMap(name => linkNamed(this.#state, name) ?? [])
        this.#poll ??= openLinkPoll(this.#open)
        if (this.#poll.hasChanged(watched)) this.#ring()
        return this.#watchOn()
      }
      const links = (await this.#dump(DUMPS[0]!)).flatMap(said => (said.type === 'link' ? [said.link] : []))
      if (links.length !== known.size || links.some(link => differs(known.get(link.index), link))) this.#ring()
    } catch {
      // The next poll may succeed. If reading fails for good, `#answer` reports it.
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
      // A link that was added after the links were read will ring.
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
      this.#aftermathUntil = performance.now() + AFTERMATH.durationMs
      this.#watchOn()
    }
    emitToApplication(this, 'change', before, now, reasons)
  }
}
