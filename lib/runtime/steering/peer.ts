/**
 * Where further subflows of a connection may connect to: the addresses of its peer that are known, and what the peer has said of
 * its addresses (RFC 8684 §3.1, §3.4).
 */
import { isIPv4 } from 'node:net'
import { plainAddress } from '../../input/addresses.js'
import type { AccessType } from '../../policy/rules/rule.js'
import type { AddressPort, MptcpEvent } from '../network/path-manager.js'

/** What a connection's first subflow shows of the peer. */
export interface PeerEnd {
  /** Where the connection was made to: the converter or the server; undefined: the peer has made it. */
  remote: AddressPort | undefined
  /** The same host's addresses of the other family. */
  others?: readonly AddressPort[]
  /** Of the first subflow. */
  family: 4 | 6
  /** Whether its socket takes subflows of the other family too. */
  isDual?: boolean
}

/** What a peer has said. */
export interface PeerSays {
  /** The C flag: it takes no more subflows at the address and port of the first one. */
  denies?: boolean
  /** It has withdrawn the address of the first subflow. */
  withdrawn?: boolean
  /** By the peer's id of the address. */
  announced?: [id: number, AddressPort | Pick<AddressPort, 'address'>][]
}

type PeerEvent = Extract<MptcpEvent, { type: 'created' | 'established' | 'announced' | 'removed' }>

export class Peer {
  /** Grows when the peer says something. */
  version = 0
  #denies: boolean
  #withdrawn: boolean
  /** Without a port: the connection's own. */
  readonly #announced: Map<number, AddressPort | Pick<AddressPort, 'address'>>
  /** By access: where a subflow was last established to. */
  readonly #worked: Partial<Record<AccessType, string>> = {}

  constructor({ denies = false, withdrawn = false, announced = [] }: PeerSays = {}) {
    this.#denies = denies
    this.#withdrawn = withdrawn
    this.#announced = new Map(announced)
  }

  /** For another loop that takes over. */
  get says(): PeerSays {
    return {
      ...(this.#denies && { denies: true }),
      ...(this.#withdrawn && { withdrawn: true }),
      ...(this.#announced.size > 0 && { announced: [...this.#announced] }),
    }
  }

  /** Whether the peer allows no subflow to the address that the connection was made to. */
  get refusesFirst(): boolean {
    return this.#denies || this.#withdrawn
  }

  note(event: PeerEvent): void {
    switch (event.type) {
      case 'announced': {
        const { address, port, remoteId } = event
        // "this address" must be one to connect to: a peer must not make us connect to ourselves, or to our neighbours' links.
        if (remoteId !== 0 && isReachable(address))
          this.#announced.set(remoteId, port === undefined ? { address } : { address, port })
        break
      }
      case 'removed':
        if (event.remoteId === 0) this.#withdrawn = true
        else this.#announced.delete(event.remoteId)
        break
      default:
        this.#denies ||= event.denyJoinId0
    }
    this.version++
  }

  /** A subflow of this access has been established. */
  worked(access: AccessType, to: AddressPort): void {
    this.#worked[access] = keyOf(to)
  }

  /**
   * Where a subflow may connect to, the best first: where one of this access was established before; then the address that the
   * connection was made to, unless the peer allows no more there; then what the peer has announced; then other addresses of the
   * same host.
   *
   * RFC 8684 §3.1: "the C flag … means that the sender of this option will not accept additional MPTCP subflows to the source
   * address and port, and so the receiver MUST NOT try to open any additional subflows toward this address and port".
   */
  places(access: AccessType, { remote, others = [], family, isDual = false }: PeerEnd): AddressPort[] {
    const first = remote && !this.refusesFirst ? [remote] : []
    // §3.4.1: without a port, the same one as of the subflow. A peer that has made the connection does not listen there.
    const announced = [...this.#announced.values()].flatMap(one =>
      'port' in one ? [one] : remote ? [{ ...one, port: remote.port }] : [],
    )
    const forbidden = remote && this.refusesFirst ? keyOf(remote) : ''
    const all = [...first, ...announced, ...others].filter(
      (place, index, list) =>
        keyOf(place) !== forbidden &&
        (isDual || familyOf(place) === family) &&
        list.findIndex(other => keyOf(other) === keyOf(place)) === index,
    )
    const worked = all.find(place => keyOf(place) === this.#worked[access])
    return worked ? [worked, ...all.filter(place => place !== worked)] : all
  }
}

/** What peers have said of connections that the session has not handed over yet. */
export class PeerNews {
  readonly #byToken = new Map<number, Peer>()

  note(event: PeerEvent): void {
    const peer = this.#byToken.get(event.token) ?? new Peer()
    peer.note(event)
    this.#byToken.set(event.token, peer)
    const [oldest] = this.#byToken.keys()
    if (this.#byToken.size > MOST && oldest !== undefined) this.#byToken.delete(oldest)
  }

  /** What is known of the peer of a connection that is steered from now on. */
  take(token: number): Peer | undefined {
    const peer = this.#byToken.get(token)
    this.#byToken.delete(token)
    return peer
  }

  ended(token: number): void {
    this.#byToken.delete(token)
  }
}

/** How many peers are kept: other programs have connections too. */
const MOST = 4_096

export function familyOf({ address }: Pick<AddressPort, 'address'>): 4 | 6 {
  return isIPv4(plainAddress(address)) ? 4 : 6
}

function keyOf({ address, port }: AddressPort): string {
  return `${plainAddress(address)} ${port}`
}

/** Neither loopback, unspecified, link-local nor multicast. */
function isReachable(address: string): boolean {
  const plain = plainAddress(address)
  return isIPv4(plain)
    ? !/^(0|127|22[4-9]|23\d|24\d|25[0-5])\.|^169\.254\./.test(plain)
    : !/^(::1?$|fe[89ab]|ff)/i.test(plain)
}
