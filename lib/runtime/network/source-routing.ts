/** Which interface the routing tables choose by a packet's source address alone, and the rules that make it the address's own. */
import { decodeRouteFor, RTM, routeRequest } from '../../wire/netlink/route.js'
import { NETLINK_ROUTE, NetlinkClient, type NetlinkClientOptions } from './netlink.js'
import type { NetworkState } from './network-state.js'

/**
 * The index of the interface by which packets leave for `remote` when their socket is bound to none, from `local` or from an address
 * that the route chooses. Undefined: the route leads nowhere. Rejects with ENETUNREACH, or EINVAL for an address that is not this host's.
 */
export async function interfaceFor(
  local: string | undefined,
  remote: string,
  options: NetlinkClientOptions = {},
): Promise<number | undefined> {
  const client = new NetlinkClient(NETLINK_ROUTE, options)
  try {
    const [answer] = await client.request(RTM.getRoute, routeRequest(local, remote), 'rtnetlink getroute')
    return answer && decodeRouteFor(answer.payload)
  } finally {
    client.close()
  }
}

/** The commands after which packets from `address` leave by the interface that has it. */
export function sourceRouting(network: NetworkState, interfaceIndex: number, address: string): string[] {
  const family = address.includes(':') ? 6 : 4
  const ip = family === 6 ? 'ip -6' : 'ip'
  const name = network.links.get(interfaceIndex)?.name ?? String(interfaceIndex)
  const table = FIRST_TABLE + interfaceIndex
  const gateway = network.defaultRoutes.find(
    route => route.interfaceIndex === interfaceIndex && route.family === family,
  )?.gateway
  const via = gateway === undefined ? '' : ` via ${gateway}`
  return [
    `${ip} route replace default${via} dev ${name} table ${table}`,
    `${ip} rule add from ${address} table ${table}`,
  ]
}

/** Tables below are often in use: 253 to 255 by the kernel, small numbers by administrators. */
const FIRST_TABLE = 1000
