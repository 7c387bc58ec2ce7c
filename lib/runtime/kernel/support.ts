/** Whether this system supports MPTCP: found by trying, never from a version. */
import { INFO_MAX, IPPROTO_MPTCP, MPTCP_INFO, SOL_MPTCP } from './constants.js'
import { native, type Support } from './native.js'

/**
 * Whether MPTCP sockets can be used here, and if not, why and what to do about it. Never throws.
 *
 * @example
 * const { supported, reason } = isSupported()
 * if (!supported) console.warn(reason)
 */
export function isSupported(): Support {
  try {
    native().close(mptcpSocket(4))
    return { supported: true }
  } catch (error) {
    return { supported: false, reason: unsupportedReason(error as NodeJS.ErrnoException) }
  }
}

/**
 * Opens an MPTCP socket. The descriptor belongs to the addon until it is released.
 *
 * Throws system errors; `lacksMptcp` says which of them mean that MPTCP cannot be used here. One of them is the kernel's
 * answer to MPTCP_INFO before Linux 5.16: without it an MPTCP connection looks like one that fell back to TCP.
 */
export function mptcpSocket(family: 4 | 6): number {
  const addon = native()
  const fd = addon.socket(family, IPPROTO_MPTCP)
  if (hasMptcpInfo) return fd
  try {
    addon.getsockopt(fd, SOL_MPTCP, MPTCP_INFO, INFO_MAX)
    hasMptcpInfo = true
    return fd
  } catch (error) {
    addon.close(fd)
    throw error
  }
}

/** Once it has answered, this kernel always does. */
let hasMptcpInfo = false

/** What an error of `mptcpSocket` means: what is wrong, and after the colon what to do about it. */
export function unsupportedReason(error: NodeJS.ErrnoException): string {
  if (error.syscall === 'getsockopt')
    return 'This kernel does not say which connections are MPTCP (MPTCP_INFO): Linux 5.16 or later is needed'
  switch (error.code) {
    case 'ENOPROTOOPT':
      return 'MPTCP is switched off in this network namespace: sysctl -w net.mptcp.enabled=1'
    case 'EPROTONOSUPPORT':
      return 'This kernel was built without MPTCP (CONFIG_MPTCP): Linux 5.16 or later that was built with it is needed (Debian 12 has one, Debian 11 does not)'
    case 'EINVAL':
      return 'This kernel is older than MPTCP: Linux 5.16 or later is needed'
    case undefined:
      return error.message
    default:
      // A sandbox refuses with any errno: seccomp's filters choose one.
      return lacksMptcp(error)
        ? `This process may not open MPTCP sockets (${error.code}): a security policy (seccomp, SELinux, a sandbox) forbids it`
        : error.message
  }
}

/** Whether `mptcpSocket` failed since MPTCP is missing or forbidden, not since descriptors or memory are used up. */
export function lacksMptcp(error: NodeJS.ErrnoException): boolean {
  return (error.syscall === 'socket' || error.syscall === 'getsockopt') && !isScarcity(error)
}

/** Whether descriptors or memory are used up. */
export function isScarcity({ code }: NodeJS.ErrnoException): boolean {
  return SCARCE.has(code ?? '')
}

const SCARCE: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'])
