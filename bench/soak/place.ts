/** The lab of the soak: wifi 50 Mbit/s, cell 20 Mbit/s, a converter, the servers behind it, and the device. */
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { join } from 'node:path'
import { openLab } from '../../lib/lab/index.js'
import { firstLine, programPath, typescript } from '../site.js'
import type { Task } from './tasks.js'

/** @param keepAlive of the HTTP servers, in milliseconds @param captures a directory for the packets */
export async function openPlace(keepAlive: string, captures: string | undefined) {
  // IPv4 alone: an access whose one address is removed would still have another one.
  const lab = await openLab({ ipv6: false })
  try {
    const { ue, converter, server } = lab
    const host = lab.serverAddress.v4
    const at = `${lab.converterAddress.v4}:5124`
    await ue.sysctl('net.mptcp.pm_type', 1)
    await converter.run('ip', ['mptcp', 'limits', 'set', 'subflows', '8'])
    const converterCommand = [programPath('../dist/cli/main.js'), 'converter', '--json', '--quiet', '--listen', at]
    const converting = converter.spawn(process.execPath, converterCommand)
    const serverCommand = [...typescript, programPath('soak/server.ts'), host, keepAlive]
    const serving = server.spawn(process.execPath, serverCommand)
    for (const child of [converting, serving]) child.stderr.pipe(process.stderr)
    await Promise.all([converting, serving].map(firstLine))
    converting.stdout.resume()
    if (captures)
      for (const name of Object.keys(lab.accesses)) {
        await lab.link(name).capture(join(captures, `${name}-device.pcap`), { end: 'ue' })
        await lab.link(name).capture(join(captures, `${name}-network.pcap`), { end: 'network' })
      }
    return {
      lab,
      host,
      converter: at,
      converterPid: converting.pid!,
      device(task: Task): ChildProcessWithoutNullStreams {
        const words = [...typescript, '--expose-gc', programPath('soak/ue.ts'), JSON.stringify(task)]
        const child = ue.spawn(process.execPath, words)
        child.stderr.pipe(process.stderr)
        return child
      },
      /** Of MPTCP, of both ends, those that are not 0. */
      async counters(): Promise<Record<'device' | 'converter', Record<string, number>>> {
        const of = async (host: typeof ue) => mptcpCounters((await host.run('cat', ['/proc/net/netstat'])).stdout)
        return { device: await of(ue), converter: await of(converter) }
      },
      [Symbol.asyncDispose]: () => lab.close(),
    }
  } catch (error) {
    await lab.close()
    throw error
  }
}

function mptcpCounters(netstat: string): Record<string, number> {
  const [names, values] = netstat.split('\n').filter(line => line.startsWith('MPTcpExt:'))
  const numbers = values?.split(' ') ?? []
  const all = (names?.split(' ') ?? []).map((name, index) => [name, Number(numbers[index])] as const)
  return Object.fromEntries(all.filter(([, value]) => value > 0))
}
