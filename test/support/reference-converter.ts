/** The reference converter on loopback, and options that go through it. */
import { readFileSync } from 'node:fs'
import type net from 'node:net'
import {
  type ConnectionInfo,
  type Converter,
  type ConverterOptions,
  createConverter,
} from '../../lib/converter/index.js'
import type { MptcpOptions } from '../../lib/options.js'

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

/** A memory of its own, so that no test learns from another; loopback destinations. */
export function through(...converters: (Running | NonNullable<MptcpOptions['converters']>)[]): MptcpOptions {
  const named = converters.flatMap(each => (typeof each === 'object' && 'converter' in each ? each.name : each))
  return { converters: named as string[], allowLoopback: true, cookies: new Map() }
}

/** Whether listeners of this namespace take the data of SYNs: bit 0x2 of the sysctl. */
export const takesSynData = (Number(readFileSync('/proc/sys/net/ipv4/tcp_fastopen', 'utf8')) & 2) !== 0
