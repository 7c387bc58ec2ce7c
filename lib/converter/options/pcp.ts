/** The options of a converter for mappings (PCP, RFC 6887): meaning, unit, default, range and source of each; and their checks. */
import { isIP, isIPv4 } from 'node:net'
import { PrefixSet, plainAddress } from '../../input/addresses.js'
import { flag, integer, invalid, text } from '../../input/check.js'
import { PCP_SERVER_PORT } from '../../wire/pcp/index.js'
import { type ListenAddress, listenAddress } from './listen-address.js'

export interface PcpOptions {
  /**
   * Where to listen for PCP requests, on UDP port 5351 if no port is given. Connections to a client come from the address that
   * the client has asked.
   *
   * @defaultValue the addresses of `listen`
   */
  listen?: readonly (string | ListenAddress)[]
  /**
   * This host's addresses at which clients become reachable: for each client, at most one of each family is used (RFC 8803
   * §4.4, RFC 6888 REQ-2: "Paired" pooling).
   *
   * @defaultValue the addresses of `listen`; then none may be `0.0.0.0` or `::`
   */
  external?: readonly string[]
  /**
   * The ports that clients can get, such as `'20000-20255'` or `'443'`. The converter listens on each from the start, with a
   * filter that ignores everything while there is no mapping. Each takes two descriptors for each external address.
   *
   * @defaultValue ['20000-20255']
   */
  ports?: readonly string[]
  /**
   * The most mappings of one client, which is an IPv4 address or an IPv6 /64; further ones get USER_EX_QUOTA (RFC 6887 §17.2).
   *
   * @defaultValue 16
   * @remarks Range 0…65_535.
   */
  quota?: number
  /**
   * The shortest lifetime of a mapping, in seconds, whatever the client asks for.
   *
   * @defaultValue 120 (RFC 6887 §15)
   * @remarks Range 1…86_400.
   */
  minLifetime?: number
  /**
   * The longest lifetime of a mapping, in seconds.
   *
   * @defaultValue 86_400 (RFC 6887 §15)
   * @remarks Range 1…4_294_967_295.
   */
  maxLifetime?: number
  /**
   * The most filters of one mapping (RFC 6887 §13.3); further ones get EXCESSIVE_REMOTE_PEERS.
   *
   * @defaultValue 16
   * @remarks Range 1…64.
   */
  maxFilters?: number
  /**
   * Seconds after the end of a mapping during which no other client gets its port (RFC 6887 §15, RFC 793's 2 MSL).
   *
   * @defaultValue 120
   * @remarks Range 0…86_400.
   */
  reuseDelay?: number
  /**
   * The TCP port at which clients add their second access to the converter's connections to them: an endpoint of the kernel's
   * path manager on each address of `listen`. Needs CAP_NET_ADMIN. `0`: none.
   *
   * @defaultValue 5352
   * @remarks Range 0…65_535.
   */
  joinPort?: number
  /**
   * Prefixes of clients that may ask for others (THIRD_PARTY, RFC 6887 §13.1).
   *
   * @defaultValue none: such requests get UNSUPP_OPTION
   */
  thirdParty?: readonly string[]
  /**
   * Whether to announce by multicast that mappings have been lost (RFC 6887 §14.1.3).
   *
   * @defaultValue true
   */
  announce?: boolean
  /**
   * A file in which mappings survive a restart.
   *
   * @defaultValue none: a restart ends all mappings, and clients are notified
   */
  stateFile?: string
}

/** Every option decided. */
export interface PcpSettings {
  listen: ListenAddress[]
  external: string[]
  /** Inclusive. */
  ports: [from: number, to: number][]
  quota: number
  minLifetime: number
  maxLifetime: number
  maxFilters: number
  reuseDelay: number
  joinPort: number
  thirdParty: PrefixSet
  announce: boolean
  stateFile: string | undefined
}

export const PCP_NAMES = [
  ...['listen', 'external', 'ports', 'quota', 'minLifetime', 'maxLifetime', 'maxFilters', 'reuseDelay', 'thirdParty'],
  ...['announce', 'stateFile', 'joinPort'],
]

/** Throws `ERR_ATSSS_OPTION`. */
export function resolvePcp(options: PcpOptions, addresses: readonly ListenAddress[]): PcpSettings {
  const count = (name: keyof PcpOptions, least: number, most: number, fallback: number) =>
    integer(`pcp.${name}`, options[name], least, most, fallback)
  const maxLifetime = count('maxLifetime', 1, 0xffff_ffff, 86_400)
  return {
    listen: (options.listen ?? addresses.map(({ host }) => host)).map(each =>
      listenAddress('pcp.listen', each, PCP_SERVER_PORT),
    ),
    external: externals(options.external ?? addresses.map(({ host }) => host)),
    ports: (options.ports ?? ['20000-20255']).map(range),
    quota: count('quota', 0, 65_535, 16),
    minLifetime: Math.min(count('minLifetime', 1, 86_400, 120), maxLifetime),
    maxLifetime,
    maxFilters: count('maxFilters', 1, 64, 16),
    reuseDelay: count('reuseDelay', 0, 86_400, 120),
    joinPort: count('joinPort', 0, 65_535, 5352),
    thirdParty: new PrefixSet(options.thirdParty ?? [], 'pcp.thirdParty'),
    announce: flag('pcp.announce', options.announce, true),
    stateFile: options.stateFile === undefined ? undefined : text('pcp.stateFile', options.stateFile),
  }
}

function externals(given: readonly string[]): string[] {
  const plain = given.map(address => {
    if (typeof address !== 'string' || isIP(address) === 0 || ['0.0.0.0', '::'].includes(address))
      throw invalid('pcp.external', 'addresses of this host, one by one', address)
    return plainAddress(address)
  })
  if (plain.length === 0) throw invalid('pcp.external', 'at least one address', '')
  // In the order in which they are tried, IPv4 and IPv6 apart.
  return [...new Set([...plain.filter(isIPv4), ...plain])]
}

function range(given: string): [number, number] {
  const [, from, to = from] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(String(given)) ?? []
  const [first, last] = [Number(from), Number(to)]
  if (!(first >= 1 && first <= last && last <= 65_535))
    throw invalid('pcp.ports', "ranges of ports such as '20000-20255'", given)
  return [first, last]
}
