/** Fast Open, RFC 7413: whether this system sends data in SYNs, and whether its listeners take such data. */
import { constants } from 'node:os'
import type { SystemError } from '../../errors.js'
import { int, SOL_TCP, TCP_FASTOPEN, TCP_FASTOPEN_NO_COOKIE } from './constants.js'
import { native } from './native.js'
import { mptcpSocket } from './support.js'
import { sysctlNumber } from './sysctl.js'

/** Whether MPTCP connections can have data in their SYN: `off` by net.ipv4.tcp_fastopen; `no-kernel` before Linux 6.2. */
export type ClientFastOpen = 'works' | 'off' | 'no-kernel'

/** Tried on an MPTCP socket, without sending a packet. Throws what `mptcpSocket` throws. */
export function clientFastOpen(): ClientFastOpen {
  const fd = mptcpSocket(4)
  try {
    allowSynData(fd)
    // The kernel never connects to the broadcast address (ENETUNREACH), and looks at tcp_fastopen before it says so.
    native().sendFastOpen(fd, '255.255.255.255', 9, new Uint8Array(1))
    return 'works'
  } catch (error) {
    const { syscall } = error as SystemError
    if (!lacksFastOpen(error as SystemError)) return 'works'
    return syscall === 'setsockopt' ? 'no-kernel' : 'off'
  } finally {
    native().close(fd)
  }
}

/** Lets the socket send data in its SYN without a cookie of the peer's. Throws what `lacksFastOpen` recognises. */
export function allowSynData(fd: number): void {
  native().setsockopt(fd, SOL_TCP, TCP_FASTOPEN_NO_COOKIE, int(1))
}

/** net.ipv4.tcp_fastopen lacks bit 1, or the kernel is older than Fast Open on MPTCP sockets (6.2). */
export function lacksFastOpen({ errno }: SystemError): boolean {
  return errno === -constants.errno.EOPNOTSUPP || errno === -constants.errno.ENOPROTOOPT
}

/** What has to change where `lacksFastOpen`. */
export const FAST_OPEN_NEEDS = 'Linux 6.2 or later, and net.ipv4.tcp_fastopen with bit 1'

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

/**
 * Why listeners here do not accept data in SYNs, and what to do about it; `undefined` if they do.
 *
 * @param possible what `takeSynData` returned
 */
export function synDataNotTaken(possible: boolean): string | undefined {
  const { on, fix } = serverFastOpen()
  if (possible && on) return undefined
  const remedy = possible ? fix : 'Linux 6.2 or later is needed'
  return `SYN data is not taken here: the first connection from each converter is TCP, and stays on its access: ${remedy}`
}

/** Documentation/networking/ip-sysctl.rst, tcp_fastopen: 0x2 enables the server side. */
const TFO_SERVER_ENABLE = 0x2
