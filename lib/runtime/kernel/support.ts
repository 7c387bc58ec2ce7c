/** Whether this system supports MPTCP: found by trying, never from a version. */
import { IPPROTO_MPTCP } from './constants.js'
import { serverFastOpen } from './fast-open.js'
import { native, type Support } from './native.js'

/**
 * Whether MPTCP sockets can be opened here, and if not, why and what to do about it. Never throws.
 *
 * @example
 * const { supported, reason } = isSupported()
 * if (!supported) console.warn(reason)
 */
export function isSupported(): Support {
  try {
    const addon = native()
    addon.close(addon.socket(4, IPPROTO_MPTCP))
    return { supported: true }
  } catch (error) {
    return { supported: false, reason: unsupportedReason(error as NodeJS.ErrnoException) }
  }
}

/** What the errno of `socket(…, IPPROTO_MPTCP)` means. */
export function unsupportedReason(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ENOPROTOOPT':
      return 'MPTCP is switched off in this network namespace: sysctl -w net.mptcp.enabled=1'
    case 'EPROTONOSUPPORT':
      return 'This kernel was built without MPTCP (CONFIG_MPTCP): Linux 5.6 or later, as most distributions build it, has it'
    case 'EINVAL':
      return 'This kernel is older than MPTCP: Linux 5.6 or later is needed'
    case 'EPERM':
    case 'EACCES':
      return 'This process may not open MPTCP sockets: a security policy (seccomp, SELinux) forbids it'
    default:
      return error.message
  }
}

/** Whether `socket(2)` failed since MPTCP is missing, not since descriptors or memory are. */
export function lacksMptcp(error: NodeJS.ErrnoException): boolean {
  return ['ENOPROTOOPT', 'EPROTONOSUPPORT', 'EINVAL', 'EPERM', 'EACCES'].includes(error.code ?? '')
}

/** Why listeners here do not accept data in SYNs, and what to do about it; `undefined` if they do. */
export function fastOpenServerOff(): string | undefined {
  const { on, fix } = serverFastOpen()
  if (on) return undefined
  return `SYN data is not taken here: the first connection from each converter is TCP, and stays on its access: ${fix}`
}
