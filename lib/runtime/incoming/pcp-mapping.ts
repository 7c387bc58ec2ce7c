/** One mapping of a PCP client at a server: what is requested, what was granted, and when the next request is due. */

import { EventEmitter } from 'eventemitter3'
import type { ErrorCode } from '../../errors.js'
import { hostAndPort } from '../../input/addresses.js'
import {
  begin,
  disturbed,
  granted,
  hastened,
  isHeld,
  reconsidered,
  refreshed,
  refused,
  type Schedule,
  sent,
  wakeAt,
} from '../../policy/pcp/schedule.js'
import { anyOf, type PcpServer } from '../../policy/pcp/servers.js'
import { type PcpOption, type PcpRequest, type PcpResponse, RESULTS, resultName } from '../../wire/pcp/index.js'
import { meaningOf, PcpError } from './pcp-error.js'

/** An address and port at which peers reach the mapping. */
export interface External {
  address: string
  port: number
}

/** The only peers that may connect. RFC 6887 §13.3. */
export interface PeerFilter {
  address: string
  /** Bits. @defaultValue the whole address */
  prefixLength?: number
  /** @defaultValue 0: all */
  port?: number
}

export interface MappingWish {
  /** As in an IP header. */
  protocol: number
  internalPort: number
  /** 12 octets that others cannot guess. RFC 6887 §11.2: "MUST use a different mapping nonce for each PCP server". */
  nonce: Uint8Array
  /** Seconds. */
  lifetime: number
  /** The suggested external address and port; `undefined` and 0: any. */
  external: { address: string | undefined; port: number }
  /** The external address of an earlier mapping. It is suggested instead of `external`, and never required. */
  former: External | undefined
  /** Whether any other mapping than `external` is useless. */
  required: boolean
  /** Empty: all peers may connect. */
  filters: readonly PeerFilter[]
}

export interface MappingEvents {
  made: [external: External]
  /** Made or renewed. */
  granted: []
  /** The server has moved it. */
  changed: [external: External, before: External]
  /** The mapping has ended, and will be requested again. */
  lost: [before: External, why: string]
  /** The server refuses the mapping, or does not answer. */
  refused: [error: PcpError]
}

/** The number of unanswered requests after which `refused` is emitted. */
const SILENCE = 3

export class PcpMapping extends EventEmitter<MappingEvents> {
  readonly wish: MappingWish
  readonly #server: PcpServer
  readonly #clientAddress: string
  #schedule: Schedule
  #external: External | undefined
  #former: External | undefined
  #unanswered = 0
  #isInDoubt = true

  /** @internal use `PcpClient` */
  constructor(wish: MappingWish, server: PcpServer, clientAddress: string, schedule: Schedule) {
    super()
    this.wish = wish
    this.#former = wish.former
    this.#server = server
    this.#clientAddress = clientAddress
    this.#schedule = schedule
  }

  /** `undefined` while there is no mapping. */
  get external(): External | undefined {
    return this.#external
  }

  /** Whether a request is unanswered. It is repeated without being asked for. */
  get awaitsAnswer(): boolean {
    return this.#unanswered > 0
  }

  /** Whether the state at the server is unknown: at first, and when the server may have lost the mapping. */
  get isInDoubt(): boolean {
    return this.#isInDoubt
  }

  /** Whether there is no mapping yet, and one is being requested. */
  get isPending(): boolean {
    return !this.#external && this.#schedule.pace === 'ask'
  }

  /** When it was last requested; `-Infinity`: not yet. */
  get askedAt(): number {
    return this.#schedule.sentAt
  }

  /** When `due` has to be called next. While the access is down, that is when the mapping expires. */
  wakeAt(now: number, isPaused: boolean): number {
    if (!isPaused) return wakeAt(this.#schedule, now)
    return isHeld(this.#schedule, now) ? this.#schedule.expiresAt : Number.POSITIVE_INFINITY
  }

  /** Does what is due now. @returns the request to send, or `undefined` */
  due(now: number, random: number, isPaused: boolean): PcpRequest | undefined {
    if (this.#external && !isHeld(this.#schedule, now)) this.#lose('its lifetime has expired')
    if (isPaused || now < this.#schedule.dueAt) return undefined
    if (++this.#unanswered === SILENCE) this.emit('refused', this.#error('ERR_PCP_TIMEOUT', 'does not answer'))
    this.#schedule = sent(this.#schedule, now, random)
    return this.request()
  }

  request(): PcpRequest {
    const { wish } = this
    const suggested = this.#suggested
    return this.#make(wish.lifetime, suggested.address ?? anyOf(this.#clientAddress), suggested.port, [
      ...(wish.required && suggested.port !== 0 ? [{ type: 'prefer-failure' as const }] : []),
      ...filterOptions(wish.filters),
    ])
  }

  /** RFC 6887 §15: "A lifetime of 0 […] delete". */
  deletion(): PcpRequest {
    return this.#make(0, anyOf(this.#clientAddress), 0, [])
  }

  /** The server may have lost it. */
  disturb(now: number, delay: number): void {
    this.#isInDoubt = true
    this.#schedule = disturbed(this.#schedule, now, delay)
  }

  /** The server has become available. */
  hasten(now: number, delay: number): void {
    this.#schedule = hastened(this.#schedule, now, delay)
  }

  refresh(now: number): void {
    this.#schedule = refreshed(this.#schedule, now)
  }

  /** The server has moved another mapping, which it treats as the same one as this. */
  follow(external: External): void {
    if (this.#external) this.#external = external
  }

  /** Takes an answer of the server that matches this mapping. @returns false if the answer is invalid */
  answered(response: PcpResponse, now: number, random: number): boolean {
    if (response.result !== RESULTS.success) {
      this.refuse(response.result, response.lifetime, now, response.version)
      return true
    }
    if (response.operation.type !== 'map') return false
    const { externalAddress: address, externalPort: port } = response.operation
    // Peers cannot connect there.
    if (response.lifetime > 0 && (port === 0 || address === anyOf(address))) return false
    // RFC 6887 §13.2: "the PCP client MUST validate that the external IP address, protocol, port, and nonce in a success
    // response match the associated suggested values from the request." An update (§14.2) has no request.
    const suggested = this.awaitsAnswer ? this.#suggested : this.wish.external
    if (this.wish.required && !isSuggested({ address, port }, suggested)) return false
    this.#unanswered = 0
    this.#isInDoubt = false
    this.#schedule = granted(this.#schedule, response.lifetime, now, random)
    const before = this.#external
    if (!isHeld(this.#schedule, now)) {
      this.#lose('the server has deleted it')
      return true
    }
    this.#external = { address, port }
    if (!before) this.emit('made', this.#external)
    else if (before.address !== address || before.port !== port) this.emit('changed', this.#external, before)
    this.emit('granted')
    return true
  }

  /** @param version of the answer: 0 is a NAT-PMP server */
  refuse(result: number, lifetime: number, now: number, version = 2): void {
    this.#unanswered = 0
    this.#isInDoubt = false
    if (result === RESULTS['cannot-provide-external'] && this.#insistsOnFormer) return this.#giveUpFormer(now)
    this.#schedule = refused(this.#schedule, result, lifetime, now)
    const name = resultName(result)
    const code = (name ? `ERR_PCP_${name.replaceAll('-', '_').toUpperCase()}` : 'ERR_PCP_UNKNOWN') as ErrorCode
    const what = version === 0 ? 'speaks NAT-PMP, not PCP' : `refuses the mapping: ${meaningOf(result)}`
    const error = this.#error(code, what, result, this.#schedule.dueAt - now)
    if (this.#external && !isHeld(this.#schedule, now)) this.#lose(error.message)
    this.emit('refused', error)
  }

  get #suggested(): MappingWish['external'] {
    return this.#external ?? this.#former ?? this.wish.external
  }

  /** Whether the request insists on more than what is required: on the former address, say, if only a port is required. */
  get #insistsOnFormer(): boolean {
    const { address, port } = this.#suggested
    const { required, external } = this.wish
    return required && (address !== external.address || port !== external.port)
  }

  /**
   * PREFER_FAILURE applies to everything that a request suggests. If the former address is no longer available, the required port may be
   * available at another one. That is a different request, which has not been refused.
   */
  #giveUpFormer(now: number): void {
    this.#schedule = reconsidered(this.#schedule, now)
    this.#lose('the server can no longer provide it')
    this.#former = undefined
  }

  #make(lifetime: number, externalAddress: string, externalPort: number, options: PcpOption[]): PcpRequest {
    const { protocol, internalPort, nonce } = this.wish
    return {
      lifetime,
      // RFC 6887 §8.1: "The PCP client MUST include the source IP address of the PCP message in the PCP request."
      clientAddress: this.#clientAddress,
      operation: { type: 'map', nonce, protocol, internalPort, externalPort, externalAddress },
      options,
    }
  }

  #lose(why: string): void {
    const before = this.#external
    this.#external = undefined
    if (!before) return
    this.#former = before
    this.emit('lost', before, why)
  }

  #error(code: ErrorCode, what: string, result?: number, retryAfter?: number): PcpError {
    const { address, port } = this.#server
    const server = hostAndPort(address, port)
    return new PcpError(code, `The PCP server ${server} ${what}`, {
      server,
      ...(result === undefined ? {} : { result }),
      ...(retryAfter === undefined ? {} : { retryAfter }),
    })
  }
}

/** @param delay milliseconds until the first request: the server may have said that it has no room for new mappings */
export function newSchedule(now: number, delay: number): Schedule {
  return begin(now, delay)
}

function isSuggested({ address, port }: External, suggested: MappingWish['external']): boolean {
  const isThere = suggested.address === undefined || address === suggested.address
  return isThere && (suggested.port === 0 || port === suggested.port)
}

/** RFC 6887 §13.3: the first one of prefix length 0 "to delete all existing filters", so that these are all. */
function filterOptions(filters: readonly PeerFilter[]): PcpOption[] {
  if (filters.length === 0) return []
  const each = filters.map(({ address, prefixLength, port = 0 }): PcpOption => {
    const bits = prefixLength ?? (address.includes(':') ? 128 : 32)
    return { type: 'filter', address, prefixLength: bits, port }
  })
  return [{ type: 'clear-filters' }, ...each]
}
