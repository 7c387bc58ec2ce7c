/** What a converter is on this machine: the TCP options that the kernel sends for it, and where it listens itself. */
import { PrefixSet, plainAddress } from '../../input/addresses.js'
import { interfacesNow } from '../../runtime/kernel/interfaces.js'
import { isSupported } from '../../runtime/kernel/support.js'
import { sysctlNumber } from '../../runtime/kernel/sysctl.js'
import type { Settings } from '../options/settings.js'
import type { Place } from './admission.js'
import type { Target } from './request.js'
import { TCP_OPTION } from './tcp-options.js'

/** @param listening where the converter listens now */
export function ownPlace(settings: Settings, listening: () => readonly Target[]): Place {
  return { tcpOptions: tcpOptions(settings), isSelf: target => isSelf(target, listening()) }
}

/** The options that the kernel puts into its SYNs: the answer to an Info TLV, and what an extended Connect may list. */
function tcpOptions({ protocol }: Settings): Set<number> {
  const kinds = new Set<number>()
  if (sysctlNumber('net.ipv4.tcp_sack')) kinds.add(TCP_OPTION.sackPermitted)
  if (sysctlNumber('net.ipv4.tcp_timestamps')) kinds.add(TCP_OPTION.timestamps)
  if (protocol === 'mptcp' && isSupported().supported) kinds.add(TCP_OPTION.mptcp)
  return kinds
}

function isSelf({ address, port }: Target, ours: readonly Target[]): boolean {
  if (!ours.some(each => each.port === port)) return false
  // Each of 127.0.0.0/8 is this machine, although its interface has only the first.
  if (LOOPBACK.has(address) && ours.some(each => each.port === port && isWildcard(each.address))) return true
  return (
    ours.some(each => each.port === port && plainAddress(each.address) === address) ||
    Object.values(interfacesNow()).some(list => list?.some(each => plainAddress(each.address) === address))
  )
}

function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || address === '::'
}

const LOOPBACK = new PrefixSet(['127.0.0.0/8', '::1'], '')
