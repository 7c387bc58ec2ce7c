/**
 * Flow descriptions of PCC rules: the IPFilterRule of RFC 6733 §4.3.1, as TS 29.214 §5.3.8 and TS 29.212 §5.4.2 narrow it.
 *
 *   permit out 6 from 198.51.100.0/24 443,8000-8099 to assigned
 *   action direction protocol from SOURCE [ports] to DESTINATION [ports]
 *
 * `out` is towards the device: the source is the remote end. `in` is the other way round. `ip` is any protocol, `any` any
 * address, and `assigned` the device's own.
 */
import { shown } from '../../input/check.js'
import type { IpTuple } from '../../wire/atsss/traffic-descriptor.js'
import { text, wrong } from './check.js'
import { parsePrefix } from './json-traffic.js'

export interface FlowDescription {
  /** The remote ends that it describes, one of which must match. Without any: every remote end. */
  remote: IpTuple[]
  /** What a program that connects cannot see of it. A flow with such a condition can never be found to match. */
  unseen: string | undefined
  /** The device's own address, when it is written out. */
  own: string | undefined
}

export function parseFlowDescription(path: string, value: unknown): FlowDescription {
  const words = text(path, value).trim().split(/\s+/)
  const refused = (why: string) => wrong(path, `${why}; it is ${shown(value)}`)
  const [action, direction, protocol = '', from] = words
  if (action !== 'permit') throw refused("must begin with 'permit'")
  if (direction !== 'out' && direction !== 'in') throw refused("must have 'out' or 'in' behind 'permit'")
  const number = protocol === 'ip' ? undefined : /^\d{1,3}$/.test(protocol) ? Number(protocol) : 256
  if (number !== undefined && number > 255)
    throw refused("must have a protocol's number, or 'ip', behind the direction")
  if (from !== 'from') throw refused("must have 'from' behind the protocol")
  const to = words.indexOf('to', 4)
  if (to < 0) throw refused("must have 'to' and a destination")
  const source = readEnd(words.slice(4, to), refused)
  const { options, ...destination } = readEnd(words.slice(to + 1), refused)
  if (source.options.length > 0) throw refused(`has '${source.options[0]}' where 'to' should be`)
  const [remote, own] = direction === 'out' ? [source, destination] : [destination, source]
  if (remote.address === 'assigned') throw refused('has the device at the remote end')
  const unseen = [
    ...(own.ports.some(ports => ports !== '0-65535') ? [`the device's port (${own.ports.join(',')})`] : []),
    ...(options.length > 0 ? [`'${options.join(' ')}'`] : []),
  ]
  return {
    remote: tuples(path, remote, number),
    unseen: unseen.length === 0 ? undefined : unseen.join(' and '),
    own: own.address === 'any' || own.address === 'assigned' ? undefined : own.address,
  }
}

interface End {
  address: string
  /** `443`, `8000-8099` */
  ports: string[]
}

/** An address, perhaps ports, and what follows them. */
function readEnd([address, ...rest]: string[], refused: (why: string) => Error): End & { options: string[] } {
  if (address === undefined) throw refused("must have an address behind 'from' and 'to'")
  if (address.startsWith('!')) throw refused("must not have '!'")
  const hasPorts = /^\d/.test(rest[0] ?? '')
  const ports = hasPorts ? rest[0]!.split(',') : []
  for (const one of ports) {
    const [, low, high = low] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(one) ?? []
    if (!(Number(low) <= Number(high) && Number(high) <= 65_535))
      throw refused(`must have ports such as 443 or 8000-8099, not '${one}'`)
  }
  return { address, ports, options: hasPorts ? rest.slice(1) : rest }
}

/** One for each port, since a tuple has one port or one range. */
function tuples(path: string, { address, ports }: End, protocol: number | undefined): IpTuple[] {
  const tuple: IpTuple = { type: 'ip-tuple' }
  if (address !== 'any') {
    const { type, ...prefix } = parsePrefix(path, address)
    Object.assign(tuple, type === 'remote-ipv4' ? { ipv4: prefix } : { ipv6: prefix })
  }
  if (protocol !== undefined) tuple.protocol = protocol
  if (ports.length > 0)
    return ports.map(one => {
      const [low, high] = one.split('-').map(Number) as [number, number?]
      return high === undefined ? { ...tuple, port: low } : { ...tuple, ports: { low, high } }
    })
  return Object.keys(tuple).length === 1 ? [] : [tuple]
}
