/** One steered connection, from sample to sample: its subflows, and what was requested for them. */

import { plainAddress } from '../../input/addresses.js'
import type { AccessType } from '../../policy/rules/rule.js'
import { BOTH, otherAccess } from '../../policy/steering/accesses.js'
import { NO_RETRIES, nextRetry, type Retry, retryAfter } from '../../policy/steering/plan.js'
import { awaitsData, dueAfterHandover, isFlowing, NOTHING_RECEIVED } from '../../policy/steering/reception.js'
import type { SubflowState } from '../../policy/steering/snapshot.js'
import type { SocketSample, SubflowAddresses } from '../kernel/sampler.js'
import type { AccessLinks, SubflowPlace } from '../network/access-links.js'
import type { AddressPort, MptcpEvent, SubflowName } from '../network/path-manager.js'
import { Activity } from './activity.js'
import { type Direction, type Handover, HandoverGap } from './handover-gap.js'
import { OwnAnnouncements } from './own-announcements.js'
import { Peer, type PeerEnd } from './peer.js'
import { applySample, NEW, type SteeredSubflow, type SubflowTransfer, transferSince } from './subflow.js'
import type { Past } from './subflow-report.js'

/** A connection as the session hands it to the steering loop. */
export interface Steered extends PeerEnd {
  token: number
  fd: number
  /** The key of its rule. */
  rule: number
  /** What a loop before this one has reported of it. */
  past?: Past
}

interface Join {
  access: AccessType
  at: number
  address: string
  interfaceIndex: number
  backup: boolean
  isProbe: boolean
}

/** The kernel's report of a subflow that it has made. */
export type SubflowMade = Extract<MptcpEvent, { type: 'subflow-established' }>

/** What the kernel says of one connection's subflows, beside its samples. */
export interface KernelFacts {
  addresses(): SubflowAddresses[]
  /** The index of the interface that the socket, and so its first subflow, is bound to; 0: none. */
  boundTo(): number
}

/** A join that no sample shows within this many milliseconds has failed. */
const JOIN_UNSEEN_MS = 300
/** A subflow that has existed for this many milliseconds, or has carried data, was not refused. */
const PROVEN_MS = 2_000
/** Of failures before this many milliseconds, a subflow that has gone on beside them says that they do not matter. */
const FAILURES_KEPT_MS = 30_000
/** So many joins in place of an outdated subflow may fail: the peer may take no more of them beside it. */
const OUTDATED_ATTEMPTS = 3
/** A subflow that ends within this many milliseconds counts as a failure. */
const SHORT_LIFE_MS = 10_000

export class SteeredConnection {
  readonly token: number
  readonly fd: number
  readonly peer: Peer
  readonly #end: PeerEnd
  rule: number
  readonly retries: Record<AccessType, Retry> = { ...NO_RETRIES }
  /** When the last of these attempts has failed. */
  readonly #failedAt: Record<AccessType, number> = {
    '3gpp': Number.NEGATIVE_INFINITY,
    'non-3gpp': Number.NEGATIVE_INFINITY,
  }
  readonly past: Past | undefined
  readonly activity: Activity
  /** The send buffer that its rule's load balance wants, in bytes as the kernel counts; undefined: it was never set. */
  sendBuffer: number | undefined
  /** Whether the kernel can ask the peer what has arrived. */
  mayAsk = true
  /** Whether no subflow has had anything outstanding, acknowledged or received since the sample before. */
  idle = false
  readonly #gap = new HandoverGap()
  /** How many bytes of the stream have been acknowledged, and have arrived in order, as far as the kernel reports it. */
  readonly #stream: Record<Direction, number | undefined> = { sent: undefined, received: undefined }
  #sampledAt = Number.NEGATIVE_INFINITY
  /** What was last planned for its subflows, for people to read. */
  steeredWhy = ''
  readonly #subflows = new Map<number, SteeredSubflow>()
  readonly #joins: Partial<Record<AccessType, Join>> = {}
  /** By address: the kernel wants the same id for each use of an address. */
  readonly #localIds: Map<string, number>
  readonly announcements: OwnAnnouncements
  /** By local address and port: reports of subflows that no sample has shown yet. */
  readonly #made = new Map<string, SubflowMade>()
  #unbound: SteeredSubflow[] = []
  #unknownBefore = Number.NEGATIVE_INFINITY
  #ambiguous: SteeredSubflow[] = []
  /** The subflow that it began with, if no loop before this one has seen it, is still to come. */
  #awaitsFirst: boolean
  /** By subflow: when to request again what the kernel has refused. */
  readonly #refusals = new Map<number, Retry>()
  /** Joins that were given up: unlike those that fail, they are tried again at once. */
  readonly #unanswered: Record<AccessType, number> = { '3gpp': 0, 'non-3gpp': 0 }
  readonly #unjoinedSince: Partial<Record<AccessType, number>> = {}
  /** When one of its subflows last ended. */
  #lostOneAt = Number.NEGATIVE_INFINITY
  /** The standby that took over, which the peer still takes for a backup, and when to request otherwise. */
  #promotion: { subflow: number; at: number } | undefined
  /** When the peer was last sent the end of the first subflow, and how often. */
  #withdrawn = { at: Number.NEGATIVE_INFINITY, times: 0 }

  readonly #wake: (connection: SteeredConnection) => void

  /**
   * @param peer what is known of the peer already
   * @param wake called when its subflows are to be sampled in the next scan
   */
  constructor(
    { token, fd, remote, others, family, isDual, rule, past }: Steered,
    peer?: Peer,
    wake: (connection: SteeredConnection) => void = () => {},
  ) {
    this.token = token
    this.activity = new Activity(token)
    this.fd = fd
    this.peer = peer ?? new Peer(past?.peer)
    this.#end = { remote, others: others ?? [], family, isDual: isDual === true }
    this.rule = rule
    this.past = past
    this.#wake = wake
    this.#awaitsFirst = past === undefined
    this.#localIds = new Map(past?.localIds)
    this.announcements = new OwnAnnouncements(past?.announced)
  }

  /** For the policy: the subflows, including joins that no sample has shown yet. */
  get subflows(): SubflowState[] {
    if (!this.#joins['3gpp'] && !this.#joins['non-3gpp']) return [...this.#subflows.values()]
    const joining = BOTH.filter(access => this.#joins[access]).map((access): SubflowState => {
      const { at, backup, isProbe } = this.#joins[access]!
      return { ...NEW, id: UNSEEN, access, backup, createdAt: at, progressAt: at, isProbe }
    })
    return [...this.#subflows.values(), ...joining]
  }

  /** What another loop has to learn. `ended` is for the caller to know. */
  get handover(): Omit<Past, 'ended'> {
    return {
      peer: this.peer.says,
      localIds: [...this.#localIds],
      ...this.announcements.past,
      subflows: [...this.#subflows.values()].map(({ id, backup, localId, interfaceIndex }) => ({
        ...{ id, backup, localId, interfaceIndex },
      })),
    }
  }

  /** Where a subflow of this access may connect to, the best first. */
  places(access: AccessType): AddressPort[] {
    return this.peer.places(access, this.#end)
  }

  /** @returns since when a subflow on this access has not been possible; undefined once that was reported */
  unjoinedSince(access: AccessType, now: number): number | undefined {
    const since = this.#unjoinedSince[access] ?? now
    this.#unjoinedSince[access] = since
    return since === REPORTED ? undefined : since
  }

  /** How many attempts in a row to add a subflow on this access have failed, or were not answered. */
  failedJoins(access: AccessType): number {
    return this.retries[access].failures + this.#unanswered[access]
  }

  wasUnjoinedReported(access: AccessType): boolean {
    return this.#unjoinedSince[access] === REPORTED
  }

  unjoinedReported(access: AccessType): void {
    this.#unjoinedSince[access] = REPORTED
  }

  /** Of its first subflow. */
  get family(): 4 | 6 {
    return this.#end.family
  }

  /** Where it was made to; undefined: the peer has made it. */
  get remote(): AddressPort | undefined {
    return this.#end.remote
  }

  name(id: number): SubflowName | undefined {
    return this.#subflows.get(id)?.name
  }

  /** The id of the subflow's local address, unless another subflow from there is open or requested. */
  unsharedId(id: number): number | undefined {
    const { localId, access } = this.#subflows.get(id)!
    const twin = [...this.#subflows.values()].some(
      other => other.id !== id && other.localId === localId && other.state !== 'closed',
    )
    const joining = access !== undefined && localId !== 0 && this.#joins[access] !== undefined
    return twin || joining ? undefined : localId
  }

  /**
   * Whether to withdraw the address of the first subflow from the peer, again, now that the subflow has ended. The kernel ends it
   * with a FIN, which means nothing to MPTCP: a peer that has not received REMOVE_ADDR goes on sending there, gets
   * acknowledgements, and the data is lost until it is sent again.
   */
  mustWithdraw(now: number): boolean {
    const { at, times } = this.#withdrawn
    const subflows = [...this.#subflows.values()]
    if (!subflows.some(({ localId, lingers }) => localId === 0 && lingers)) return false
    // The peer would end another one with this id too.
    if (subflows.some(({ localId, state }) => localId === 0 && state !== 'closed')) return false
    const reachable = subflows.some(({ state, receivedAt }) => state === 'established' && receivedAt > at)
    if (!reachable || now < at + retryAfter(times, 0.5)) return false
    this.#withdrawn = { at: now, times: times + 1 }
    return true
  }

  /** It was not looked at for a while: no silence began before `now`, as far as is known. */
  heldUp(now: number): void {
    this.#unknownBefore = now
  }

  /** The machine was suspended for so long that NATs may have forgotten every subflow. */
  resumed(now: number): void {
    for (const subflow of this.#subflows.values()) subflow.outdated = true
    this.heldUp(now)
    this.forgetRefusals()
    this.markActive()
  }

  /** Has its subflows sampled in the next scan. */
  markActive(): void {
    this.activity.mayBeIdle = false
    this.#wake(this)
  }

  /**
   * Applies a sample.
   *
   * @param kernel asked only if there are new subflows
   * @returns what each subflow has transferred since the sample before
   */
  update(
    sample: SocketSample,
    now: number,
    kernel: KernelFacts,
    links: Pick<AccessLinks, 'accessOf'>,
    random: () => number,
  ): SubflowTransfer[] {
    const after = Math.max(this.#sampledAt, this.activity.idleAt)
    const known = sample.subflows.every(({ id }) => this.#subflows.has(id))
    const named = known ? [] : kernel.addresses()
    const transfers: SubflowTransfer[] = []
    let ackedAt = Number.NEGATIVE_INFINITY
    let receivedAt = Number.NEGATIVE_INFINITY
    let sentAt = Number.NEGATIVE_INFINITY
    for (const seen of sample.subflows) {
      const subflow = this.#subflows.get(seen.id) ?? this.#begin(seen.id, named, now, kernel, links)
      if (!subflow) continue
      const { access, state } = subflow
      const transfer = access && transferSince(access, subflow, seen)
      sentAt = Math.max(sentAt, now - seen.lastDataSent)
      // The kernel counts the SYN as one byte acknowledged.
      if (transfer && transfer.acked > (subflow.bytesAcked === 0 ? 1 : 0)) {
        ackedAt = Math.max(ackedAt, now - seen.lastAckRecv)
        this.#gap.carried(transfer.access, now - seen.lastAckRecv)
      }
      if (transfer && transfer.received > 0) {
        receivedAt = Math.max(receivedAt, now - seen.lastDataRecv)
        this.#gap.carried(transfer.access, now - seen.lastDataRecv)
      }
      applySample(subflow, seen, now, Math.max(this.activity.idleAt, this.#unknownBefore))
      if (access) this.#judge(access, state, subflow, now, random)
      if (access && state === 'joining' && subflow.state === 'established' && subflow.joined)
        this.peer.worked(access, subflow.name.remote)
      if (!transfer || subflow.state !== 'established') continue
      // Its SYN was acknowledged before the peer had accepted it: the handshake is a measurement all the same.
      transfers.push(state === 'joining' ? { ...transfer, acked: Math.max(1, transfer.acked) } : transfer)
    }
    for (const [id, subflow] of this.#subflows) {
      if (sample.subflows.some(seen => seen.id === id)) continue
      this.#subflows.delete(id)
      this.#refusals.delete(id)
      const { access, state } = subflow
      if (state === 'established') this.#lostOneAt = now
      subflow.state = 'closed'
      if (access) this.#judge(access, state, subflow, now, random)
    }
    this.#forgetJoins(now, random)
    const awaits = this.subflows.some(({ outstanding }) => outstanding)
    this.idle = !awaits && transfers.every(({ acked, sent, received }) => acked === 0 && sent === 0 && received === 0)
    const flows = this.subflows.some(subflow => isFlowing(subflow, now) || awaitsData(subflow, now))
    const mayBeIdle = sample.outstanding === 0 && !awaits && !flows && this.#isSettled
    this.#noteStream('sent', sample.bytesAcked, ackedAt, after, now)
    this.#noteStream('received', sample.bytesReceived, receivedAt, after, now)
    const outstanding = sample.outstanding === undefined ? awaits : sample.outstanding > 0
    this.#gap.awaits(outstanding ? Math.max(after, sentAt) : undefined)
    this.#sampledAt = now
    this.activity.note(sample, { idle: this.idle, mayBeIdle }, now)
    return transfers
  }

  /** To be called after `update`. @returns a handover whose gap has ended */
  takeHandover(now: number): Handover | undefined {
    let over3gpp = false
    let overOther = false
    for (const { access, state, backup } of this.#subflows.values()) {
      if (state !== 'established' || backup) continue
      if (access === '3gpp') over3gpp = true
      else if (access) overOther = true
    }
    const handover = this.#gap.note(over3gpp, overOther, now)
    if (this.#gap.isAwaited(now)) this.markActive()
    return handover
  }

  /** Whether the first bytes after a handover are awaited. */
  awaitsFirstBytes(now: number): boolean {
    return this.#gap.isAwaited(now)
  }

  /**
   * What counts is the stream, and not the subflows: what arrives on the new access at once may be far behind what was lost on the
   * old one, and no application can read it until that is sent again.
   *
   * @param bytes of the stream, so far; undefined: this kernel does not report it, so those of the subflows have to do
   * @param at when the last bytes came over a subflow; `-Infinity`: none have since the sample before
   * @param after when that was
   */
  #noteStream(direction: Direction, bytes: number | undefined, at: number, after: number, now: number): void {
    const before = this.#stream[direction]
    this.#stream[direction] = bytes
    const hasMoved = at > Number.NEGATIVE_INFINITY
    const wentOn = bytes === undefined ? hasMoved : before !== undefined && bytes > before
    if (wentOn) this.#gap.wentOn(direction, after, hasMoved ? at : now)
  }

  /** Whether it relies on this access: it has an established subflow there that is not a backup. */
  reliesOn(access: AccessType): boolean {
    for (const subflow of this.#subflows.values())
      if (subflow.access === access && subflow.state === 'established' && !subflow.backup) return true
    return false
  }

  hasSubflowFrom(address: string): boolean {
    return [...this.#subflows.values()].some(
      ({ name, state }) => state !== 'closed' && plainAddress(name.local.address) === address,
    )
  }

  /**
   * Whether the other access awaits a subflow from the same address. What is seen next would be either one's, so one of the two is
   * requested at a time.
   */
  awaitsOtherFrom(address: string, access: AccessType): boolean {
    return this.#joins[otherAccess(access)]?.address === address
  }

  /** A subflow has been requested. @returns the id for this address */
  join(
    access: AccessType,
    { address, interfaceIndex }: { address: string; interfaceIndex: number },
    { backup, isProbe = false }: { backup: boolean; isProbe?: boolean },
    now: number,
  ): number {
    this.#joins[access] = { access, at: now, address, interfaceIndex, backup, isProbe }
    this.markActive()
    const id = this.#localIds.get(address) ?? this.#localIds.size + 1
    this.#localIds.set(address, id)
    return id
  }

  /** The kernel makes the subflow that was requested from this address with this flag, whatever was requested. */
  expectBackup(address: string, backup: boolean): void {
    for (const access of BOTH) if (this.#joins[access]?.address === address) this.#joins[access].backup = backup
  }

  /** Takes over what the kernel has made of a join. That counts, not what was requested, and the next plan corrects it. */
  made(event: SubflowMade, links: Pick<AccessLinks, 'accessOf'>): void {
    const key = keyOf(event.local)
    const subflow = [...this.#subflows.values()].find(({ name }) => keyOf(name.local) === key)
    if (subflow) this.#confirm(subflow, event, links)
    else this.#made.set(key, event)
  }

  /** The open subflows that have turned out not to be bound to their interface, each once. */
  takeUnbound(): readonly SteeredSubflow[] {
    if (this.#unbound.length === 0) return NONE
    const unbound = this.#unbound
    this.#unbound = []
    return unbound.filter(({ state }) => state !== 'closed')
  }

  /** The open subflows that may belong to either access, each once. */
  takeAmbiguous(): readonly SteeredSubflow[] {
    if (this.#ambiguous.length === 0) return NONE
    const ambiguous = this.#ambiguous
    this.#ambiguous = []
    return ambiguous.filter(({ state, access }) => state !== 'closed' && access === undefined)
  }

  joinFailed(access: AccessType, now: number, random: () => number): void {
    delete this.#joins[access]
    this.#failed(access, now, random)
  }

  setBackup(id: number, backup: boolean, now: number): void {
    const subflow = this.#subflows.get(id)
    if (subflow && subflow.backup !== backup) {
      const others = [...this.#subflows.values()].filter(other => other !== subflow)
      subflow.backup = backup
      subflow.flaggedAt = now
      subflow.dueAt = backup ? Number.POSITIVE_INFINITY : dueAfterHandover(subflow, others, now)
    }
    this.markActive()
  }

  /**
   * A standby that is the only subflow left carries the traffic as it is. If the peer learned at once that it is none any more, it
   * might fill the standby's first window with new data, before what it has to send again: it handles MP_PRIO at once, and
   * REMOVE_ADDR a little later.
   *
   * @returns whether the change is to be requested later, and `takePromotion` gives it then
   */
  postpones({ subflow: id, backup }: { subflow: number; backup: boolean }, now: number): boolean {
    if (this.#promotion?.subflow === id) this.#promotion = undefined
    const subflow = this.#subflows.get(id)
    if (backup || !subflow || this.subflows.some(other => other.id !== id && other.state === 'established'))
      return false
    const at = this.#lostOneAt + TAKE_OVER.roundTrips * subflow.rttMs + TAKE_OVER.ms
    if (now >= at) return false
    this.#promotion = { subflow: id, at }
    return true
  }

  /** @returns the subflow of which to request now that it is no backup any more */
  takePromotion(now: number): number | undefined {
    if (!this.#promotion || now < this.#promotion.at) return undefined
    const { subflow } = this.#promotion
    this.#promotion = undefined
    return subflow
  }

  /** The peer has been asked over this subflow what has arrived. */
  asked(id: number, now: number): void {
    const subflow = this.#subflows.get(id)
    if (subflow) subflow.askedAt = now
  }

  /** The addresses of the accesses have changed. */
  readdress(links: Pick<AccessLinks, 'has' | 'isSuperseded'>): void {
    for (const subflow of this.#subflows.values()) {
      const { access } = subflow
      if (!access) continue
      const place = placeOf(subflow)
      subflow.addressGone = !links.has(access, place)
      subflow.superseded = links.isSuperseded(access, place)
    }
    this.markActive()
  }

  destroyed(id: number, now: number): void {
    const subflow = this.#subflows.get(id)
    if (subflow?.access && subflow.state === 'joining') this.#unanswered[subflow.access]++
    if (subflow?.state === 'established') this.#lostOneAt = now
    if (subflow) subflow.state = 'closed'
    if (subflow) this.announcements.forget(subflow.name.local.address)
    if (subflow?.localId === 0) this.#withdrawn = { at: now, times: 1 }
    this.markActive()
  }

  /** The kernel has refused to destroy it. The next sample shows what it is. */
  notDestroyed(id: number): void {
    const subflow = this.#subflows.get(id)
    if (subflow) subflow.state = 'established'
    this.markActive()
  }

  /** The kernel has refused to change or destroy this subflow: it is requested again, at growing intervals. */
  noteRefusal(id: number, now: number, random: () => number): void {
    this.#refusals.set(id, nextRetry(this.#refusals.get(id), now, random()))
  }

  forgetRefusal(id: number): void {
    this.#refusals.delete(id)
  }

  /** Whether it is too early to request the same again. */
  wasRefusedLately(id: number, now: number): boolean {
    return now < (this.#refusals.get(id)?.notBefore ?? now)
  }

  /** The access has come back: the failures while it was lost do not count any more. */
  /** What was refused is tried again at once. */
  forgetRefusals(): void {
    this.#refusals.clear()
    for (const access of BOTH) this.resetRetries(access)
  }

  resetRetries(access: AccessType): void {
    this.#unanswered[access] = 0
    this.retries[access] = NO_RETRIES[access]
  }

  get #isSettled(): boolean {
    const joining = this.subflows.some(({ state }) => state === 'joining')
    return (
      !joining &&
      !this.#promotion &&
      this.#refusals.size === 0 &&
      BOTH.every(access => this.retries[access].failures === 0)
    )
  }

  #begin(
    id: number,
    named: SubflowAddresses[],
    now: number,
    kernel: KernelFacts,
    links: Pick<AccessLinks, 'accessOf'>,
  ): SteeredSubflow | undefined {
    const found = named.find(subflow => subflow.id === id)
    if (!found) return undefined
    const past = this.past?.subflows.find(subflow => subflow.id === id)
    const isFirst = this.#awaitsFirst
    this.#awaitsFirst = false
    const join = isFirst || past ? undefined : this.#takeJoin(plainAddress(found.local.address))
    const interfaceIndex = join?.interfaceIndex ?? past?.interfaceIndex ?? (isFirst ? kernel.boundTo() : 0)
    const access = join?.access ?? links.accessOf({ address: found.local.address, interfaceIndex })
    const localId = past?.localId ?? (join ? (this.#localIds.get(plainAddress(found.local.address)) ?? 0) : 0)
    // All fields at once, and not those of `NEW` first: objects of one shape are read faster, and these are read all the time.
    const begun: SteeredSubflow = {
      id,
      access: access === 'ambiguous' ? undefined : access,
      state: 'joining',
      backup: join?.backup ?? past?.backup ?? false,
      createdAt: join?.at ?? now,
      receivedAt: Number.NEGATIVE_INFINITY,
      progressAt: now,
      outstanding: false,
      unacked: 0,
      window: 0,
      askedAt: Number.NEGATIVE_INFINITY,
      addressGone: false,
      superseded: false,
      outdated: false,
      rttMs: 0,
      reception: NOTHING_RECEIVED,
      flaggedAt: Number.NEGATIVE_INFINITY,
      dueAt: Number.POSITIVE_INFINITY,
      isProbe: join?.isProbe ?? false,
      name: { token: this.token, local: found.local, remote: found.remote },
      localId,
      interfaceIndex,
      joined: join !== undefined || localId !== 0,
      lingers: false,
      bytesAcked: 0,
      bytesSent: 0,
      bytesRetrans: 0,
      bytesReceived: 0,
      notsentBytes: 0,
      outOfOrder: 0,
    }
    this.#subflows.set(id, begun)
    if (access === 'ambiguous') this.#ambiguous.push(begun)
    const made = this.#made.get(keyOf(found.local))
    if (made) this.#confirm(begun, made, links)
    return begun
  }

  #takeJoin(address: string): Join | undefined {
    const join = Object.values(this.#joins).find(each => each.address === address)
    if (join) delete this.#joins[join.access]
    return join
  }

  #confirm(
    subflow: SteeredSubflow,
    { localId, interfaceIndex = 0 }: SubflowMade,
    links: Pick<AccessLinks, 'accessOf'>,
  ): void {
    // The kernel's path manager, or the peer, has made it.
    if (subflow.interfaceIndex === 0) return this.#place(subflow, interfaceIndex, links)
    if (localId !== undefined && localId !== subflow.localId) {
      subflow.localId = localId
      this.#localIds.set(plainAddress(subflow.name.local.address), localId)
    }
    if (interfaceIndex === subflow.interfaceIndex) return
    // The kernel takes interface and flag from one place: what lost the one has lost the other. (The flag in the event is the
    // peer's: RFC 8684 §3.2, the B of its SYN+ACK.)
    subflow.backup = false
    this.#unbound.push(subflow)
    this.markActive()
  }

  #place(subflow: SteeredSubflow, interfaceIndex: number, links: Pick<AccessLinks, 'accessOf'>): void {
    if (subflow.access !== undefined || interfaceIndex === 0) return
    const access = links.accessOf({ ...placeOf(subflow), interfaceIndex })
    subflow.interfaceIndex = interfaceIndex
    if (access !== 'ambiguous') subflow.access = access
  }

  #judge(
    access: AccessType,
    before: SteeredSubflow['state'],
    after: SteeredSubflow,
    now: number,
    random: () => number,
  ): void {
    // A peer may refuse a join after its TCP handshake. One that was there before shows nothing of later joins.
    const failedAt = this.#failedAt[access]
    const isNewer = after.createdAt > failedAt || now - failedAt > FAILURES_KEPT_MS
    if (isNewer && after.state === 'established' && (after.bytesReceived > 0 || now - after.createdAt > PROVEN_MS))
      this.resetRetries(access)
    // A subflow that this side has destroyed is `closed` before a sample shows it.
    if (before !== 'closed' && after.state === 'closed' && now - after.createdAt < SHORT_LIFE_MS)
      this.#failed(access, now, random)
  }

  #forgetJoins(now: number, random: () => number): void {
    for (const access of BOTH) {
      const join = this.#joins[access]
      if (join && now - join.at > JOIN_UNSEEN_MS) this.joinFailed(access, now, random)
    }
    if (this.#made.size > 0 && BOTH.every(access => !this.#joins[access])) this.#made.clear()
  }

  #failed(access: AccessType, now: number, random: () => number): void {
    this.retries[access] = nextRetry(this.retries[access], now, random())
    this.#failedAt[access] = now
    if (this.retries[access].failures < OUTDATED_ATTEMPTS) return
    for (const subflow of this.#subflows.values()) if (subflow.access === access) subflow.outdated = false
  }
}

function placeOf({ name, interfaceIndex }: SteeredSubflow): SubflowPlace {
  return { address: name.local.address, interfaceIndex }
}

function keyOf({ address, port }: AddressPort): string {
  return `${plainAddress(address)} ${port}`
}

const NONE: readonly SteeredSubflow[] = []

/** Two round trips: for asking what has arrived, for the news of the loss, and for what the peer then sends; and what a busy peer needs. */
const TAKE_OVER = { roundTrips: 2, ms: 100 }

const REPORTED = Number.POSITIVE_INFINITY

/** The id of a join that no sample has shown yet. */
const UNSEEN = -1
