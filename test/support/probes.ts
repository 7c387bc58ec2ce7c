/** Probes for `requires`: each tries the thing itself and gives `undefined`, or why it does not work. */
import { spawnSync } from 'node:child_process'
import { release } from 'node:os'
import { ignoreAll } from '../../lib/converter/incoming/socket-filter.js'
import { INFO_MAX, IPPROTO_TCP, MPTCP_INFO, SOL_MPTCP } from '../../lib/runtime/kernel/constants.js'
import { clientFastOpen } from '../../lib/runtime/kernel/fast-open.js'
import { native } from '../../lib/runtime/kernel/native.js'
import { mptcpSocket } from '../../lib/runtime/kernel/support.js'
import { decodeMptcpInfo } from '../../lib/wire/kernel/mptcp-info.js'

/** The addon loads, and the kernel opens MPTCP sockets with it, and says which connections are MPTCP. */
export function mptcp(): string | undefined {
  return whyNot(() => {
    native().close(mptcpSocket(4))
  })
}

/** The addon loads. */
export function addon(): string | undefined {
  return whyNot(() => void native())
}

/** The kernel lets us put filters on TCP sockets. */
export function tcpFilters(): string | undefined {
  return whyNot(() => {
    const addon = native()
    const fd = addon.socket(4, IPPROTO_TCP)
    try {
      addon.attachFilter(fd, ignoreAll())
    } finally {
      addon.close(fd)
    }
  })
}

/** New network namespaces can be made, as root does. */
export function root(): string | undefined {
  return whyNot(() => run('unshare', '--net', 'true'))
}

/** In a new network namespace `ip` makes devices: veth and, from /dev/net/tun, tun. Nothing is left behind. */
export function netns(): string | undefined {
  return whyNot(() =>
    run(
      'unshare',
      '--net',
      'sh',
      '-c',
      'ip link add probe0 type veth peer name probe1 && ip tuntap add dev probe2 mode tun && ip link set probe2 up',
    ),
  )
}

/** MPTCP connections can have data in their SYN, and MPTCP listeners take it. */
export function mptcpFastOpen(): string | undefined {
  return whyNot(() => {
    const how = clientFastOpen()
    if (how === 'no-kernel') throw new Error('MPTCP sockets take no data for their SYN (before Linux 6.2)')
    if (how === 'off') throw new Error('net.ipv4.tcp_fastopen has no bit 1')
  })
}

/** The kernel counts the bytes of an MPTCP connection. */
export function byteCounters(): string | undefined {
  return whyNot(() => {
    const fd = mptcpSocket(4)
    try {
      const { bytesAcked } = decodeMptcpInfo(native().getsockopt(fd, SOL_MPTCP, MPTCP_INFO, INFO_MAX))
      if (bytesAcked === undefined) throw new Error('MPTCP_INFO has no counters of bytes (before Linux 6.5)')
    } finally {
      native().close(fd)
    }
  })
}

/**
 * What cannot be tried without a lab: by the kernel's version. `what` came with it.
 *
 * @param version `6.9`
 */
export function linux(version: string, what: string): () => string | undefined {
  const number = (text: string) => {
    const [major = 0, minor = 0] = text.split(/[.-]/).map(Number)
    return major * 1000 + minor
  }
  return () => (number(release()) >= number(version) ? undefined : `${what} (before Linux ${version})`)
}

/** MPTCP sockets of IPv6 can be opened. */
export function mptcpOverIpv6(): string | undefined {
  return whyNot(() => {
    native().close(mptcpSocket(6))
  })
}

/** A C compiler is installed. */
export function compiler(): string | undefined {
  return whyNot(() => run('cc', '--version'))
}

/** All of these. */
export function all(...probes: (() => string | undefined)[]): () => string | undefined {
  return () => {
    for (const probe of probes) {
      const missing = probe()
      if (missing !== undefined) return missing
    }
    return undefined
  }
}

function whyNot(attempt: () => void): string | undefined {
  try {
    attempt()
    return undefined
  } catch (error) {
    return (error as Error).message.split('\n')[0]
  }
}

function run(command: string, ...args: string[]): void {
  const { error, status, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (error) throw error
  if (status !== 0) throw new Error(stderr.trim() || `${command} ended with status ${status}`)
}
