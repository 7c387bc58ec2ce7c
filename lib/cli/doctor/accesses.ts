/** Findings about interfaces: which are accesses, and whether packets can leave by them. Pure. */
import type { AccessType } from '../../policy/rules/rule.js'
import { BOTH } from '../../policy/steering/accesses.js'
import { LIKELY_ACCESS } from '../../runtime/network/interface-kind.js'
import type { Interface } from './facts.js'
import { type Finding, sysctlFix } from './finding.js'

/** The interface of each access, as configured; `undefined` to see what there is. */
export type Accesses = Readonly<Record<AccessType, string>> | undefined

export function aboutAccesses(interfaces: readonly Interface[], accesses: Accesses): Finding[] {
  const chosen = accesses ? BOTH.map(access => configured(access, accesses, interfaces)) : []
  const usable = interfaces.filter(isUsable)
  return [
    aboutChoice(interfaces, usable, accesses),
    ...chosen,
    ...usable.flatMap(each => aboutInterface(each, usable, accesses)),
    ...aboutSameSubnet(usable),
    ...aboutMetered(usable, accesses),
  ]
}

/** Linux answers ARP requests for an address on any interface: replies then arrive where the bound socket does not see them. */
function aboutSameSubnet(usable: readonly Interface[]): Finding[] {
  const inIpv4 = usable.filter(({ arp }) => arp !== undefined && (arp.ignore < 1 || arp.announce < 2))
  const subnet = ({ addresses }: Interface) => addresses.filter(each => !each.includes(':')).map(subnetOf)
  for (const [index, one] of inIpv4.entries())
    for (const other of inIpv4.slice(index + 1)) {
      const shared = subnet(one).find(each => subnet(other).includes(each))
      if (shared === undefined) continue
      return [
        {
          id: 'same-subnet',
          title: 'Interfaces in one subnet',
          state: 'warning',
          found: `${one.name} and ${other.name} are both in ${shared}`,
          why: 'Linux answers ARP requests for either address on both, so replies arrive on the wrong interface, and an access seems silent',
          fixes: [sysctlFix('net.ipv4.conf.all.arp_ignore', '1'), sysctlFix('net.ipv4.conf.all.arp_announce', '2')],
          all: true,
        },
      ]
    }
  return []
}

/** "192.0.2.10/24" is in "192.0.2.0/24". */
function subnetOf(address: string): string {
  const [host = '', length = '32'] = address.split('/')
  const bits = host.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0)
  const size = 2 ** (32 - Number(length))
  const first = Math.floor(bits / size) * size
  return `${[24, 16, 8, 0].map(shift => Math.floor(first / 2 ** shift) % 256).join('.')}/${length}`
}

/** Programs without atsss use the default route with the lowest metric. */
function aboutMetered(usable: readonly Interface[], accesses: Accesses): Finding[] {
  const all = usable.flatMap(each => each.routes.map(({ metric }) => ({ each, metric })))
  const [first] = all.sort((a, b) => a.metric - b.metric)
  const others = all.some(({ each }) => each !== first?.each)
  const isCellular = (of: Interface) =>
    accesses === undefined ? LIKELY_ACCESS[of.kind] === '3gpp' : isNamed(of, accesses['3gpp'])
  if (!first || !others || !isCellular(first.each)) return []
  // The same metric is no preference: a lab's accesses have it.
  if (all.some(({ each, metric }) => each !== first.each && metric === first.metric)) return []
  return [
    {
      id: 'default-route',
      title: 'Default route',
      state: 'warning',
      found: `it leads over ${first.each.name}, the cellular access (metric ${first.metric}, the lowest)`,
      why: 'programs without atsss use it, and use up its data volume',
      fixes: [
        {
          command: `nmcli device modify ${first.each.name} ipv4.route-metric 700 ipv6.route-metric 700`,
          note: 'with NetworkManager; elsewhere give its default route a higher metric than the others',
        },
      ],
    },
  ]
}

/** Whether the interface has this name, or this alternative name. */
export function isNamed({ name, altnames = [] }: Interface, wanted: string): boolean {
  return name === wanted || altnames.includes(wanted)
}

/** Up, with carrier and an address, and not held back. */
function isUsable({ up, carrier, heldBack, addresses }: Interface): boolean {
  return up && carrier && heldBack === undefined && addresses.length > 0
}

function aboutChoice(interfaces: readonly Interface[], usable: readonly Interface[], accesses: Accesses): Finding {
  const list = interfaces.map(inWords).join('; ')
  const good = usable.length >= 2
  const guess = (wanted: AccessType) => usable.find(({ kind }) => LIKELY_ACCESS[kind] === wanted)?.name
  const cellular = guess('3gpp')
  const other = guess('non-3gpp')
  const likely = cellular !== undefined && other !== undefined
  return {
    id: 'interfaces',
    title: 'Interfaces',
    state: good ? 'good' : 'warning',
    found: list || 'only loopback',
    why: good
      ? accesses !== undefined
        ? 'a handover needs two that are up and have an address'
        : likely
          ? `there are two accesses: --3gpp ${cellular} --non-3gpp ${other} looks right`
          : 'there are two accesses; choose which is 3gpp and which is non-3gpp'
      : 'with fewer than two interfaces that are up and have an address there is nothing to steer',
    fixes: good
      ? []
      : [
          {
            command: '',
            note: 'connect to a Wi-Fi network and to a phone (USB tethering) or modem; or try `atsss lab`',
          },
        ],
  }
}

function inWords({ name, kind, up, carrier, heldBack, addresses }: Interface): string {
  if (!up) return `${name} (${kind}, down)`
  if (!carrier) return `${name} (${kind}, no carrier)`
  if (heldBack !== undefined) return `${name} (${kind}, not ready: ${heldBack})`
  return `${name} (${kind}, ${addresses.join(' ') || 'no address'})`
}

function configured(access: AccessType, accesses: NonNullable<Accesses>, interfaces: readonly Interface[]): Finding {
  const name = accesses[access]
  const found = interfaceNamed(name, interfaces)
  const about = { id: `access-${access}`, title: `Access ${access}` }
  const other = BOTH.find(each => each !== access)!
  if (found && found === interfaceNamed(accesses[other], interfaces))
    return {
      ...about,
      state: 'bad',
      found: `${name} is the same interface as the ${other} access: ${inWords(found)}`,
      why: 'a handover needs two interfaces',
      fixes: [{ command: '', note: 'name two interfaces' }],
    }
  const good = found !== undefined && isUsable(found)
  const otherName = found && found.name !== name ? `${name} is another name of ` : ''
  return {
    ...about,
    state: good ? 'good' : 'bad',
    found: found === undefined ? missing(name, interfaces) : otherName + inWords(found),
    why: 'to be used, it must be up and have carrier and an address',
    fixes:
      good || found === undefined || found.up
        ? []
        : [{ command: `ip link set ${name} up`, action: { do: 'run', argv: ['ip', 'link', 'set', name, 'up'] } }],
  }
}

function missing(name: string, interfaces: readonly Interface[]): string {
  const there = interfaces.map(each => each.name).join(', ')
  return `there is no interface ${name} (there ${there === '' ? 'is only loopback' : `are: ${there}`})`
}

function interfaceNamed(name: string, interfaces: readonly Interface[]): Interface | undefined {
  return interfaces.find(each => each.name === name) ?? interfaces.find(each => isNamed(each, name))
}

/** IPv6-only networks, as most mobile ones are. */
function aboutTranslator({ name, translator }: Interface): Finding[] {
  if (translator === undefined) return []
  const good = translator !== ''
  return [
    {
      id: `translator-${name}`,
      title: `IPv4 over ${name}`,
      state: good ? 'good' : 'warning',
      found: good
        ? `${name} has IPv6 only, and a translator (NAT64): ${translator}`
        : `${name} has IPv6 only, and no translator (NAT64) that ipv4only.arpa shows`,
      why: good
        ? 'converters and servers with IPv4 addresses only are reached by it'
        : 'converters and servers with IPv4 addresses only cannot be reached over it: there is no handover to it for them',
      fixes: good
        ? []
        : [
            {
              command: '',
              note: "name the converter's IPv6 address too: converters: { host: ['192.0.2.1', '2001:db8::1'], port }",
            },
          ],
    },
  ]
}

/** Linux, ip-sysctl rp_filter. */
const RP_FILTER = ['off (0)', 'strict (1)', 'loose (2)']
const STRICT = 1

function aboutInterface(of: Interface, usable: readonly Interface[], accesses: Accesses): Finding[] {
  const { name, routes, rpFilter, addresses } = of
  if (accesses !== undefined && !Object.values(accesses).some(wanted => isNamed(of, wanted))) return []
  const gateways = routes.map(({ gateway, metric }) => `${gateway ?? 'on the link'} (metric ${metric})`)
  const subnet = addresses[0]?.replace(/\d+\/.*$/, '1') ?? ''
  const route: Finding = {
    id: `route-${name}`,
    title: `Default route over ${name}`,
    state: routes.length > 0 ? 'good' : accesses === undefined ? 'warning' : 'bad',
    found: gateways.join(', ') || 'none',
    why: 'atsss needs a default route on each interface; other programs use the one with the lowest metric',
    fixes:
      routes.length > 0
        ? []
        : [
            {
              command: `ip route add default via GATEWAY dev ${name} metric 200`,
              note: `GATEWAY is the network's router, often ${subnet}; NetworkManager adds this route unless ipv4.never-default is set`,
            },
          ],
  }
  const families = aboutTranslator(of)
  // With one network replies arrive over the interface that the routes prefer.
  if (usable.length < 2) return [route, ...families]
  const strict = rpFilter === STRICT
  return [
    route,
    ...families,
    {
      id: `rp-filter-${name}`,
      title: `Reverse path filter of ${name}`,
      state: strict ? 'warning' : 'good',
      found: RP_FILTER[rpFilter] ?? String(rpFilter),
      why: strict
        ? 'replies that arrive over an access which the routes do not prefer are dropped'
        : 'replies are accepted over every access',
      // A dot in an interface's name, as VLANs have, is a slash in a sysctl's name.
      fixes: strict ? [sysctlFix(`net.ipv4.conf.${name.replaceAll('.', '/')}.rp_filter`, '2')] : [],
    },
  ]
}
