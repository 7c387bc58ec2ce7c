/** One steered connection, as it is followed from sample to sample: what its subflows are, and what was asked for. */

import type { AccessType } from '../../policy/rules/rule.js'
import { BOTH } from '../../policy/steering/accesses.js'
import { NO_RETRIES, nextRetry, type Retry, retryAfter } from '../../policy/steering/plan.js'
import type { SubflowState } from '../../policy/steering/snapshot.js'
import type { SocketSample, SubflowAddresses } from '../kernel/sampler.js'
import type { AddressPort, SubflowName } from '../network/path-manager.js'
import { Stillness } from './activity.js'
import { RefusedActions } from './refused-actions.js'
import { type Carriage, carriage, type Followed, NEW, takeOver } from './subflow.js'

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

  constructor({ token, fd, remote, family, rule }: Steered) {
    this.token = token
    this.stillness = new Stillness(token)
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
  readonly stillness: Stillness

  get #isSettled(): boolean {
    const joining = this.subflows.some(({ state }) => state === 'joining')
    return !joining && !this.refused.any && BOTH.every(access => this.retries[access].failures === 0)
  }

  /** It is to be followed at the next look. */
  disturb(): void {
    this.stillness.mayRest = false
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
      const subflow = this.#subflows.get(seen.id) ?? this.#begin(seen.id, named, now, accessAt)
      if (!subflow) continue
      const { access, state } = subflow
      const told = access && carriage(access, subflow, seen)
      takeOver(subflow, seen, now, this.stillness.restedAt)
      if (access) this.#judge(access, state, subflow, now, random)
      if (told && subflow.state === 'established') carried.push(told)
    }
    for (const [id, subflow] of this.#subflows) {
      if (sample.subflows.some(seen => seen.id === id)) continue
      this.#subflows.delete(id)
      this.refused.forget(id)
      const { access, state } = subflow
      subflow.state = 'closed'
      if (access) this.#judge(access, state, subflow, now, random)
    }
    this.#forgetJoins(now, random)
    const awaits = this.subflows.some(({ outstanding }) => outstanding)
    this.idle = !awaits && carried.every(({ acked, sent }) => acked === 0 && sent === 0)
    const mayRest = sample.outstanding === 0 && !awaits && this.#isSettled
    this.stillness.note(sample, { idle: this.idle, mayRest }, now)
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
    // All fields at once, and not those of `NEW` first: objects of one shape are read faster, and these are read all the time.
    const begun: Followed = {
      id,
      access,
      state: 'joining',
      backup: join?.backup ?? false,
      madeAt: join?.at ?? now,
      heardAt: Number.NEGATIVE_INFINITY,
      progressAt: now,
      outstanding: false,
      unacked: 0,
      window: 0,
      askedAt: Number.NEGATIVE_INFINITY,
      addressGone: false,
      rttMs: 0,
      name: { token: this.token, local: found.local, remote: found.remote },
      localId: join ? (this.#ids.get(found.local.address) ?? 0) : 0,
      joined: join !== undefined,
      lingers: false,
      bytesAcked: 0,
      bytesSent: 0,
      bytesRetrans: 0,
      bytesReceived: 0,
      notsentBytes: 0,
    }
    this.#subflows.set(id, begun)
    return begun
  }

  #judge(access: AccessType, before: Followed['state'], after: Followed, now: number, random: () => number): void {
    // A peer that refuses a join may do so after its handshake.
    if (after.state === 'established' && (after.bytesReceived > 0 || now - after.madeAt > PROVEN_MS))
      this.forgive(access)
    // One that we have ended is closed before the sample says so.
    if (before !== 'closed' && after.state === 'closed' && now - after.madeAt < SHORT_LIFE_MS)
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

/** Of a join that has been asked for and not been seen. */
const UNSEEN = -1
