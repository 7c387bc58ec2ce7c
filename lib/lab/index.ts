/**
 * `atsss/lab`: a UE with several accesses, a converter's host and a server, in network namespaces of this machine, over
 * links whose rate, delay, loss and carrier can be changed while they carry traffic. Needs root, or `unshare -Urnm`.
 */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, existsSync } from 'node:fs'
import { AtsssError } from '../errors.js'
import { NETNS_DIRECTORY, newLabName, removeAtExit, removeNamespaces, removeStaleLabs } from './cleanup.js'
import { Emulator } from './emulator.js'
import { ipBatch } from './ip.js'
import { EmulatedLink, type Link } from './link.js'
import { type Address, type Namespace, NetworkNamespace } from './namespace.js'
import { commandsFor } from './profile.js'
import {
  type AccessType,
  accessAddresses,
  CONVERTER,
  converterLines,
  DATA,
  type LabOptions,
  type Plan,
  planOf,
  ruleLines,
  SERVER,
  serverLines,
  sysctls,
  ueLines,
  vethLines,
} from './topology.js'

export { readPcap } from './capture.js'
export type { Capture, DirectionStats, Link, LinkEnd, LinkStats } from './link.js'
export type { Address, Namespace, RunOptions, RunResult } from './namespace.js'
export { MPTCP_SUBTYPE, type Packet, type Tcp } from './packet.js'
export type { DirectionChange, LinkChange, LinkProfile, Mangling } from './profile.js'
export { PROFILES, type ProfileName } from './profiles.js'
export { parseScenario, playTrace, type Scenario, type TraceStep } from './scenario.js'
export type { AccessOptions, AccessType, LabOptions } from './topology.js'

/** An access of the UE. */
export interface Access {
  readonly name: string
  readonly access: AccessType
  /** Its interface in the UE. */
  readonly interface: string
  /** The UE's address on it. */
  readonly address: Address
  readonly link: Link
}

export interface Lab {
  readonly ue: Namespace
  readonly converter: Namespace
  readonly server: Namespace
  readonly accesses: Readonly<Record<string, Access>>
  /** Reachable over every access. */
  readonly converterAddress: Address
  /** In the data network, behind the converter; also reachable over every access without a converter. */
  readonly serverAddress: Address
  /** The link of an access, or `data`, the one between converter and server. */
  link(name: string): Link
  /** Ends every program in the lab and removes it. It is also removed when the process ends. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Builds a lab, in about a tenth of a second. An open lab does not keep the process alive. */
export async function openLab(options: LabOptions = {}): Promise<Lab> {
  const plan = planOf(options, existsSync('/proc/sys/net/ipv6'))
  const settings = plan.profiles.flatMap(({ name, profile }) => commandsFor(name, profile))

  removeStaleLabs()
  const emulator = new Emulator()
  const children = new Set<ChildProcess>()
  const labName = newLabName()
  const host = (role: string) => new NetworkNamespace(`${labName}-${role}`, emulator, children)
  const hosts = { ue: host('ue'), converter: host('converter'), server: host('server') }

  const remove = () => {
    const ended = emulator.kill()
    removeNamespaces(Object.values(hosts).map(({ name }) => name))
    return ended
  }
  const forget = removeAtExit(remove)
  let closed: Promise<void> | undefined
  const close = () => {
    closed ??= endChildren(children).then(remove).finally(forget)
    return closed
  }

  try {
    await build(plan, hosts, emulator)
    await Promise.all(settings.map(words => emulator.command(words)))
  } catch (error) {
    await close()
    throw error
  }
  return { ...hosts, ...parts(plan, hosts, emulator), close, [Symbol.asyncDispose]: close }
}

interface Hosts {
  ue: NetworkNamespace
  converter: NetworkNamespace
  server: NetworkNamespace
}

async function build(plan: Plan, { ue, converter, server }: Hosts, emulator: Emulator): Promise<void> {
  if (!existsSync('/proc/sys/net/mptcp/enabled'))
    throw new AtsssError(
      'ERR_LAB_FAILED',
      'The lab needs a kernel with MPTCP, and this one was built without it (CONFIG_MPTCP): Linux 5.16 or later that was built with it is needed (Debian 12 has one, Debian 11 does not)',
    )
  if (!isWritable(NETNS_DIRECTORY)) await emulator.command('mount')
  await ipBatch([ue, converter, server].map(({ name }) => `netns add ${name}`))
  for (const [role, host] of Object.entries({ ue, converter, server }))
    for (const [name, value] of sysctls(role as keyof Hosts, plan)) await host.sysctl(name, value)

  for (const { name } of plan.accesses)
    await emulator.command(`link ${name} ${ue.name} ${name} ${converter.name} ${name}`)
  if (plan.profiles.length === plan.accesses.length) await ipBatch(vethLines(converter.name, server.name))
  else await emulator.command(`link ${DATA} ${converter.name} ${DATA} ${server.name} ${DATA}`)

  await ipBatch(ueLines(plan), '-n', ue.name)
  if (plan.sourceRouting) await ipBatch(ruleLines(plan, 'v4'), '-n', ue.name)
  if (plan.sourceRouting && plan.ipv6 === 'on') await ipBatch(ruleLines(plan, 'v6'), '-n', ue.name, '-6')
  await ipBatch(converterLines(plan), '-n', converter.name)
  await ipBatch(serverLines(plan), '-n', server.name)
}

/** The parts of a lab that has been built. */
function parts(plan: Plan, { ue, converter, server }: Hosts, emulator: Emulator) {
  const links = new Map<string, Link>(
    plan.profiles.map(({ name, profile }) => [name, new EmulatedLink(name, emulator, profile)]),
  )
  const link = (name: string): Link => {
    const found = links.get(name)
    if (found !== undefined) return found
    throw new AtsssError('ERR_ATSSS_OPTION', `no link "${name}"; there are ${[...links.keys()].join(', ')}`)
  }
  const address = ({ v4, v6 }: Required<Address>): Address => (plan.ipv6 === 'on' ? { v4, v6 } : { v4 })
  const accesses: Record<string, Access> = {}
  for (const [index, { name, access }] of plan.accesses.entries()) {
    const addresses = accessAddresses(index)
    ue.addresses[name] = address(addresses.ue)
    converter.addresses[name] = address(addresses.gateway)
    accesses[name] = { name, access, interface: name, address: address(addresses.ue), link: link(name) }
  }
  converter.addresses.lo = address(CONVERTER)
  server.addresses[DATA] = address(SERVER)
  return { accesses, link, converterAddress: address(CONVERTER), serverAddress: address(SERVER) }
}

async function endChildren(children: ReadonlySet<ChildProcess>): Promise<void> {
  const ended = [...children].map(child => once(child, 'exit'))
  for (const child of children) child.kill('SIGKILL')
  await Promise.allSettled(ended)
}

function isWritable(directory: string): boolean {
  try {
    accessSync(existsSync(directory) ? directory : '/run', constants.W_OK)
    return true
  } catch {
    return false
  }
}
