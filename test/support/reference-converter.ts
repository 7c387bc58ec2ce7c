/** The reference converter on loopback, and options that go through it. */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type net from 'node:net'
import { createInterface } from 'node:readline'
import {
  type ConnectionInfo,
  type Converter,
  type ConverterOptions,
  createConverter,
} from '../../lib/converter/index.js'
import type { MptcpOptions } from '../../lib/input/options.js'
import { compiled } from './compiled.js'

export interface Running extends AsyncDisposable {
  converter: Converter
  /** As `connect()` takes it. */
  name: string
  port: number
  /** All that were accepted, in their order. */
  connections: ConnectionInfo[]
}

export async function referenceConverter(options: ConverterOptions = {}): Promise<Running> {
  const converter = createConverter({ allowLoopback: true, ...options })
  const connections: ConnectionInfo[] = []
  converter.on('connection', info => connections.push(info))
  const [first] = (await converter.listen()) as [net.AddressInfo]
  const host = first.family === 'IPv6' ? `[${first.address}]` : first.address
  return {
    converter,
    name: `${host}:${first.port}`,
    port: first.port,
    connections,
    [Symbol.asyncDispose]: () => converter.close(),
  }
}

/** In a process of its own, by the command line. @returns also how many connections it has established, as far as is known */
export async function converterProcess(): Promise<{ name: string; stop(): void; established(): number }> {
  const args = [compiled('lib/cli/main.ts'), 'converter', '--allow-loopback', '--json']
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let established = 0
  return new Promise((resolve, reject) => {
    child.on('exit', () => reject(new Error('the converter has ended')))
    createInterface(child.stdout).on('line', line => {
      const { event, listeners } = JSON.parse(line)
      if (event === 'established') established++
      if (event !== 'listening') return
      const { address, port } = listeners[0]
      resolve({ name: `${address}:${port}`, stop: () => child.kill('SIGKILL'), established: () => established })
    })
  })
}

/** A memory of its own, so that no test learns from another; loopback destinations. */
export function through(...converters: (Running | NonNullable<MptcpOptions['converters']>)[]): MptcpOptions {
  const named = converters.flatMap(each => (typeof each === 'object' && 'converter' in each ? each.name : each))
  return { converters: named as string[], allowLoopback: true, cookies: new Map() }
}

/** Whether listeners of this namespace take the data of SYNs: bit 0x2 of the sysctl. (Whether they are sent: `mptcpFastOpen`.) */
export const takesSynData = (Number(readFileSync('/proc/sys/net/ipv4/tcp_fastopen', 'utf8')) & 2) !== 0
