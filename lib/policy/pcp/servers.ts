/** Which PCP servers to ask for mappings. RFC 6887 §8.1, RFC 8803 §5.2. Pure. */
import { isIP, isIPv4 } from 'node:net'

export interface PcpServer {
  address: string
  port: number
}

export interface KnownServers {
  /** Configured by the application or the administrator. */
  configured: readonly PcpServer[]
  /** RFC 8803 §5.2: "the Client may use the Port Control Protocol […] to instruct the Transport Converter". */
  converters: readonly string[]
  /** The default routers of the interface. RFC 6887 §8.1: "the default router list […] is used as the list of PCP server(s)". */
  routers: readonly string[]
}

/** The servers for a client with an address of this family, from the first source that names any. */
export function pcpServers(known: KnownServers, family: 4 | 6, port: number): PcpServer[] {
  const of = (addresses: readonly string[]) => addresses.map(address => ({ address, port }))
  const sources = [known.configured, of(known.converters), of(known.routers)]
  const servers = sources.find(list => list.length > 0) ?? []
  const wanted = servers.filter(({ address }) => isIP(address.split('%')[0]!) === family)
  return wanted.filter((server, i) => wanted.findIndex(other => sameServer(server, other)) === i)
}

export function sameServer(a: PcpServer, b: PcpServer): boolean {
  return a.address === b.address && a.port === b.port
}

/** The suggestion if there is none: any address of the family. RFC 6887 §5. */
export function anyOf(address: string): string {
  return isIPv4(address) ? '0.0.0.0' : '::'
}
