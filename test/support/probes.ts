/** Probes for `requires`: each tries the thing itself and gives `undefined`, or why it does not work. */
import { spawnSync } from 'node:child_process'
import { ignoreAll } from '../../lib/converter/incoming/socket-filter.js'
import { IPPROTO_TCP } from '../../lib/runtime/kernel/constants.js'
import { native } from '../../lib/runtime/kernel/native.js'

const IPPROTO_MPTCP = 262

/** The addon loads, and the kernel opens MPTCP sockets with it. */
export function mptcp(): string | undefined {
  return whyNot(() => {
    const addon = native()
    addon.close(addon.socket(4, IPPROTO_MPTCP))
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
