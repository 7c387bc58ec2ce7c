/** What a container says about the network's side of a session: its converters, and the addresses that reach them. Pure. */
import type { AtsssContainer, MptcpProxy, NetworkAddress, NetworkSteering } from '../../wire/atsss/container.js'
import type { AccessType } from './rule.js'

/** TS 24.193 §6.1.4, network steering functionalities information. */
export interface NetworkInformation {
  /** The MPTCP proxies that are Transport Converters (RFC 8803), in the network's order. One with addresses of both families has a list. */
  converters: readonly { host: string | readonly string[]; port: number }[]
  /**
   * The device's link-specific multipath addresses (TS 23.501 §5.32.6.2.1). They are for people to read: subflows use the addresses of
   * the interfaces.
   */
  addresses: Readonly<Record<AccessType, NetworkAddress>>
}

/** The container's information, undefined if it has none; and which of its proxies cannot be used. The last information counts. */
export function networkFrom({ parameters }: AtsssContainer): {
  network: NetworkInformation | undefined
  problems: string[]
} {
  const found = parameters.filter((parameter): parameter is NetworkSteering => parameter.type === 'network-steering')
  const last = found.at(-1)
  if (!last) return { network: undefined, problems: [] }
  const { proxies, ue3gpp, ueNon3gpp, trailing } = last
  const usable = proxies.filter(proxy => unusableBecause(proxy) === undefined)
  return {
    network: {
      converters: usable.flatMap(({ address, port }) => {
        const [host, ...more] = addressesOf(address)
        if (host === undefined) return []
        return [{ host: more.length === 0 ? host : [host, ...more], port }]
      }),
      addresses: { '3gpp': ue3gpp, 'non-3gpp': ueNon3gpp },
    },
    problems: [
      ...proxies.flatMap(proxy => {
        const why = unusableBecause(proxy)
        return why === undefined
          ? []
          : [`the MPTCP proxy ${addressesOf(proxy.address).join(' and ')} is not used: ${why}`]
      }),
      // Of later releases, such as MPQUIC's proxies.
      ...(trailing.length === 0
        ? []
        : [`what follows the MPTCP proxies is not known, and has no effect: ${Buffer.from(trailing).toString('hex')}`]),
    ],
  }
}

function unusableBecause({ port, proxyType }: MptcpProxy): string | undefined {
  if (proxyType !== 'transport-converter') return `its type, ${proxyType}, is not that of a Transport Converter`
  return port === 0 ? 'it has no port' : undefined
}

function addressesOf({ ipv4, ipv6 }: NetworkAddress): string[] {
  return [ipv4, ipv6].filter(address => address !== undefined)
}
