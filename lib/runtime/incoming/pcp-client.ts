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
  /** The server may have lost its mappings: they are asked for anew. */
  restarted: []
  /** A datagram that was not believed, and why. */
  ignored: [why: string]
}

export interface PcpClientOptions {
  server: PcpServer
  /** The address that requests leave from. */
  clientAddress: string
  open(receive: Receiver): PcpTransport
  /** Uniform, 0…1. @defaultValue Math.random */
  random?: () => number
}

/** How long the answer to a deletion is waited for, and after how long it is asked for again, milliseconds. */
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
  /** RFC 6887 §11.4, NO_RESOURCES: "SHOULD NOT send further requests for any new mappings" before. */
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
   * Asks for a mapping, and keeps it until the client is closed.
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

  /** The access is away: nothing is sent. What was granted goes on until its end. */
  pause(): void {
    this.#paused = true
    this.#schedule()
  }

  /** The access is back: everything is asked for, four seconds after the last time at the earliest, as it may be that the server has changed. */
  resume(): void {
    this.#paused = false
    for (const mapping of this.#mappings) mapping.disturb(performance.now(), 0)
    this.#schedule()
  }

  /** Asks for all mappings once more, as soon as RFC 6887 lets it: see `refreshed`. */
  refresh(): void {
    for (const mapping of this.#mappings) mapping.refresh(performance.now())
    this.#schedule()
  }

  /** Deletes the mappings, waits a little for the server's word, and closes. Without `deleting` they stay until their end. */
  async close({ deleting = true }: { deleting?: boolean } = {}): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#timer)
    const made = [...this.#mappings].filter(({ external, awaitsAnswer }) => external || awaitsAnswer)
    this.#mappings.clear()
    if (deleting && !this.#paused && made.length > 0) await this.#delete(made)
    this.#transport.close()
  }

  /** What has come from the network, on our socket or by multicast. */
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
    this.#hear(response)
  }

  #hear(response: PcpResponse): void {
    const { operation, result } = response
    if (operation.type === 'announce') return this.#hearAnnouncement(response)
    if (operation.type === 'unknown') return this.#hearUnknown(response)
    if (operation.type === 'map' && this.#closed) this.#deleting?.(response)
    const mapping = [...this.#mappings].find(({ wish }) => matches(wish, operation))
    if (operation.type !== 'map' || !mapping) return this.#ignore('the answer to a request that was not sent')
    const now = performance.now()
    const isUpdate = !mapping.awaitsAnswer
    if (!isUpdate) this.#checkEpoch(response.epoch, mapping, 0)
    else if (!this.#isNews(response.epoch, mapping)) return this.#ignore('an update that may be an old one')
    if (result === RESULTS['no-resources']) this.#roomAt = now + Math.min(response.lifetime, LONGEST_LIFETIME) * 1000
    if (!mapping.answered(response, now, this.#random())) {
      this.#ignore('an external address or port that is none, or another than required')
      // It has been moved all the same: the server is to say whether what is required can be had.
      if (isUpdate) mapping.disturb(now, 0)
    }
    this.#schedule()
  }

  /**
   * RFC 6887 §14.2: what nobody has asked for is believed, too. But it may be an earlier answer that was held up, or that
   * somebody has recorded: one that does not fit the epoch makes the server be asked (§8.5), and is not believed itself.
   */
  #isNews(epoch: number, mapping: PcpMapping): boolean {
    const before = this.#seen?.server ?? 0
    // Overtaken on its way, which §8.5 lets pass.
    if (epoch < before && epoch >= before - 1) return false
    return this.#checkEpoch(epoch, undefined, 0) && !mapping.isInDoubt
  }

  /** RFC 6887 §14.1.3: "the ANNOUNCE Opcode MUST have result code equal to zero". */
  #hearAnnouncement({ result, epoch }: PcpResponse): void {
    if (result !== RESULTS.success) return this.#ignore(`an announcement with result ${result}`)
    const isFirst = this.#seen === undefined
    const delay = recreationDelay(this.#random())
    this.#checkEpoch(epoch, undefined, delay)
    if (isFirst) for (const mapping of this.#mappings) mapping.hasten(performance.now(), delay)
    this.#schedule()
  }

  /** RFC 6887 §9. It names no mapping: it is about those that wait for an answer. */
  #hearUnknown({ result, lifetime, version }: PcpResponse): void {
    const waiting = [...this.#mappings].filter(mapping => mapping.awaitsAnswer)
    if (result !== RESULTS['unsupp-version'] || waiting.length === 0)
      return this.#ignore('the answer to a request that was not sent')
    for (const mapping of waiting) mapping.refuse(result, lifetime, performance.now(), version)
    this.#schedule()
  }

  /**
   * RFC 6887 §8.5: "promptly renews all its active port mapping leases".
   *
   * @param fresh what the answer itself renews. @returns whether the epoch is as it should be
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
    // A timer takes 24 days at most, and a mapping a day.
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
 * And not about a request to map that was on its way. RFC 6887 §15.1: the external port is the request's, which is 0; what is
 * left may have a lifetime (§15), what is gone has none.
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
