/**
 * `atsss/lab`: a UE with several accesses, a converter's host and a server, in network namespaces of this machine, over
 * links whose rate, delay, loss and carrier can be changed while they carry traffic. Needs root, or `unshare -Urnm`.
 */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, existsSync } from 'node:fs'
import { AtsssError } from '../errors.js'
import { freeLabName, NETNS_DIRECTORY, removeAtExit, removeNamespaces, removeStaleLabs } from './cleanup.js'
import { Emulator } from './emulator.js'
import { ipBatch } from './ip.js'
import { EmulatedLink, type Link } from './link.js'
import { type Address, type Namespace, NetworkNamespace } from './namespace.js'
import { commandsFor } from './profile.js'
import {
  type AccessType,
  accessAddresses,
  CONVERTER,
  checkAccesses,
  converterLines,
  DATA,
  DEFAULT_ACCESSES,
  type LabOptions,
  ruleLines,
  SERVER,
  serverLines,
  sysctls,
  ueLines,
  vethLines,
} from './topology.js'

export type { Capture, DirectionStats, Link, LinkEnd, LinkStats } from './link.js'
export type { Address, Namespace, RunOptions, RunResult } from './namespace.js'
export { MPTCP_SUBTYPE, type Packet, readPcap, type Tcp } from './pcap.js'
export type { DirectionChange, LinkChange, LinkProfile, Mangling } from './profile.js'
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
  /** In the data network, behind the converter; reachable over every access without a converter too. */
  readonly serverAddress: Address
  /** The link of an access, or `data`, the one between converter and server. */
  link(name: string): Link
  /** Ends every program in the lab and removes it. It is also removed when the process ends. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Builds a lab: in about a tenth of a second. An open lab does not keep the process alive. */
export async function openLab(options: LabOptions = {}): Promise<Lab> {
  const { accesses = DEFAULT_ACCESSES, dataNetwork = {}, sourceRouting = false } = options
  const hasIpv6 = existsSync('/proc/sys/net/ipv6')
  const ipv6 = hasIpv6 && (options.ipv6 ?? true)
  checkAccesses(accesses)
  const profiles = accesses.map(({ name, link }) => ({ name, link }))
  if (dataNetwork !== 'veth') profiles.push({ name: DATA, link: dataNetwork })
  const settings = profiles.flatMap(({ name, link }) => commandsFor(name, link))

  removeStaleLabs()
  const emulator = new Emulator()
  const name = freeLabName()
  const children = new Set<ChildProcess>()
  const ue = new NetworkNamespace(`${name}-ue`, emulator, children)
  const converter = new NetworkNamespace(`${name}-converter`, emulator, children)
  const server = new NetworkNamespace(`${name}-server`, emulator, children)
  const hosts = [ue, converter, server]

  const remove = () => {
    const ended = emulator.kill()
    removeNamespaces(hosts.map(host => host.name))
    return ended
  }
  const removed = removeAtExit(remove)
  let closed: Promise<void> | undefined
  const close = () => {
    closed ??= endChildren(children).then(remove).finally(removed)
    return closed
  }

  try {
    if (!isWritable(NETNS_DIRECTORY)) await emulator.command('mount')
    await ipBatch(hosts.map(host => `netns add ${host.name}`))
    await Promise.all(
      (['ue', 'converter', 'server'] as const).flatMap((role, i) =>
        sysctls(role, ipv6 ? 'on' : hasIpv6 ? 'off' : 'missing').map(([sysctl, value]) =>
          hosts[i]!.sysctl(sysctl, value),
        ),
      ),
    )
    for (const { name } of accesses) await emulator.command(`link ${name} ${ue.name} ${name} ${converter.name} ${name}`)
    if (dataNetwork === 'veth') await ipBatch(vethLines(converter.name, server.name))
    else await emulator.command(`link ${DATA} ${converter.name} ${DATA} ${server.name} ${DATA}`)
    await Promise.all(settings.map(words => emulator.command(words)))
    const plan = { accesses, ipv6, sourceRouting }
    await ipBatch(ueLines(plan), '-n', ue.name)
    if (sourceRouting) await ipBatch(ruleLines(plan, 'v4'), '-n', ue.name)
    if (sourceRouting && ipv6) await ipBatch(ruleLines(plan, 'v6'), '-n', ue.name, '-6')
    await ipBatch(converterLines(plan), '-n', converter.name)
    await ipBatch(serverLines(plan), '-n', server.name)
  } catch (error) {
    await close()
    throw error
  }

  const links = new Map(profiles.map(({ name }) => [name, new EmulatedLink(name, emulator)]))
  const link = (wanted: string): Link => {
    const found = links.get(wanted)
    if (found === undefined)
      throw new AtsssError('ERR_ATSSS_OPTION', `no link "${wanted}"; there are ${[...links.keys()].join(', ')}`)
    return found
  }
  const address = ({ v4, v6 }: Required<Address>): Address => (ipv6 ? { v4, v6 } : { v4 })
  const found = accesses.map(({ name, access }, index): Access => {
    const { ue: own, gateway } = accessAddresses(index)
    ue.addresses[name] = address(own)
    converter.addresses[name] = address(gateway)
    return { name, access, interface: name, address: address(own), link: link(name) }
  })
  converter.addresses.lo = address(CONVERTER)
  server.addresses[DATA] = address(SERVER)
  return {
    ue,
    converter,
    server,
    accesses: Object.fromEntries(found.map(access => [access.name, access])),
    converterAddress: address(CONVERTER),
    serverAddress: address(SERVER),
    link,
    close,
    [Symbol.asyncDispose]: close,
  }
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
