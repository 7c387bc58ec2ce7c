/** What the doctor looks at: everything that can be read without changing anything, as one value. */
import { existsSync, readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { release, version } from 'node:os'
import { nameOf } from '../../policy/connect/nat64.js'
import { type ClientFastOpen, clientFastOpen } from '../../runtime/kernel/fast-open.js'
import { nativeFile } from '../../runtime/kernel/native.js'
import { type MissingInside, missingInsides } from '../../runtime/kernel/node-socket.js'
import { isSupported } from '../../runtime/kernel/support.js'
import { pathManagerSetting, sysctl } from '../../runtime/kernel/sysctl.js'
import { heldBackBy } from '../../runtime/network/access-links.js'
import { type InterfaceKind, kindOf } from '../../runtime/network/interface-kind.js'
import type { DefaultRoute } from '../../runtime/network/link-monitor.js'
import { type Link, type NetworkState, openLinkMonitor } from '../../runtime/network/link-monitor.js'
import { findTranslator } from '../../runtime/network/nat64.js'
import {
  type MptcpEndpoint,
  type MptcpLimits,
  openPathManager,
  pathManagerType,
} from '../../runtime/network/path-manager.js'
import { interfaceFor } from '../../runtime/network/source-routing.js'
import { HELPER_SOCKET, openSteeringHelper } from '../../runtime/network/steering-helper.js'
import { type Leaving, leavingOf, type SubflowInterface, trySubflowInterface } from './subflow-trial.js'

export interface Facts {
  node: string
  /** Private parts of Node that this Node lacks. */
  missingInsides: readonly MissingInside[]
  kernel: string
  /** What `uname -v` says: distributions write there what they have built. */
  kernelBuild: string
  /** The program that would need the capability. */
  executable: string
  /** Why the addon cannot be loaded, if it cannot. */
  addon: string | undefined
  /** What was loaded. */
  addonFile: string | undefined
  /** Why MPTCP sockets cannot be opened, if they cannot. */
  mptcp: string | undefined
  /** Whether MPTCP connections can have data in their SYN: tried. `undefined` where there are no MPTCP sockets. */
  fastOpen: ClientFastOpen | undefined
  /** By name, as text; `undefined` where the kernel has none. */
  sysctls: Readonly<Record<SysctlName, string | undefined>>
  pathManager: 'kernel' | 'userspace' | undefined
  /** What would choose the userspace path manager; `undefined` where the kernel has none. */
  userspaceSetting: { name: string; value: string } | undefined
  /** Whether the kernel lets this process change subflows: tried. `undefined` when that cannot be known. */
  mayAdminister: boolean | undefined
  /** The steering helper, where it is installed; `undefined` where it was not looked for. */
  helper: Helper | undefined
  /** Who has called sudo, if this process is root's by it. */
  user: string | undefined
  /** Tried. `undefined` where it cannot be: not under the userspace path manager, or without CAP_NET_ADMIN. */
  subflowInterface: SubflowInterface | undefined
  limits: MptcpLimits | undefined
  endpoints: readonly MptcpEndpoint[]
  networkManager: boolean
  /** Of /proc/net/netstat: how often the kernel has taken a path for one that swallows. */
  blackholes: { fastOpen: number; mptcp: number }
  interfaces: readonly Interface[]
  /** The tunnels by which the system's routes lead to converters or to the Internet, and to which of them. */
  tunnels: readonly { name: string; to: readonly string[] }[]
}

export interface Interface {
  name: string
  /** Its other names. */
  altnames?: readonly string[]
  kind: InterfaceKind
  up: boolean
  carrier: boolean
  /** Why it carries nothing although it has a carrier, if that is so. */
  heldBack?: string
  /** Those that reach beyond the link. */
  addresses: readonly string[]
  /** Of one with IPv6 only: the prefix of its translator (NAT64), empty if it has none. */
  translator?: string
  routes: readonly Pick<DefaultRoute, 'family' | 'gateway' | 'metric'>[]
  /** One for each address. */
  leaving: readonly Leaving[]
  /** The larger of the interface's and of `all`: 0 off, 1 strict, 2 loose. */
  rpFilter: number
  /** The larger of the interface's and of `all`: Linux, ip-sysctl arp_ignore and arp_announce. */
  arp?: { ignore: number; announce: number }
}

interface Helper {
  path: string
  isReady: boolean
  /** Of the error, and what it says. */
  code?: string | undefined
  why: string
}

/** The sysctls that matter. */
const SYSCTLS = [
  'net.mptcp.enabled',
  'net.ipv4.tcp_fastopen',
  'net.ipv4.tcp_fastopen_blackhole_timeout_sec',
  'net.mptcp.blackhole_timeout',
  'net.core.rmem_max',
] as const
type SysctlName = (typeof SYSCTLS)[number]

/** @param remotes the addresses of converters, as far as they are known */
export async function gather(remotes: readonly string[]): Promise<Facts> {
  const { addon, addonFile } = ofAddon()
  const support = addon === undefined ? isSupported() : { supported: false }
  return {
    node: process.versions.node,
    missingInsides: missingInsides(),
    kernel: release(),
    kernelBuild: version(),
    executable: process.execPath,
    addon,
    addonFile,
    mptcp: support.supported ? undefined : (support.reason ?? 'without the addon it cannot be tried'),
    fastOpen: support.supported ? clientFastOpen() : undefined,
    sysctls: Object.fromEntries(SYSCTLS.map(name => [name, sysctl(name)])) as Facts['sysctls'],
    pathManager: pathManagerType(),
    userspaceSetting: pathManagerSetting('userspace'),
    ...(addon === undefined ? await ofPathManager() : NOTHING_KNOWN),
    helper: addon === undefined ? await helper() : undefined,
    user: process.getuid?.() === 0 && process.env.SUDO_USER !== 'root' ? process.env.SUDO_USER : undefined,
    networkManager: existsSync('/run/NetworkManager'),
    blackholes: blackholes(read('/proc/net/netstat') ?? ''),
    ...(addon === undefined ? await ofNetwork(remotes) : { interfaces: [], tunnels: [] }),
  }
}

/** Two lines for each group: the counters' names, then their values. */
export function blackholes(netstat: string): Facts['blackholes'] {
  const counters = new Map<string, number>()
  const lines = netstat.split('\n')
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const [group, ...names] = lines[i]!.split(' ')
    const values = lines[i + 1]!.split(' ').slice(1)
    for (const [index, name] of names.entries()) counters.set(`${group}${name}`, Number(values[index]))
  }
  return {
    fastOpen: counters.get('TcpExt:TCPFastOpenBlackhole') ?? 0,
    mptcp: counters.get('MPTcpExt:Blackhole') ?? 0,
  }
}

type OfPathManager = Pick<Facts, 'mayAdminister' | 'subflowInterface' | 'limits' | 'endpoints'>

const NOTHING_KNOWN: OfPathManager = {
  mayAdminister: undefined,
  subflowInterface: undefined,
  limits: undefined,
  endpoints: [],
}

async function ofPathManager(): Promise<OfPathManager> {
  try {
    const manager = await openPathManager()
    try {
      const [limits, endpoints] = await Promise.all([manager.kernel.limits(), manager.kernel.endpoints()])
      const { mayAdminister } = manager
      const canTry = mayAdminister && pathManagerType() === 'userspace'
      const subflowInterface = canTry ? await trySubflowInterface(manager) : undefined
      return { mayAdminister, subflowInterface, limits, endpoints }
    } finally {
      manager.close()
    }
  } catch {
    return NOTHING_KNOWN // a kernel without MPTCP: that is said already
  }
}

async function helper(): Promise<Helper> {
  const path = HELPER_SOCKET
  try {
    const found = await openSteeringHelper(path)
    found.close()
    return { path, isReady: true, why: '' }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return { path, isReady: false, code, why: message }
  }
}

async function ofNetwork(remotes: readonly string[]): Promise<Pick<Facts, 'interfaces' | 'tunnels'>> {
  const monitor = await openLinkMonitor()
  monitor.close()
  const { state } = monitor
  const links = [...state.links.values()].filter(({ name }) => name !== 'lo')
  const interfaces = await Promise.all(links.map(link => ofLink(link, state, remotes)))
  const tunnels = links.filter(({ isTunnel, up }) => isTunnel && up)
  return { interfaces, tunnels: tunnels.length === 0 ? [] : await ledBy(tunnels, remotes) }
}

async function ledBy(tunnels: readonly Link[], remotes: readonly string[]): Promise<Facts['tunnels']> {
  const led = await Promise.all(
    [...remotes.filter(remote => isIP(remote) !== 0), ...ANYWHERE].map(async to => ({
      to,
      index: await interfaceFor(undefined, to).catch(() => undefined),
    })),
  )
  const found = tunnels.map(({ name, index }) => ({
    name,
    to: led.filter(one => one.index === index).map(({ to }) => to),
  }))
  return found.filter(({ to }) => to.length > 0)
}

/** Addresses in the Internet, one of each family, whose routes are looked at. Nothing is sent there. */
const ANYWHERE = ['1.1.1.1', '2606:4700:4700::1111']

async function ofLink(link: Link, network: NetworkState, remotes: readonly string[]): Promise<Interface> {
  const { name, up, carrier, addresses } = link
  const usable = addresses.filter(({ scope, tentative }) => scope === 'global' && !tentative)
  const routes = network.defaultRoutes.filter(route => route.interfaceIndex === link.index)
  const filter = (of: string) => Number(sysctl(`net.ipv4.conf.${of.replaceAll('.', '/')}.rp_filter`) ?? 0)
  const heldBack = up && carrier ? heldBackBy(link) : undefined
  const hasOnlyIpv6 = usable.length > 0 && usable.every(({ family }) => family === 6)
  const translator = up && carrier && hasOnlyIpv6 ? await findTranslator(usable[0]!.address) : undefined
  return {
    name,
    ...(link.altnames && { altnames: link.altnames }),
    kind: kindOf(name),
    up,
    carrier,
    ...(heldBack !== undefined && { heldBack }),
    addresses: usable.map(({ address, prefixLength }) => `${address}/${prefixLength}`),
    ...(hasOnlyIpv6 && { translator: translator ? nameOf(translator) : '' }),
    routes: routes.map(({ family, gateway, metric }) => ({ family, gateway, metric })),
    leaving: await leavingOf(network, link, remotes),
    // Linux, ip-sysctl: "The max value from conf/{all,interface}/rp_filter is used".
    rpFilter: Math.max(filter('all'), filter(name)),
    arp: { ignore: ofBoth('arp_ignore', name), announce: ofBoth('arp_announce', name) },
  }
}

function ofBoth(setting: string, name: string): number {
  const value = (of: string) => Number(sysctl(`net.ipv4.conf.${of.replaceAll('.', '/')}.${setting}`) ?? 0)
  return Math.max(value('all'), value(name))
}

function ofAddon(): Pick<Facts, 'addon' | 'addonFile'> {
  try {
    return { addon: undefined, addonFile: nativeFile() }
  } catch (error) {
    return { addon: (error as Error).message, addonFile: undefined }
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
