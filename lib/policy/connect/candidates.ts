/**
 * Which ways a connection may take, and which is next. Pure: lists in, lists out.
 */
import type { SocketTuning } from '../../input/socket-tuning.js'
import type { TcpOption, Tlv } from '../../wire/convert/index.js'

export interface Endpoint {
  address: string
  family: 4 | 6
  port: number
}

/** A converter at one of its addresses, and what to send to it. */
export interface ViaConverter {
  /** As the options name it. */
  name: string
  endpoint: Endpoint
  /** The same converter's addresses of the other family, for further subflows. */
  others?: readonly Endpoint[]
  /** Where its Convert message goes; `auto` has been resolved. */
  form: '0rtt' | '1rtt'
  /** Whether the option was `auto`, so that the form may change on the way. */
  adaptive: boolean
  pipelining: boolean
  cookie: Uint8Array | undefined
  info: boolean
  tcpOptions: readonly TcpOption[]
}

/** A destination's address, and how it may be reached. */
export interface Reach {
  to: Endpoint
  /** For the first subflow, best first; undefined: the routing table decides. */
  interfaces: readonly (string | undefined)[]
  /** Why it is reached by plain TCP, without a converter; undefined: as the options say. */
  plain?: string | undefined
  /** In place of what the options say of the socket. */
  tuning?: SocketTuning | undefined
}

/**
 * What is known of a way before it is tried. `poor`: it failed, or was too slow, a short time ago, and is tried after those
 * that did not. `none`: its interface has no address of the family, so that it fails at once.
 */
export type Prospect = 'good' | 'poor' | 'none'

/** One way: a destination's address, through a converter's address or directly. */
export interface Candidate {
  destination: Endpoint
  via: ViaConverter | undefined
  /** The interface of the first subflow; undefined: the routing table decides. */
  interface: string | undefined
  /** Unanswered SYNs on this way so far, without the kernel's repetitions. */
  unanswered: number
  /** Without MPTCP, although it is preferred: SYNs with it were not answered, or `plain` says why. */
  tcp: boolean
  plain?: string | undefined
  /** A direct way beside those through the converters, since the server is known to speak MPTCP. */
  bypass?: true
  /** Codes of the Error TLVs that led to a retry on this way; each code leads to one at most. */
  retriedAfter: readonly number[]
  prospect: Prospect
  /** See `Reach`. */
  tuning?: SocketTuning
  /** Of a direct way: the destination's addresses of the other family, for further subflows. */
  others?: readonly Endpoint[]
}

/**
 * What a failure rules out. `way`: the converter, or the destination of a direct way, over the interface that it was tried over:
 * what one access does to a connection says nothing about the other. `pair`: the same, for this destination only.
 */
export type Scope = 'attempt' | 'way' | 'pair' | 'destination' | 'all'

/** A converter over one of the interfaces. */
export interface WayIn {
  via: ViaConverter
  interface: string | undefined
  prospect?: Prospect
}

/**
 * Every way, best first: through each converter to each destination address over its best interface, then over its next best.
 * The destination addresses vary fastest, since one of them is more likely to fail than the converter. Each interface begins with the
 * first of the converter's addresses whose family it has: a rule's access comes first, whichever family it has.
 */
export function candidates(waysIn: readonly WayIn[], destinations: readonly Reach[]): Candidate[] {
  const places = Math.max(0, ...destinations.map(({ interfaces }) => interfaces.length))
  const over = (ways: readonly WayIn[], { to, interfaces, tuning }: Reach, place: number) =>
    ways
      .filter(way => place < interfaces.length && way.interface === interfaces[place])
      .map(way => candidate(to, way.via, way.interface, way.prospect, tuning))
  const [only] = destinations
  if (only && destinations.length === 1 && waysIn.length === 1 && places === 1) return over(waysIn, only, 0) // most connections
  const endpoints = [...new Set(waysIn.map(({ via }) => via.endpoint))]
  const atPlace = (place: number) =>
    endpoints.map(endpoint => {
      const ways = waysIn.filter(({ via }) => via.endpoint === endpoint)
      return destinations.flatMap(reach => over(ways, reach, place))
    })
  return inTurns(Array.from({ length: places }, (_, place) => atPlace(place))).flat()
}

/** For each place the first of its ways, then for each the second, and so on; those without an address of the family last. */
function inTurns(places: readonly Candidate[][][]): Candidate[][] {
  const [first = []] = places
  if (places.length < 2 && first.length < 2) return first // most connections
  const isNone = (ways: readonly Candidate[]) => ways.every(({ prospect }) => prospect === 'none')
  const sorted = places.map(all => [...all.filter(ways => !isNone(ways)), ...all.filter(isNone)])
  const turns = Math.max(0, ...sorted.map(all => all.length))
  return Array.from({ length: turns }, (_, turn) => sorted.flatMap(all => all.slice(turn, turn + 1))).flat()
}

/**
 * The ways without a converter: each destination address over each of its interfaces, the interfaces varying fastest. Each interface
 * begins with the first address whose family it has.
 */
export function directCandidates(
  destinations: readonly Reach[],
  prospectOf: (to: Endpoint, name: string | undefined) => Prospect = () => 'good',
): Candidate[] {
  const wayTo = ({ to, plain, tuning }: Reach, name: string | undefined): Candidate => {
    const way = candidate(to, undefined, name, prospectOf(to, name), tuning)
    if (plain !== undefined) return { ...way, tcp: true, plain }
    const others = othersBeside(to, destinations)
    if (others.length > 0) way.others = others
    return way
  }
  const [only] = destinations
  if (!only) return []
  if (destinations.length === 1 && only.interfaces.length === 1) return [wayTo(only, only.interfaces[0])] // most connections
  const ways = destinations.map(reach => reach.interfaces.map(name => wayTo(reach, name)))
  const places = Math.max(0, ...ways.map(all => all.length))
  const atPlace = (place: number) => ways.filter(all => place < all.length).map(all => [all[place]!])
  return inTurns(Array.from({ length: places }, (_, place) => atPlace(place))).flat()
}

/** Of the other family; only addresses that the rules allow MPTCP connections to. */
function othersBeside(to: Endpoint, destinations: readonly Reach[]): Endpoint[] {
  if (destinations.length === 1) return []
  const allowed = destinations.filter(({ interfaces, plain }) => plain === undefined && interfaces.length > 0)
  return otherFamily(
    to,
    allowed.map(reach => reach.to),
  )
}

/** Those of the other family, a few at most: of a name with many addresses, each may be another host. */
export function otherFamily({ family }: Endpoint, addresses: readonly Endpoint[]): Endpoint[] {
  return addresses.filter(other => other.family !== family).slice(0, MOST_OTHERS)
}

const MOST_OTHERS = 4

/** The same ways, those with good prospects first; otherwise in their order. */
export function byProspect(ways: readonly Candidate[]): Candidate[] {
  if (ways.length < 2) return [...ways]
  return (['good', 'poor', 'none'] as const).flatMap(prospect => ways.filter(way => way.prospect === prospect))
}

/**
 * Addresses in the order in which to try them: families alternate, the first address's family first, and the resolver's
 * order is kept within a family (RFC 8305 §4).
 */
export function interleave<T extends { family: 4 | 6 }>(addresses: readonly T[]): T[] {
  if (addresses.length < 2) return [...addresses]
  const first = addresses.filter(address => address.family === addresses[0]?.family)
  const second = addresses.filter(address => address.family !== addresses[0]?.family)
  const count = Math.max(first.length, second.length)
  return Array.from({ length: count }, (_, index) => [first[index], second[index]])
    .flat()
    .filter(address => address !== undefined)
}

/**
 * The way to try at the same time as one that has not connected yet: after silence, over another interface or through another
 * converter's address; when the converter has acknowledged the SYN and waits for the server, to another address of the server.
 */
export function nextBeside(
  queue: readonly Candidate[],
  current: Candidate,
  converterIsThere: boolean,
): Candidate | undefined {
  const useful = (other: Candidate) =>
    converterIsThere ? other.destination !== current.destination : other.via === undefined || !sameWay(other, current)
  return queue.find(useful) ?? queue[0]
}

/** The ways that are left when the failure of `failed` rules out `scope`. */
export function without(queue: readonly Candidate[], failed: Candidate, scope: Scope): Candidate[] {
  switch (scope) {
    case 'attempt':
      return [...queue]
    case 'way':
      return queue.filter(other => !sameWay(other, failed))
    case 'pair':
      return queue.filter(other => !sameWay(other, failed) || other.destination !== failed.destination)
    case 'destination':
      return queue.filter(other => other.destination !== failed.destination)
    case 'all':
      return []
  }
}

/**
 * The way to try at the same time as a fresh SYN, when the two SYNs before it and their repetitions were not answered: something on
 * the path may drop SYNs with MPTCP. The kernel falls back to TCP after as many, but for the whole namespace.
 */
export function withoutMptcp(fresh: Candidate): Candidate | undefined {
  return fresh.unanswered === 2 && !fresh.tcp ? { ...fresh, tcp: true } : undefined
}

/**
 * How long to wait for the SYN+ACK before a fresh SYN, in milliseconds; the pauses double.
 *
 * Through a converter the fresh SYN comes before the kernel repeats the first one without its data. On a direct way the
 * kernel's first repetition (after 1 s) is as good as ours, so a direct socket lives for its whole `LIFE_OF_SYN`.
 */
export function synPause(candidate: Candidate, synTimeout: number): number {
  const first = candidate.via?.form === '0rtt' ? synTimeout : LIFE_OF_SYN
  return first * 2 ** candidate.unanswered
}

/**
 * After this many milliseconds an MPTCP socket without a SYN+ACK is given up. The kernel has repeated the SYN once by then and
 * will again at 2 s. With the third repetition it would fall back to TCP and switch MPTCP off for the namespace
 * (net.mptcp.syn_retrans_before_tcp_fallback, net.mptcp.blackhole_timeout).
 */
export const LIFE_OF_SYN = 1_900

/**
 * After how many milliseconds a converter that has acknowledged the SYN's data is suspected of never answering it.
 *
 * @param roundTrip microseconds
 */
export function stallAfter(roundTrip: number): number {
  return Math.min(Math.max((3 * roundTrip) / 1000, 200), 500)
}

/**
 * Another access on which to ask the same converter for the same destination, to see whether it answers there. Nothing of the
 * application may be sent on it.
 */
export function probeBeside(queue: readonly Candidate[], silent: Candidate): Candidate | undefined {
  const found = queue.find(
    other => sameEnds(other, silent) && other.interface !== silent.interface && other.prospect !== 'none',
  )
  return found?.via && { ...found, via: { ...found.via, pipelining: false } }
}

/** The Convert message for this way (RFC 8803 §6.2.5, §6.2.7). */
export function connectMessage({ destination, via }: Candidate): Tlv[] {
  const { address, port } = destination
  return [
    ...(via?.info ? [{ type: 'info' } as const] : []),
    { type: 'connect', address, port, tcpOptions: [...(via?.tcpOptions ?? [])] },
    ...(via?.cookie ? [{ type: 'cookie', cookie: via.cookie } as const] : []),
  ]
}

/** Whether both go through the same converter, or none, to the same destination. */
export function sameEnds(one: Candidate, other: Candidate): boolean {
  return one.via?.endpoint === other.via?.endpoint && one.destination === other.destination
}

function candidate(
  destination: Endpoint,
  via: ViaConverter | undefined,
  name: string | undefined,
  prospect: Prospect = 'good',
  tuning?: SocketTuning,
): Candidate {
  const way: Candidate = { destination, via, interface: name, unanswered: 0, tcp: false, retriedAfter: [], prospect }
  if (tuning) way.tuning = tuning
  return way
}

/** Whether both go to the same converter, or without one to the same destination, over the same interface. */
export function sameWay(one: Candidate, other: Candidate): boolean {
  const first = (way: Candidate) => way.via?.endpoint ?? way.destination
  return one.interface === other.interface && first(one) === first(other)
}
