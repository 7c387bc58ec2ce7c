/** What a bug report says of the system: versions, settings, counters, interfaces. */
import { readdirSync, readFileSync } from 'node:fs'
import { arch, release, version } from 'node:os'
import { BOTH } from '../../policy/steering/accesses.js'
import { nativeFile } from '../../runtime/kernel/native.js'
import { sysctl } from '../../runtime/kernel/sysctl.js'
import { kindOf } from '../../runtime/network/interface-kind.js'
import { openLinkMonitor } from '../../runtime/network/link-monitor.js'
import type { Snapshot } from '../../runtime/watch/messages.js'
import { surveySessions } from '../watch/sessions.js'

export type Lines = string[]

export function versions(own: string): Lines {
  const { report } = process as { report?: { excludeNetwork?: boolean; getReport(): unknown } }
  // It would look up the names of all remote hosts.
  if (report) report.excludeNetwork = true
  const { header } = (report?.getReport() ?? {}) as { header?: { glibcVersionRuntime?: string } }
  const glibc = header?.glibcVersionRuntime
  return [
    `atsss ${own}`,
    `Node ${process.versions.node}, ${glibc === undefined ? 'no glibc' : `glibc ${glibc}`}, ${arch()}`,
    `Linux ${release()} ${version()}`,
    distribution(read('/etc/os-release')),
    `addon ${addon()}`,
    `user ${process.geteuid?.() === 0 ? 'root' : 'not root'}`,
  ]
}

/** `PRETTY_NAME` of os-release(5). */
export function distribution(osRelease: string | undefined): string {
  const [, name] = /^PRETTY_NAME=["']?([^"'\n]*)/m.exec(osRelease ?? '') ?? []
  return name || 'unknown distribution'
}

function addon(): string {
  try {
    return nativeFile() ?? 'not found'
  } catch (error) {
    return `cannot be loaded: ${(error as Error).message}`
  }
}

export function settings(): Lines {
  const mptcp = namesIn('/proc/sys/net/mptcp').map(name => `net.mptcp.${name}`)
  const others = ['net.ipv4.tcp_fastopen', 'net.core.rmem_max', 'net.core.wmem_max', 'net.ipv4.tcp_retries2']
  const all = [...mptcp, ...others, 'net.ipv4.tcp_congestion_control', 'net.ipv4.conf.all.rp_filter']
  return all.flatMap(name => {
    const value = sysctl(name)
    return value === undefined ? [] : [`${name} = ${value}`]
  })
}

/** As nstat(8) reads them: MPTCP's that are not 0, and those of Fast Open. */
export function counters(netstat = read('/proc/net/netstat') ?? ''): Lines {
  const lines = netstat.split('\n')
  const found: Lines = []
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const [group = '', ...names] = lines[i]!.split(' ')
    const values = lines[i + 1]!.split(' ').slice(1)
    for (const [index, name] of names.entries()) {
      const isOurs = group === 'MPTcpExt:' || (group === 'TcpExt:' && /^TCPFastOpen|^TCPTimeouts$/.test(name))
      if (isOurs && values[index] !== '0') found.push(`${group.slice(0, -1)}${name} ${values[index]}`)
    }
  }
  return found
}

export async function interfaces(): Promise<Lines> {
  const monitor = await openLinkMonitor()
  monitor.close()
  const { links, defaultRoutes } = monitor.state
  return [...links.values()]
    .filter(({ name }) => name !== 'lo')
    .map(({ name, index, up, carrier, addresses, mtu }) => {
      const routes = defaultRoutes.filter(route => route.interfaceIndex === index)
      const said = [
        kindOf(name),
        up ? (carrier ? 'up' : 'no carrier') : 'down',
        `mtu ${mtu}`,
        ...addresses.map(({ address, prefixLength }) => `${address}/${prefixLength}`),
        ...routes.map(({ family, metric }) => `default route IPv${family} metric ${metric}`),
      ]
      return `${name}: ${said.join(', ')}`
    })
}

/** Without the names of hosts: only how each session is. */
export async function sessions(): Promise<Lines> {
  const { clients, failed } = await surveySessions()
  const lines: Lines = []
  for (const client of clients) {
    const snapshot = await Promise.race([
      new Promise<Snapshot>(resolve => client.once('snapshot', resolve)),
      client.ended.then(() => undefined),
    ])
    client.close()
    if (!snapshot) continue
    const { level, accesses, connectionsOpen, handovers, fallbacks, lastHandover } = snapshot
    lines.push(
      `process ${client.hello.pid}, ${client.hello.title}: level ${level ?? 'not known'}, ${connectionsOpen} connections, ${handovers} handovers, ${fallbacks} became TCP`,
    )
    for (const access of BOTH) {
      const { interface: name, available, why, rttMs, lossPermille, bytesSent, bytesReceived } = accesses[access]
      const figures = `rtt ${rttMs?.toFixed(1) ?? '–'} ms, loss ${lossPermille?.toFixed(0) ?? '–'} ‰, ${bytesSent} bytes sent, ${bytesReceived} received`
      lines.push(`  ${access} (${name}): ${available ? 'available' : 'not available'}: ${why}; ${figures}`)
    }
    if (lastHandover)
      lines.push(
        `  last handover ${new Date(lastHandover.at).toISOString()} to ${lastHandover.to}, gap ${lastHandover.gapMs?.toFixed(0) ?? '–'} ms`,
      )
  }
  return [...lines, ...failed.map(({ why }) => why)]
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort()
  } catch {
    return []
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
