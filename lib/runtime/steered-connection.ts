/** One steered connection, as it is followed from sample to sample: what its subflows are, and what was asked for. */
import { BOTH } from '../policy/accesses.js'
import type { Carrying } from '../policy/load-balance.js'
import { NO_RETRIES, nextRetry, type Retry, retryAfter } from '../policy/plan.js'
import type { AccessType } from '../policy/rules.js'
import type { SubflowState } from '../policy/snapshot.js'
import { carryingOf } from './carrying.js'
import { type Carriage, carriage, type Followed, NEW, next } from './followed-subflow.js'
import type { AddressPort, SubflowName } from './path-manager.js'
import { RefusedActions } from './refused-actions.js'
import { SOCKET, type SocketSample, type SubflowAddresses } from './sampler.js'

/** What the session says of a connection. */
export interface Steered {
  token: number
  fd: number
  /** Where further subflows go: the converter, or the server; undefined: where the peer announces that it listens. */
  remote: AddressPort | undefined
  family: 4 | 6
  /** Under which rule it is. */
  rule: number
}

interface Join {
  at: number
  backup: boolean
}

/** A join that no sample shows for so long has come to nothing, in milliseconds. */
const JOIN_UNSEEN_MS = 300
/** A subflow that has been there for so long, or has carried data, was not refused, in milliseconds. */
const PROVEN_MS = 2_000
/** A subflow that ends so soon counts as a failure, in milliseconds. */
const SHORT_LIFE_MS = 10_000

export class SteeredConnection {
  readonly token: number
  readonly fd: number
  remote: AddressPort | undefined
  readonly family: 4 | 6
  rule: number
  readonly retries: Record<AccessType, Retry> = { ...NO_RETRIES }
  readonly refused = new RefusedActions()
  readonly #subflows = new Map<number, Followed>()
  readonly #joins: Partial<Record<AccessType, Join>> = {}
  /** By address: the kernel wants each address under one id. */
  readonly #ids = new Map<string, number>()
  /** As its rule's load balance wants it, in bytes as the kernel counts; undefined: nobody has touched it. */
  sendBuffer: number | undefined
  /** Whether the kernel lets us ask the peer what has arrived. */
  mayAsk = true
  #carried: readonly Carriage[] = []

  constructor({ token, fd, remote, family, rule }: Steered) {
    this.token = token
    this.fd = fd
    this.remote = remote
    this.family = family
    this.rule = rule
  }

  /** For the policy; joins that no sample has shown yet included. */
  get subflows(): SubflowState[] {
    if (!this.#joins['3gpp'] && !this.#joins['non-3gpp']) return [...this.#subflows.values()]
    const joining = BOTH.filter(access => this.#joins[access]).map((access): SubflowState => {
      const { at, backup } = this.#joins[access]!
      return { ...NEW, id: UNSEEN, access, backup, madeAt: at, progressAt: at }
    })
    return [...this.#subflows.values(), ...joining]
  }

  name(id: number): SubflowName | undefined {
    return this.#subflows.get(id)?.name
  }

  /** By which the peer knows the subflow's local address, unless another one from there is open, or shall be. */
  idOfItsOwn(id: number): number | undefined {
    const { localId, access } = this.#subflows.get(id)!
    const twin = [...this.#subflows.values()].some(
      other => other.id !== id && other.localId === localId && other.state !== 'closed',
    )
    const joining = access !== undefined && localId !== 0 && this.#joins[access] !== undefined
    return twin || joining ? undefined : localId
  }

  /** The end of the first subflow, as told to the peer. */
  #farewell = { at: Number.NEGATIVE_INFINITY, times: 0 }

  /**
   * Whether to tell the peer again that the first subflow has ended. The kernel keeps it and ends it with a FIN, which ends
   * nothing for MPTCP: a peer that has not had REMOVE_ADDR goes on sending there, is acknowledged, and nobody reads it.
   */
  farewell(now: number): boolean {
    const { at, times } = this.#farewell
    const subflows = [...this.#subflows.values()]
    if (!subflows.some(({ localId, lingers }) => localId === 0 && lingers)) return false
    const reachable = subflows.some(({ state, heardAt }) => state === 'established' && heardAt > at)
    if (!reachable || now < at + retryAfter(times, 0.5)) return false
    this.#farewell = { at: now, times: times + 1 }
    return true
  }

  /** Whether nothing has been acknowledged or is waiting to be, on any subflow, since the sample before. */
  idle = false
  /** When it last was not. */
  movedAt = Number.NEGATIVE_INFINITY

  /** What its counters were when it was last followed; undefined: something has happened since, or may. */
  #restedWith: Counters | undefined
  #restedAt = Number.NEGATIVE_INFINITY

  /** Whether nothing is under way; whether that still is so, its counters tell. */
  get mayRest(): boolean {
    return this.#restedWith !== undefined
  }

  /**
   * Whether nothing has happened since it was followed: what is known of its subflows is what there is to know.
   *
   * @param records of `SOCKET`, its own at `at`
   */
  rests(records: Float64Array, at: number, now: number): boolean {
    const before = this.#restedWith
    if (!before || records[at + SOCKET.errno] !== 0 || records[at + SOCKET.token] !== this.token) return false
    if (records[at + SOCKET.outstanding] !== 0) return false
    for (const counter of COUNTERS) if (records[at + SOCKET[counter]] !== before[counter]) return false
    this.#restedAt = now
    this.#carried = []
    return true
  }

  /** What it has told since the look before, for the load balance. */
  get carrying(): Carrying {
    return carryingOf(this.token, this.#carried)
  }

  get #isSettled(): boolean {
    const joining = this.subflows.some(({ state }) => state === 'joining')
    return !joining && !this.refused.any && BOTH.every(access => this.retries[access].failures === 0)
  }

  /** It is to be followed at the next look. */
  disturb(): void {
    this.#restedWith = undefined
  }

  /**
   * @param addresses asked of the kernel only for subflows that are new
   * @param accessAt whose address it is
   * @returns what each subflow has carried
   */
  follow(
    sample: SocketSample,
    now: number,
    addresses: () => SubflowAddresses[],
    accessAt: (address: string) => AccessType | undefined,
    random: () => number,
  ): Carriage[] {
    const known = sample.subflows.every(({ id }) => this.#subflows.has(id))
    const named = known ? [] : addresses()
    const carried: Carriage[] = []
    for (const seen of sample.subflows) {
      const before = this.#subflows.get(seen.id) ?? this.#begin(seen.id, named, now, accessAt)
      if (!before) continue
      const after = next(before, seen, now, this.#restedAt)
      this.#subflows.set(seen.id, after)
      if (before.access) this.#judge(before.access, before, after, now, random)
      if (before.access && after.state === 'established') carried.push(carriage(before.access, before, after))
    }
    for (const [id, subflow] of [...this.#subflows]) {
      if (sample.subflows.some(seen => seen.id === id)) continue
      this.#subflows.delete(id)
      this.refused.forget(id)
      if (subflow.access) this.#judge(subflow.access, subflow, { ...subflow, state: 'closed' }, now, random)
    }
    this.#carried = carried
    this.#forgetJoins(now, random)
    this.idle =
      carried.every(({ acked, sent }) => acked === 0 && sent === 0) && !this.subflows.some(one => one.outstanding)
    if (!this.idle) this.movedAt = now
    const open = sample.outstanding !== 0 || this.subflows.some(({ outstanding }) => outstanding)
    // Older kernels do not count: nothing is known of a connection without its subflows.
    this.#restedWith = !open && this.#isSettled ? sample : undefined
    return carried
  }

  /** @returns the id for this address */
  join(access: AccessType, address: string, backup: boolean, now: number): number {
    this.#joins[access] = { at: now, backup }
    this.disturb()
    const id = this.#ids.get(address) ?? this.#ids.size + 1
    this.#ids.set(address, id)
    return id
  }

  joinFailed(access: AccessType, now: number, random: () => number): void {
    delete this.#joins[access]
    this.#failed(access, now, random)
  }

  setBackup(id: number, backup: boolean): void {
    const subflow = this.#subflows.get(id)
    if (subflow) subflow.backup = backup
    this.disturb()
  }

  /** The peer has been asked over this subflow what has arrived. */
  asked(id: number, now: number): void {
    const subflow = this.#subflows.get(id)
    if (subflow) subflow.askedAt = now
  }

  /** Addresses have come or gone. */
  readdress(accessAt: (address: string) => AccessType | undefined): void {
    for (const subflow of this.#subflows.values())
      if (subflow.access) subflow.addressGone = accessAt(subflow.name.local.address) !== subflow.access
    this.disturb()
  }

  destroyed(id: number, now: number): void {
    const subflow = this.#subflows.get(id)
    if (subflow) subflow.state = 'closed'
    if (subflow?.localId === 0) this.#farewell = { at: now, times: 1 }
    this.disturb()
  }

  /** It has been asked for, and refused: what becomes of it, the next sample says. */
  notDestroyed(id: number): void {
    const subflow = this.#subflows.get(id)
    if (subflow) subflow.state = 'established'
    this.disturb()
  }

  /** The access has come back: what failed while it was away says nothing any more. */
  forgive(access: AccessType): void {
    this.retries[access] = NO_RETRIES[access]
  }

  #begin(
    id: number,
    named: SubflowAddresses[],
    now: number,
    accessAt: (address: string) => AccessType | undefined,
  ): Followed | undefined {
    const found = named.find(subflow => subflow.id === id)
    if (!found) return undefined
    const access = accessAt(found.local.address)
    const join = access && this.#joins[access]
    if (access) delete this.#joins[access]
    return {
      ...NEW,
      id,
      access,
      backup: join?.backup ?? false,
      madeAt: join?.at ?? now,
      progressAt: now,
      name: { token: this.token, local: found.local, remote: found.remote },
      localId: join ? (this.#ids.get(found.local.address) ?? 0) : 0,
      joined: join !== undefined,
      lingers: false,
      bytesAcked: 0,
      bytesSent: 0,
      bytesRetrans: 0,
      bytesReceived: 0,
      notsentBytes: 0,
      minRttMs: 0,
    }
  }

  #judge(access: AccessType, before: Followed, after: Followed, now: number, random: () => number): void {
    // A peer that refuses a join may do so after its handshake.
    if (after.state === 'established' && (after.bytesReceived > 0 || now - after.madeAt > PROVEN_MS))
      this.forgive(access)
    // One that we have ended is closed before the sample says so.
    if (before.state !== 'closed' && after.state === 'closed' && now - after.madeAt < SHORT_LIFE_MS)
      this.#failed(access, now, random)
  }

  #forgetJoins(now: number, random: () => number): void {
    for (const access of BOTH) {
      const join = this.#joins[access]
      if (join && now - join.at > JOIN_UNSEEN_MS) this.joinFailed(access, now, random)
    }
  }

  #failed(access: AccessType, now: number, random: () => number): void {
    this.retries[access] = nextRetry(this.retries[access], now, random())
  }
}

/** What moves when anything does. */
const COUNTERS = ['bytesSent', 'bytesReceived', 'bytesAcked', 'bytesRetrans', 'retransmits'] as const
type Counters = Pick<SocketSample, (typeof COUNTERS)[number]>

/** Of a join that has been asked for and not been seen. */
const UNSEEN = -1
