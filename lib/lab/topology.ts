/**
 * The lab as values: the addresses of its hosts, and the lines that configure them through `ip`. No I/O.
 *
 *   UE --- wifi --- converter --- data --- server
 *      \-- cell --/
 *
 * The converter's host is also the router between the accesses and the data network, so that the server can be reached
 * without the converter. The UE has a default route over each access, the first of them preferred, and nothing else, like
 * a laptop on two networks.
 */

import { AtsssError } from '../errors.js'
import { invalid, oneOf } from '../input/check.js'
import type { Address } from './namespace.js'
import type { LinkProfile } from './profile.js'

export type AccessType = '3gpp' | 'non-3gpp'

export interface AccessOptions {
  /** Also the name of the interface, at both ends: 1 to 15 letters, digits, `-` and `_`. */
  name: string
  access: AccessType
  link: LinkProfile
  /** @defaultValue 1500 */
  mtu?: number
}

export interface LabOptions {
  /**
   * The UE's accesses, the preferred one first: at most 200.
   *
   * @defaultValue `wifi` (non-3gpp, 50 Mbit/s, 10 ms) and `cell` (3gpp, 20 Mbit/s, 30 ms)
   */
  accesses?: readonly AccessOptions[]
  /**
   * The link between the converter and the server. `veth` is the kernel's own: faster, but it cannot be changed or captured.
   *
   * @defaultValue no limit and no delay
   */
  dataNetwork?: LinkProfile | 'veth'
  /**
   * Whether there are IPv6 addresses too.
   *
   * @defaultValue true if the system has IPv6
   */
  ipv6?: boolean
  /**
   * Whether packets leave the UE through the interface that has their source address (a rule and a table per access), as on a
   * phone. Otherwise a packet takes the preferred route unless its socket is bound to a device, as on a laptop.
   *
   * @defaultValue false
   */
  sourceRouting?: boolean
}

/** The data network's link and the interfaces at its ends. */
export const DATA = 'data'

/** Addresses for documentation (RFC 5737, RFC 3849) as far as there are enough: the real network never uses them. */
export const CONVERTER: Required<Address> = { v4: '192.0.2.1', v6: '2001:db8:c::1' }
export const SERVER: Required<Address> = { v4: '198.51.100.2', v6: '2001:db8:d::2' }
const DATA_GATEWAY: Required<Address> = { v4: '198.51.100.1', v6: '2001:db8:d::1' }

/** Of the access number `index`, from 0: the UE's address, and the network's, which is the UE's gateway. */
export function accessAddresses(index: number): { ue: Required<Address>; gateway: Required<Address> } {
  const number = index + 1
  return {
    ue: { v4: `10.${number}.0.2`, v6: `2001:db8:${number}::2` },
    gateway: { v4: `10.${number}.0.1`, v6: `2001:db8:${number}::1` },
  }
}

/** Options with their defaults, checked. */
export interface Plan {
  accesses: readonly AccessOptions[]
  /** One for each link, except the data network's if it is a veth. */
  profiles: { name: string; profile: LinkProfile }[]
  /** `off`: the system has it, but the lab is not to use it. */
  ipv6: 'on' | 'off' | 'missing'
  sourceRouting: boolean
}

export function planOf(options: LabOptions, hasIpv6: boolean): Plan {
  const { accesses = DEFAULT_ACCESSES, dataNetwork = {}, ipv6 = true, sourceRouting = false } = options
  if (!Array.isArray(accesses)) throw invalid('accesses', 'an array', accesses)
  const names = Array.from(accesses, access => access?.name)
  for (const { access } of accesses) oneOf('access', access, ['3gpp', 'non-3gpp'])
  for (const name of names)
    if (!/^[A-Za-z][\w-]{0,14}$/.test(name) || name === 'lo' || name === DATA)
      throw new AtsssError(
        'ERR_ATSSS_OPTION',
        `an access cannot be named "${name}": use 1 to 15 letters, digits, - and _, beginning with a letter; not "lo" or "${DATA}"`,
      )
  if (names.length < 1 || names.length > 200 || new Set(names).size < names.length)
    throw new AtsssError('ERR_ATSSS_OPTION', 'a lab has 1 to 200 accesses, each with a name of its own')
  const profiles = accesses.map(({ name, link }) => ({ name, profile: link }))
  if (dataNetwork !== 'veth') profiles.push({ name: DATA, profile: dataNetwork })
  return { accesses, profiles, ipv6: hasIpv6 ? (ipv6 ? 'on' : 'off') : 'missing', sourceRouting }
}

const DEFAULT_ACCESSES: readonly AccessOptions[] = [
  { name: 'wifi', access: 'non-3gpp', link: { rateMbps: 50, delayMs: 10 } },
  { name: 'cell', access: '3gpp', link: { rateMbps: 20, delayMs: 30 } },
]

export function ueLines({ accesses, ipv6, sourceRouting }: Plan): string[] {
  const lines = ['link set dev lo up']
  for (const [index, { name, mtu = 1500 }] of accesses.entries()) {
    const { ue, gateway } = accessAddresses(index)
    const metric = (index + 1) * 100
    lines.push(...interfaceLines(name, ue, ipv6, mtu))
    for (const family of ipv6 === 'on' ? (['v4', 'v6'] as const) : (['v4'] as const)) {
      lines.push(`route add default via ${gateway[family]} dev ${name} metric ${metric}`)
      if (!sourceRouting) continue
      lines.push(`route add default via ${gateway[family]} dev ${name} table ${metric}`)
    }
  }
  return lines
}

/** Also for the UE; each rule is of one family, which `ip` needs as an option. */
export function ruleLines({ accesses }: Plan, family: 'v4' | 'v6'): string[] {
  return accesses.map((_, index) => `rule add from ${accessAddresses(index).ue[family]} table ${(index + 1) * 100}`)
}

export function converterLines({ accesses, ipv6 }: Plan): string[] {
  return [
    'link set dev lo up',
    `addr add ${CONVERTER.v4}/32 dev lo`,
    ...(ipv6 === 'on' ? [`addr add ${CONVERTER.v6}/128 dev lo nodad`] : []),
    ...accesses.flatMap(({ name, mtu = 1500 }, i) => interfaceLines(name, accessAddresses(i).gateway, ipv6, mtu)),
    ...interfaceLines(DATA, DATA_GATEWAY, ipv6, 1500),
  ]
}

/** Run outside of the namespaces: makes each end in its own. */
export function vethLines(converter: string, server: string): string[] {
  return [`link add ${DATA} netns ${converter} type veth peer name ${DATA} netns ${server}`]
}

export function serverLines({ ipv6 }: Plan): string[] {
  return [
    'link set dev lo up',
    ...interfaceLines(DATA, SERVER, ipv6, 1500),
    `route add default via ${DATA_GATEWAY.v4} dev ${DATA}`,
    ...(ipv6 === 'on' ? [`route add default via ${DATA_GATEWAY.v6} dev ${DATA}`] : []),
  ]
}

/**
 * What the hosts need beyond the kernel's defaults. `tcp_fastopen`: 1 as client, 2 as server, 0x200 as server without a
 * cookie, as a converter must (RFC 8803 §7.1). rp_filter and mptcp.enabled are the kernel's defaults, whatever the
 * machine's are.
 */
export function sysctls(host: 'ue' | 'converter' | 'server', { ipv6 }: Plan): [string, number][] {
  const values: [string, number][] = [
    ['net.ipv4.conf.all.rp_filter', 0],
    ['net.ipv4.conf.default.rp_filter', 0],
    ['net.mptcp.enabled', 1],
  ]
  // Addresses are static and no router is asked for, so that a link carries only what the lab's programs send.
  if (ipv6 === 'on') values.push(['net.ipv6.conf.all.accept_ra', 0], ['net.ipv6.conf.default.accept_ra', 0])
  if (ipv6 === 'off') values.push(['net.ipv6.conf.all.disable_ipv6', 1], ['net.ipv6.conf.default.disable_ipv6', 1])
  if (host !== 'converter') return values
  if (ipv6 === 'on') values.push(['net.ipv6.conf.all.forwarding', 1])
  return [...values, ['net.ipv4.ip_forward', 1], ['net.ipv4.tcp_fastopen', 0x203]]
}

function interfaceLines(name: string, address: Required<Address>, ipv6: Plan['ipv6'], mtu: number): string[] {
  return [
    `link set dev ${name} mtu ${mtu} up`,
    `addr add ${address.v4}/24 dev ${name}`,
    ...(ipv6 === 'on' ? [`addr add ${address.v6}/64 dev ${name} nodad`] : []),
  ]
}
