/** A PCP client (RFC 6887): the mappings that one address of ours has at one server. */
import { EventEmitter } from 'eventemitter3'
import { WireError } from '../../errors.js'
import { type EpochSeen, isEpochValid, recreationDelay } from '../../policy/pcp/epoch.js'
import { LONGEST_LIFETIME } from '../../policy/pcp/schedule.js'
import { type PcpServer, sameServer } from '../../policy/pcp/servers.js'
import {
  decodePcpResponse,
  encodePcpRequest,
  type PcpRequest,
  type PcpResponse,
  RESULTS,
} from '../../wire/pcp/index.js'
import { type MappingWish, newSchedule, PcpMapping } from './pcp-mapping.js'
import type { PcpTransport, Receiver } from './pcp-transport.js'

export interface PcpClientEvents {
  /** The server may have lost its mappings: they are requested again. */
  restarted: []
  /** Why a datagram was ignored. */
  ignored: [why: string]
}

export interface PcpClientOptions {
  server: PcpServer
  /** The source address of requests. */
  clientAddress: string
  open(receive: Receiver): PcpTransport
  /** Uniform, 0…1. @defaultValue Math.random */
  random?: () => number
}

/** Milliseconds: how long to wait for the answer to a deletion, and when to repeat the request. */
const DELETION = { patience: 1_000, again: 300 }

export class PcpClient extends EventEmitter<PcpClientEvents> {
  readonly server: PcpServer
  readonly clientAddress: string
  readonly #transport: PcpTransport
  readonly #random: () => number
  readonly #mappings = new Set<PcpMapping>()
  #seen: EpochSeen | undefined
  #timer: NodeJS.Timeout | undefined
  #paused = false
  #closed = false
  /** When new mappings may be requested. RFC 6887 §11.4, NO_RESOURCES: "SHOULD NOT send further requests for any new mappings" before. */
  #roomAt = Number.NEGATIVE_INFINITY
  #deleting: ((response: PcpResponse) => void) | undefined

  /** @throws what `open` throws */
  constructor({ server, clientAddress, open, random = Math.random }: PcpClientOptions) {
    super()
    this.server = server
    this.clientAddress = clientAddress
    this.#random = random
    this.#transport = open(this.receive)
  }

  /**
   * Requests a mapping, and renews it until the client is closed.
   *
   * @param delay milliseconds until the first request; 0: in the next turn
   */
  map(wish: MappingWish, delay = 0): PcpMapping {
    const now = performance.now()
    const first = newSchedule(now, Math.max(this.#roomAt - now, delay))
    const mapping = new PcpMapping(wish, this.server, this.clientAddress, first)
    this.#mappings.add(mapping)
    this.#schedule()
    return mapping
  }

  /** The access is down: nothing is sent. Granted mappings last until they expire. */
  pause(): void {
    this.#paused = true
    this.#schedule()
  }

  /** The access is back. All mappings are requested again, at least four seconds after the last request: the server may have changed. */
  resume(): void {
    this.#paused = false
    this.requestAgain()
  }

  /** The server may have lost all mappings: they are requested again, at least four seconds after the last request. */
  requestAgain(): void {
    for (const mapping of this.#mappings) mapping.disturb(performance.now(), 0)
    this.#schedule()
  }

  /** Requests all mappings again, as soon as RFC 6887 allows: see `refreshed`. */
  refresh(): void {
    for (const mapping of this.#mappings) mapping.refresh(performance.now())
    this.#schedule()
  }

  /** Deletes the mappings, waits a little for the server's confirmation, and closes. Without `deleting` they stay until they expire. */
  async close({ deleting = true }: { deleting?: boolean } = {}): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#timer)
    const made = [...this.#mappings].filter(({ external, awaitsAnswer }) => external || awaitsAnswer)
    this.#mappings.clear()
    if (deleting && !this.#paused && made.length > 0) await this.#delete(made)
    this.#transport.close()
  }

  /** A datagram from the network, on our socket or by multicast. */
  receive: Receiver = (bytes, from) => {
    // RFC 6887 §8.3: "verifies that the source IP address and port belong to the PCP server of a previously sent PCP
    // request. If not, the response is silently dropped."
    if (!sameServer(from, this.server)) return this.#ignore(`from ${from.address} port ${from.port}`)
    let response: PcpResponse
    try {
      response = decodePcpResponse(bytes)
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      return this.#ignore(error.message)
    }
    this.#take(response)
  }

  #take(response: PcpResponse): void {
    const { operation, result } = response
    if (operation.type === 'announce') return this.#takeAnnouncement(response)
    if (operation.type === 'unknown') return this.#takeRefusal(response)
    if (operation.type === 'map' && this.#closed) this.#deleting?.(response)
    const mapping = [...this.#mappings].find(({ wish }) => matches(wish, operation))
    if (operation.type !== 'map' || !mapping) return this.#ignore('the answer to a request that was not sent')
    const now = performance.now()
    const isUpdate = !mapping.awaitsAnswer
    if (!isUpdate) this.#checkEpoch(response.epoch, mapping, 0)
    else if (!this.#isNews(response.epoch, mapping)) return this.#ignore('an update that may be an old one')
    if (result === RESULTS['no-resources']) this.#roomAt = now + Math.min(response.lifetime, LONGEST_LIFETIME) * 1000
    if (!mapping.answered(response, now, this.#random())) {
      this.#ignore('an external address or port that is invalid, or is not the required one')
      // The server has moved the mapping nevertheless. A request shows whether the required one is available.
      if (isUpdate) mapping.disturb(now, 0)
    }
    this.#schedule()
  }

  /**
   * RFC 6887 §14.2: unsolicited responses are valid, too. But they may be earlier answers that were delayed, or recorded and replayed. One
   * whose epoch does not fit is ignored, and the mappings are requested again (§8.5).
   */
  #isNews(epoch: number, mapping: PcpMapping): boolean {
    const before = this.#seen?.server ?? 0
    // Another datagram overtook it, which §8.5 tolerates.
    if (epoch < before && epoch >= before - 1) return false
    return this.#checkEpoch(epoch, undefined, 0) && !mapping.isInDoubt
  }

  /** RFC 6887 §14.1.3: "the ANNOUNCE Opcode MUST have result code equal to zero". */
  #takeAnnouncement({ result, epoch }: PcpResponse): void {
    if (result !== RESULTS.success) return this.#ignore(`an announcement with result ${result}`)
    const isFirst = this.#seen === undefined
    const delay = recreationDelay(this.#random())
    this.#checkEpoch(epoch, undefined, delay)
    if (isFirst) for (const mapping of this.#mappings) mapping.hasten(performance.now(), delay)
    this.#schedule()
  }

  /**
   * RFC 6887 §9. It names no mapping, so it applies to all that await an answer. It has no nonce, either: anyone who can send with the
   * server's address can forge it, so it ends no mapping that this server has granted. That mapping ends with its lifetime.
   */
  #takeRefusal({ result, lifetime, version }: PcpResponse): void {
    const waiting = [...this.#mappings].filter(mapping => mapping.awaitsAnswer && !mapping.external)
    if (result !== RESULTS['unsupp-version'] || waiting.length === 0)
      return this.#ignore('the answer to a request that was not sent')
    for (const mapping of waiting) mapping.refuse(result, lifetime, performance.now(), version)
    this.#schedule()
  }

  /**
   * RFC 6887 §8.5: "promptly renews all its active port mapping leases".
   *
   * @param fresh the mapping that the answer itself renews. @returns whether the epoch is valid
   */
  #checkEpoch(server: number, fresh: PcpMapping | undefined, delay: number): boolean {
    const now = performance.now()
    const seen = { client: Math.floor(now / 1000), server }
    const isValid = isEpochValid(this.#seen, seen)
    this.#seen = seen
    if (isValid) return true
    this.emit('restarted')
    for (const mapping of this.#mappings) if (mapping !== fresh) mapping.disturb(now, delay)
    this.#schedule()
    return false
  }

  #ignore(why: string): void {
    this.emit('ignored', why)
  }

  #schedule(): void {
    clearTimeout(this.#timer)
    if (this.#closed) return
    const now = performance.now()
    const next = Math.min(...[...this.#mappings].map(mapping => mapping.wakeAt(now, this.#paused)))
    // A timer's limit is 24 days; a mapping lasts a day at most.
    if (Number.isFinite(next)) this.#timer = setTimeout(() => this.#act(), Math.max(next - now, 0)).unref()
  }

  #act(): void {
    const now = performance.now()
    for (const mapping of this.#mappings) {
      const request = mapping.due(now, this.#random(), this.#paused)
      if (request) this.#send(request)
    }
    this.#schedule()
  }

  #send(request: PcpRequest): void {
    this.#transport.send(encodePcpRequest(request))
  }

  #delete(mappings: PcpMapping[]): Promise<void> {
    const left = new Set(mappings)
    const ask = () => {
      for (const mapping of left) this.#send(mapping.deletion())
    }
    return new Promise(resolve => {
      const end = () => {
        clearInterval(again)
        clearTimeout(patience)
        resolve()
      }
      const again = setInterval(ask, DELETION.again)
      const patience = setTimeout(end, DELETION.patience)
      this.#deleting = response => {
        const { operation } = response
        if (!isAboutDeletion(response)) return
        for (const mapping of left) if (matches(mapping.wish, operation)) left.delete(mapping)
        if (left.size === 0) end()
      }
      ask()
    })
  }
}

/**
 * Whether the response answers a deletion, and not an earlier request to map. RFC 6887 §15.1: its external port is that of the
 * request, 0. A mapping that remains may have a lifetime (§15), a deleted one has none.
 */
function isAboutDeletion({ operation, lifetime }: PcpResponse): boolean {
  return operation.type === 'map' && (operation.externalPort === 0 || lifetime === 0)
}

/** RFC 6887 §11.4: "matched […] by comparing the internal IP address […], the protocol, the internal port, and the mapping nonce." */
function matches(wish: MappingWish, operation: PcpResponse['operation']): boolean {
  return (
    operation.type === 'map' &&
    operation.protocol === wish.protocol &&
    operation.internalPort === wish.internalPort &&
    Buffer.compare(operation.nonce, wish.nonce) === 0
  )
}
