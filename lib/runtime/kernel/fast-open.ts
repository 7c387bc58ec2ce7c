/** Fast Open on listeners: whether the data of SYNs is taken. RFC 7413. */
import { int, SOL_TCP, TCP_FASTOPEN, TCP_FASTOPEN_NO_COOKIE } from './constants.js'
import { native } from './native.js'
import { sysctlNumber } from './sysctl.js'

/**
 * Asks for the data of SYNs, also of those without a cookie. Before `listen`. Whether the system allows it at all is
 * another question: `serverFastOpen`.
 *
 * @param queue how many SYNs with data may wait for the end of their handshake
 * @returns false if this kernel cannot do that on such a listener: MPTCP before Linux 6.2
 */
export function takeSynData(fd: number, queue: number): boolean {
  try {
    native().setsockopt(fd, SOL_TCP, TCP_FASTOPEN, int(queue))
    native().setsockopt(fd, SOL_TCP, TCP_FASTOPEN_NO_COOKIE, int(1))
    return true
  } catch {
    return false
  }
}

/** Whether the system lets listeners take the data of SYNs, and the command that allows it. */
export function serverFastOpen(): { on: boolean; value: number; fix: string } {
  // Without the setting it is what kernels start with: clients only.
  const value = sysctlNumber('net.ipv4.tcp_fastopen') ?? 1
  return {
    on: (value & TFO_SERVER_ENABLE) !== 0,
    value,
    fix: `sysctl -w net.ipv4.tcp_fastopen=${value | TFO_SERVER_ENABLE}`,
  }
}

/** Documentation/networking/ip-sysctl.rst, tcp_fastopen: 0x2 enables the server side. */
const TFO_SERVER_ENABLE = 0x2
