/**
 * Servers that speak MPTCP themselves, which need no converter: RFC 8803 §3, "the Client … may … bypass the Transport Converter". The
 * converter's answer shows them: its Extended TCP Header TLV has the options of the server's SYN+ACK (§6.2.6). `now` is an
 * argument, in milliseconds.
 */
import { MPTCP_OPTION } from '../../input/options.js'
import { decodeTcpOptions, type Tlv } from '../../wire/convert/index.js'
import { type Candidate, directCandidates, type Reach } from './candidates.js'

/** A server over an access: whether MPTCP gets through to it differs from one access to another. */
export interface ServerPath {
  address: string
  port: number
  /** The interface or local address that connections leave from; empty when the routing table decides. */
  access: string
}

/** How long a server is reached directly before the converter is asked about it again; or not, since that did not work. */
const KNOWN_FOR_MS = 600_000
/** The ones that were learned longest ago are dropped beyond this number. */
const CAPACITY = 1_000

export class MptcpServers {
  readonly #known = new Map<string, { until: number; isReached: boolean }>()

  /** Whether to reach the server directly. */
  has(server: ServerPath, now: number): boolean {
    const known = this.#known.get(key(server))
    return known?.isReached === true && now < known.until
  }

  /** What a converter has answered. Without an Extended TCP Header it says nothing of the server. */
  learn(server: ServerPath, answer: readonly Tlv[], now: number): void {
    const header = answer.find(tlv => tlv.type === 'extended-tcp-header')
    const known = this.#known.get(key(server))
    const isAvoided = known?.isReached === false && now < known.until
    if (!header || isAvoided) return
    const speaksMptcp = decodeTcpOptions(header.options).some(({ kind }) => kind === MPTCP_OPTION)
    if (speaksMptcp) this.#set(server, { until: now + KNOWN_FOR_MS, isReached: true })
    else this.#known.delete(key(server))
  }

  /** It was not reached directly, or not by MPTCP: something on the way does not let it through. */
  avoid(server: ServerPath, now: number): void {
    this.#set(server, { until: now + KNOWN_FOR_MS, isReached: false })
  }

  #set(server: ServerPath, known: { until: number; isReached: boolean }): void {
    this.#known.delete(key(server))
    this.#known.set(key(server), known)
    if (this.#known.size > CAPACITY) this.#known.delete(this.#known.keys().next().value as string)
  }
}

/**
 * The direct ways to those destinations that are known. Only over the access that is best for the first subflow: that of the connection
 * must not depend on what is known.
 */
export function bypasses(
  destinations: readonly Reach[],
  isKnown: (address: Reach['to'], device: string | undefined) => boolean,
): Candidate[] {
  const known = destinations.map(reach => ({
    ...reach,
    interfaces: reach.interfaces.slice(0, 1).filter(device => isKnown(reach.to, device)),
  }))
  return directCandidates(known).map(way => ({ ...way, bypass: true }))
}

function key({ address, port, access }: ServerPath): string {
  return `${address}|${port}|${access}`
}
