/** Kernel settings, read from /proc/sys. */
import { readFileSync } from 'node:fs'

/**
 * The value of a setting such as `net.ipv4.tcp_fastopen`, without its final newline.
 *
 * @returns `undefined` if this kernel does not have the setting, or if it cannot be read
 */
export function sysctl(name: string): string | undefined {
  try {
    return readFileSync(sysctlPath(name), 'utf8').trim()
  } catch {
    return undefined
  }
}

/** The value of a setting that is an integer; `undefined` also if it is not one. */
export function sysctlNumber(name: string): number | undefined {
  const value = sysctl(name)
  return value !== undefined && /^-?\d+$/.test(value) ? Number(value) : undefined
}

/**
 * The setting that chooses the path manager of the sockets that are opened from now on, and its value for this one:
 * `path_manager` from Linux 6.15 on, `pm_type` before.
 *
 * @returns `undefined` if this kernel has neither: before 5.19 there is only the kernel's path manager
 */
export function pathManagerSetting(manager: 'kernel' | 'userspace'): { name: string; value: string } | undefined {
  if (sysctl('net.mptcp.path_manager') !== undefined) return { name: 'net.mptcp.path_manager', value: manager }
  if (sysctl('net.mptcp.pm_type') === undefined) return undefined
  return { name: 'net.mptcp.pm_type', value: manager === 'kernel' ? '0' : '1' }
}

/**
 * The file of a setting. As in sysctl(8), dots and slashes are exchanged: the interface `eth0.7` is written
 * `net.ipv4.conf.eth0/7.rp_filter`.
 */
export function sysctlPath(name: string): string {
  return `/proc/sys/${name.replace(/[./]/g, each => (each === '.' ? '/' : '.'))}`
}
