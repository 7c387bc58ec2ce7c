/**
 * The other direction: the UE as a server, and the program that connects in a host of the data network. Directly that is to
 * an echo of the UE; through the converter, to one that a session has made reachable.
 */
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import type { Lab } from '../lib/lab/index.js'
import type { Place } from './places.js'

const PORT = 7007

export interface IncomingStart {
  /** Starts a program in a host, which ends with the benchmark. */
  start(where: Lab['ue'], words: string[]): ChildProcessWithoutNullStreams
  firstLine(child: ChildProcessWithoutNullStreams): Promise<string>
  /** The servers, at an address. */
  servers(where: Lab['ue'], address: string): Promise<Pick<Place, 'ports' | 'https'>>
  program(relative: string): string
}

/** Resolves when the UE is reachable: `place.incoming` says where. */
export async function openIncoming(lab: Lab, site: IncomingStart): Promise<Place> {
  const converter = `${lab.converterAddress.v4}:5125`
  const interfaceName = lab.accesses.link!.interface
  const address = lab.accesses.link!.address.v4
  await lab.ue.sysctl('net.ipv4.tcp_fastopen', 3)
  const options = ['--json', '--quiet', '--listen', converter, '--pcp', '--pcp-ports', String(PORT)]
  await site.firstLine(site.start(lab.converter, [site.program('../dist/cli/main.js'), 'converter', ...options]))
  const about = JSON.stringify({ converter, interface: interfaceName, port: PORT })
  const service = site.start(lab.ue, ['--import', 'tsx', site.program('incoming-service.ts'), about])
  return {
    ...{ address, converter, zeroRtt: true, socks: undefined, httpProxy: undefined },
    ...(await site.servers(lab.ue, address)),
    incoming: JSON.parse(await site.firstLine(service)),
  }
}
