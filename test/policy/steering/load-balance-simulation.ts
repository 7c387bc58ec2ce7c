/**
 * Senders over two accesses, simulated by the millisecond, as far as load balancing depends on them: this device, and a peer that
 * learns of a backup flag a one-way delay later and whose bytes count when they arrive. The kernel's scheduler
 * gives data to the active subflow whose queue drains soonest, as long as that has room; a subflow sends its assigned data
 * as its window allows; acknowledgements come a round trip later; what a link's buffer does not hold is lost and sent again.
 * Windows grow as with Reno after a slow start. Its numbers are near those of Linux 6.18 over emulated links.
 */

import type { AccessType } from '../../../lib/policy/rules/rule.js'
import type { ConnectionLoad, Placement } from '../../../lib/policy/steering/load-balance.js'
import type { Use } from '../../../lib/policy/steering/snapshot.js'
import { seeded } from '../../support/random.js'

/** Bytes that the application wants to send at that millisecond; Infinity: all that there is room for. */
export type Source = (now: number) => number

/** What a connection carries: up alone, or in either direction. */
export type Traffic = Source | { up?: Source; down?: Source }

export interface Link {
  mbps: number
  delayMs: number
}

export const LINKS: Readonly<Record<AccessType, Link>> = {
  '3gpp': { mbps: 50, delayMs: 10 },
  'non-3gpp': { mbps: 20, delayMs: 30 },
}

/** A control law: from the input of a pass to the place of each connection, by token. */
export type Law = (
  told: readonly ConnectionLoad[],
  now: number,
) => ReadonlyMap<number, Pick<Placement, 'uses' | 'sendBuffer'>>

export interface Outcome {
  /** Bytes that have arrived over each access by then, every 10 ms: all, and those of each direction. */
  received: { at: number; bytes: ByAccess; up: ByAccess; down: ByAccess }[]
  /** Backup flags set or cleared. */
  flags: number
}

type ByAccess = Readonly<Record<AccessType, number>>
type Links = Readonly<Record<AccessType, Wire>>

const BOTH = ['3gpp', 'non-3gpp'] as const
const SEGMENT = 1428
/** MPTCP_SEND_BURST_SIZE */
const BURST = 65_428
/** How long a packet may wait in a link's buffer. */
const BUFFER_MS = 100
/** How much a subflow holds: this many windows, up to net.ipv4.tcp_wmem; if the buffer size is set, a part of that. */
const SEND_BUFFER = { least: 87_040, most: 2_000_000, windows: 5, part: 0.28 }
/** A sender that waits for room is woken when this much of its buffer is free. */
const WAKE = 1 / 3
/** How many milliseconds after a connection its second subflow is there. */
const JOIN_MS = 100

export interface Simulation {
  forMs?: number
  periodMs?: number
  /** Passes come up to half a period late, as on a busy machine; 0: punctually. */
  seed?: number
  links?: Readonly<Record<AccessType, Link>>
  /** Non-3GPP access is not there for a while. */
  away?: { from: number; to: number } | undefined
}

/**
 * @param starts over which access each source's connection begins
 */
export function simulate(
  sources: readonly Traffic[],
  starts: readonly AccessType[],
  law: Law,
  { forMs = 12_000, periodMs = 25, seed = 1, away, links = LINKS }: Simulation = {},
): Outcome {
  const random = seeded(seed)
  const wires = () => ({ '3gpp': new Wire(links['3gpp']), 'non-3gpp': new Wire(links['non-3gpp']) })
  const uplinks = wires()
  const downlinks = wires()
  const connections = sources.map((source, token) => {
    const { up, down } = typeof source === 'function' ? { up: source } : source
    return new Pair(
      token,
      up && new Connection(up, uplinks, starts[token]!),
      down && new Connection(down, downlinks, starts[token]!),
      links,
    )
  })
  const received: Outcome['received'] = []
  let flags = 0
  let pass = periodMs
  for (let now = 0; now < forMs; now++) {
    for (const access of BOTH) {
      uplinks[access].arrive(now)
      downlinks[access].arrive(now)
    }
    for (const connection of connections) {
      if (now === away?.from) connection.lose('non-3gpp')
      if (now === away?.to) connection.join('non-3gpp')
      connection.run(now)
    }
    if (now % 10 === 0) {
      const of = (one: Links) => ({ '3gpp': one['3gpp'].delivered, 'non-3gpp': one['non-3gpp'].delivered })
      const [up, down] = [of(uplinks), of(downlinks)]
      const bytes = { '3gpp': up['3gpp'] + down['3gpp'], 'non-3gpp': up['non-3gpp'] + down['non-3gpp'] }
      received.push({ at: now, bytes, up, down })
    }
    if (now < pass) continue
    pass = now + (seed ? Math.round(periodMs * (1 + random() / 2)) : periodMs)
    const placed = law(
      connections.map(connection => connection.tell()),
      now,
    )
    for (const connection of connections) flags += connection.obey(placed.get(connection.token)!, now)
  }
  return { received, flags }
}

class Wire {
  delivered = 0
  readonly #perMs: number
  readonly #delayMs: number
  #free = 0
  /** What happens at a millisecond. */
  readonly #events = new Map<number, (() => void)[]>()

  constructor({ mbps, delayMs }: Link) {
    this.#perMs = (mbps * 1000) / 8
    this.#delayMs = delayMs
  }

  get roundTripMs(): number {
    return 2 * this.#delayMs
  }

  send(now: number, bytes: number, arrived: () => void, acknowledged: (now: number) => void, lost: () => void): void {
    const free = Math.max(this.#free, now)
    if (free - now > BUFFER_MS) return this.#at(now + this.#delayMs * 2 + BUFFER_MS, lost)
    this.#free = free + (bytes + 72) / this.#perMs
    this.#at(Math.ceil(this.#free) + this.#delayMs, () => {
      this.delivered += bytes
      arrived()
    })
    const back = Math.ceil(this.#free) + this.#delayMs * 2
    this.#at(back, () => acknowledged(back))
  }

  arrive(now: number): void {
    for (const happen of this.#events.get(now) ?? []) happen()
    this.#events.delete(now)
  }

  #at(when: number, happen: () => void): void {
    const there = this.#events.get(when)
    if (there) there.push(happen)
    else this.#events.set(when, [happen])
  }
}

class Subflow {
  backup = false
  /** Given to it by the scheduler, in all; and what of it has arrived. */
  assigned = 0
  delivered = 0
  /** Of that, never sent; to be sent again; on its way. */
  queued = 0
  #again = 0
  #flying = 0
  #window = 10 * SEGMENT
  #threshold = Number.POSITIVE_INFINITY
  /** How much it grows by itself to hold. */
  #buffer = SEND_BUFFER.least
  limit = Number.POSITIVE_INFINITY
  #rttMs: number
  #allowance = 0
  #reducedAt = 0
  readonly #wire: Wire

  constructor(wire: Wire) {
    this.#wire = wire
    this.#rttMs = wire.roundTripMs
  }

  get buffer(): number {
    return Math.min(this.#buffer, this.limit)
  }

  get room(): number {
    return this.buffer - this.held
  }

  get held(): number {
    return this.queued + this.#again + this.#flying
  }

  /** Bytes per millisecond: as the kernel paces. */
  get pace(): number {
    return ((this.#window < this.#threshold ? 2 : 1.2) * this.#window) / this.#rttMs
  }

  give(bytes: number): void {
    this.assigned += bytes
    this.queued += bytes
  }

  run(now: number): void {
    this.#allowance = Math.min(this.#allowance + this.pace, 2 * this.pace + SEGMENT)
    while (this.#allowance > 0 && this.#flying < this.#window && this.#again + this.queued > 0) {
      const again = this.#again > 0
      const bytes = Math.min(SEGMENT, again ? this.#again : this.queued)
      if (again) this.#again -= bytes
      else this.queued -= bytes
      this.#flying += bytes
      this.#allowance -= bytes
      const full = this.#flying >= this.#window
      this.#wire.send(
        now,
        bytes,
        () => {
          this.delivered += bytes
        },
        later => this.#acknowledged(bytes, later - now, full),
        () => this.#lost(bytes, now),
      )
    }
  }

  #acknowledged(bytes: number, rttMs: number, wasFull: boolean): void {
    this.#flying -= bytes
    this.#rttMs += (rttMs - this.#rttMs) / 8
    if (this.#rttMs > 1.25 * this.#wire.roundTripMs && this.#window < this.#threshold) this.#threshold = this.#window
    if (!wasFull && this.#flying < this.#window / 2) return
    this.#window += this.#window < this.#threshold ? bytes : (SEGMENT * bytes) / this.#window
    this.#buffer = Math.min(Math.max(this.#buffer, SEND_BUFFER.windows * this.#window), SEND_BUFFER.most)
  }

  #lost(bytes: number, sentAt: number): void {
    this.#flying -= bytes
    this.#again += bytes
    if (sentAt < this.#reducedAt) return
    this.#reducedAt = sentAt + this.#rttMs
    this.#window = Math.max(0.7 * this.#window, 2 * SEGMENT)
    this.#threshold = this.#window
  }
}

/** A connection with its two directions, as the device sees it. */
class Pair {
  readonly token: number
  readonly #up: Connection | undefined
  readonly #down: Connection | undefined
  readonly #links: Readonly<Record<AccessType, Link>>
  /** Flags on their way to the peer. */
  #messages: { at: number; access: AccessType; use: Use }[] = []
  #uses: Record<AccessType, Use> = { '3gpp': 'active', 'non-3gpp': 'active' }
  readonly #peerUses: Record<AccessType, Use> = { '3gpp': 'active', 'non-3gpp': 'active' }

  constructor(
    token: number,
    up: Connection | undefined,
    down: Connection | undefined,
    links: Readonly<Record<AccessType, Link>>,
  ) {
    this.token = token
    this.#up = up
    this.#down = down
    this.#links = links
  }

  join(access: AccessType): void {
    this.#up?.join(access)
    this.#down?.join(access)
  }

  lose(access: AccessType): void {
    this.#up?.lose(access)
    this.#down?.lose(access)
  }

  run(now: number): void {
    for (const { at, access, use } of this.#messages) {
      if (at > now) continue
      this.#peerUses[access] = use
      this.#down?.obey({ uses: this.#peerUses, sendBuffer: undefined })
    }
    this.#messages = this.#messages.filter(({ at }) => at > now)
    this.#up?.run(now)
    this.#down?.run(now)
  }

  tell(): ConnectionLoad {
    const none = { '3gpp': 0, 'non-3gpp': 0 }
    const { movable } = (this.#up ?? this.#down)!
    return {
      token: this.token,
      assigned: this.#up?.assignedSince() ?? none,
      received: this.#down?.deliveredSince() ?? none,
      queued: this.#up?.queued ?? none,
      minRttMs: { '3gpp': 2 * this.#links['3gpp'].delayMs, 'non-3gpp': 2 * this.#links['non-3gpp'].delayMs },
      movable,
    }
  }

  /** @returns how many flags that changes */
  obey(placed: Pick<Placement, 'uses' | 'sendBuffer'>, now: number): number {
    let changed = 0
    for (const access of BOTH) {
      const use = placed.uses[access]
      if (this.#uses[access] === use || !(this.#up ?? this.#down)!.movable) continue
      changed++
      this.#uses[access] = use
      // A flag is sent over the subflow that it is about.
      this.#messages.push({ at: now + this.#links[access].delayMs, access, use })
    }
    this.#up?.obey(placed)
    return changed
  }
}

class Connection {
  readonly #source: Source
  readonly #links: Links
  readonly #first: AccessType
  readonly #subflows: Partial<Record<AccessType, Subflow>> = {}
  /** Written by the application and assigned to no subflow yet. */
  #pending = 0
  /** All that it may hold; undefined: as much as its subflows. */
  #sendBuffer: number | undefined
  #told = { '3gpp': 0, 'non-3gpp': 0 }

  constructor(source: Source, links: Links, first: AccessType) {
    this.#source = source
    this.#links = links
    this.#first = first
    this.#subflows[first] = new Subflow(links[first])
  }

  join(access: AccessType): void {
    this.#subflows[access] = new Subflow(this.#links[access])
    this.#subflows[access].backup = true
  }

  /** What was assigned to its subflow there is assigned to the other one. */
  lose(access: AccessType): void {
    this.#pending += this.#subflows[access]?.held ?? 0
    delete this.#subflows[access]
    this.#told[access] = 0
  }

  run(now: number): void {
    const subflows = Object.values(this.#subflows)
    if (now === JOIN_MS) this.join(this.#first === '3gpp' ? 'non-3gpp' : '3gpp')
    const held = subflows.reduce((sum, subflow) => sum + subflow.held, this.#pending)
    const buffer = this.#sendBuffer ?? subflows.reduce((sum, subflow) => sum + subflow.buffer, 0)
    const wanted = this.#source(now)
    if (this.#sendBuffer === undefined || buffer - held > WAKE * buffer)
      this.#pending += Math.max(0, Math.min(wanted, buffer - held))
    this.#schedule(subflows)
    for (const subflow of subflows) subflow.run(now)
  }

  get movable(): boolean {
    return this.#subflows['3gpp'] !== undefined && this.#subflows['non-3gpp'] !== undefined
  }

  get queued(): ByAccess {
    return this.#now(subflow => subflow.queued)
  }

  assignedSince(): ByAccess {
    return this.#since(this.#now(subflow => subflow.assigned))
  }

  deliveredSince(): ByAccess {
    return this.#since(this.#now(subflow => subflow.delivered))
  }

  obey({ uses, sendBuffer }: Pick<Placement, 'uses' | 'sendBuffer'>): void {
    this.#sendBuffer = sendBuffer
    const limit = sendBuffer === undefined ? Number.POSITIVE_INFINITY : SEND_BUFFER.part * sendBuffer
    for (const subflow of Object.values(this.#subflows)) subflow.limit = limit
    for (const access of BOTH) {
      const subflow = this.#subflows[access]
      if (subflow) subflow.backup = uses[access] === 'backup'
    }
  }

  #now(of: (subflow: Subflow) => number): ByAccess {
    const value = (subflow: Subflow | undefined) => (subflow ? of(subflow) : 0)
    return { '3gpp': value(this.#subflows['3gpp']), 'non-3gpp': value(this.#subflows['non-3gpp']) }
  }

  #since(total: ByAccess): ByAccess {
    const before = this.#told
    this.#told = { ...total }
    return { '3gpp': total['3gpp'] - before['3gpp'], 'non-3gpp': total['non-3gpp'] - before['non-3gpp'] }
  }

  #schedule(subflows: readonly Subflow[]): void {
    const active = subflows.filter(subflow => !subflow.backup)
    const usable = active.length > 0 ? active : subflows
    while (this.#pending > 0) {
      const best = usable.reduce((a, b) => (b.held / b.pace < a.held / a.pace ? b : a))
      if (best.room <= 0) return
      const bytes = Math.min(BURST, this.#pending)
      best.give(bytes)
      this.#pending -= bytes
    }
  }
}
