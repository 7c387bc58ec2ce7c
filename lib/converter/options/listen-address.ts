/** The addresses that a converter listens on. */
import { isIP } from 'node:net'
import { parseHostAndPort, plainAddress } from '../../input/addresses.js'
import { invalid } from '../../input/check.js'

export interface ListenAddress {
  /** An address literal; `0.0.0.0` and `::` listen on every address of their own family only. */
  host: string
  /** 0…65535; 0 lets the kernel choose. */
  port: number
}

/**
 * @param option the name of the option, for the error
 * @param defaultPort used where there is no port; without it, a port is required
 * @throws ERR_ATSSS_OPTION
 */
export function listenAddress(option: string, given: string | ListenAddress, defaultPort?: number): ListenAddress {
  const parsed = typeof given === 'string' ? parseHostAndPort(given) : given
  const host: unknown = parsed?.host
  const port: unknown = parsed?.port ?? defaultPort
  if (typeof host !== 'string' || isIP(host) === 0 || !isPort(port))
    throw invalid(
      option,
      defaultPort === undefined
        ? "'address:port' or '[IPv6 address]:port', with a port in 0…65535"
        : "'address', 'address:port' or '[IPv6 address]:port', with a port in 0…65535",
      given,
    )
  // A link-local address needs its zone to be listened on.
  return { host: host.includes('%') ? host : plainAddress(host), port }
}

function isPort(port: unknown): port is number {
  return Number.isInteger(port) && (port as number) >= 0 && (port as number) <= 65_535
}
