/** Opens sockets as the options want them, and finds out whether they speak MPTCP. */
import { isIP } from 'node:net'
import { constants } from 'node:os'
import { AtsssError, type SystemError, systemError } from '../../errors.js'
import { anyAddress } from '../../input/addresses.js'
import { decodeMptcpInfo } from '../../wire/kernel/mptcp-info.js'
import {
  INFO_MAX,
  IPPROTO_TCP,
  int,
  MPTCP_INFO,
  SO_BINDTODEVICE,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_REUSEADDR,
  SOL_MPTCP,
  SOL_SOCKET,
} from './constants.js'
import { interfacesInWords } from './interface-names.js'
import { native } from './native.js'
import { lacksMptcp, mptcpSocket, unsupportedReason } from './support.js'
import { sysctlNumber } from './sysctl.js'

/** The protocol of a connection, and if it is TCP, why. */
export interface Protocol {
  name: 'mptcp' | 'tcp'
  /** A sentence. Set if MPTCP was wanted and is not available. */
  why?: string
}

export interface SocketPlan {
  mptcp: 'prefer' | 'require' | 'off'
  localAddress: string | undefined
  localPort: number | undefined
  /** Whether the connection will get more subflows. */
  steered: boolean
}

/** Throws system errors, and `ERR_MPTCP_UNSUPPORTED`. The descriptor belongs to the addon until it is released. */
export function openSocket(
  family: 4 | 6,
  plan: SocketPlan,
  device: string | undefined,
): { fd: number; protocol: Protocol } {
  const opened = openProtocol(family, plan.mptcp)
  try {
    prepare(opened.fd, family, plan, device)
    return opened
  } catch (error) {
    native().close(opened.fd)
    throw error
  }
}

/**
 * Gives an MPTCP socket whose SYN will carry data a receive buffer of a fixed size.
 *
 * A Linux server (6.18 and before, as measured) that accepts the data of a SYN multiplies the window of that SYN by the
 * window scale, which RFC 7323 §2.2 forbids, and it does not shrink the window afterwards. With a second subflow it then
 * sends more than a growing buffer holds: the client drops the excess (MPTcpExtNoDSSInWindow), and the connection almost
 * stops. The scale of a fixed buffer follows from its size, so the two agree.
 *
 * @returns false if neither net.core.rmem_max nor the privilege to exceed it (CAP_NET_ADMIN) allows enough
 */
export function fixReceiveBuffer(fd: number): boolean {
  const most = rmemMax()
  if (most < RECEIVE_BUFFER && forceReceiveBuffer(fd)) return true
  const size = Math.min(most, RECEIVE_BUFFER)
  if (size < LEAST_RECEIVE_BUFFER) return false
  native().setsockopt(fd, SOL_SOCKET, SO_RCVBUF, int(size))
  return true
}

function forceReceiveBuffer(fd: number): boolean {
  try {
    native().setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, int(RECEIVE_BUFFER))
    return true
  } catch {
    return false // EPERM
  }
}

/**
 * Bytes; the kernel doubles it for its own needs. More than a Linux peer may have on its way over two subflows with the usual
 * net.ipv4.tcp_wmem, so that its send buffer limits it, not this window: at the edge of the window it adds a new DATA_ACK to an
 * older window, and what it sends beyond is dropped.
 */
const RECEIVE_BUFFER = 8_388_608
/** Bytes. If the system allows less than this (net.core.rmem_max), a fixed buffer costs more than it saves. */
const LEAST_RECEIVE_BUFFER = 4_194_304

/** net.core.rmem_max, read at most once per `RMEM_MAX_MS`: this is on the path of each connection. */
function rmemMax(): number {
  const now = performance.now()
  if (now - lastRmemMax.readAt >= RMEM_MAX_MS)
    lastRmemMax = { value: sysctlNumber('net.core.rmem_max') ?? 0, readAt: now }
  return lastRmemMax.value
}

const RMEM_MAX_MS = 1000
let lastRmemMax = { value: 0, readAt: Number.NEGATIVE_INFINITY }

/**
 * Opens a socket of the wanted protocol, or of TCP if the kernel lacks MPTCP. Throws system errors, and
 * `ERR_MPTCP_UNSUPPORTED`.
 */
export function openProtocol(family: 4 | 6, wish: SocketPlan['mptcp']): { fd: number; protocol: Protocol } {
  if (wish === 'off') return { fd: native().socket(family, IPPROTO_TCP), protocol: { name: 'tcp' } }
  try {
    return { fd: mptcpSocket(family), protocol: { name: 'mptcp' } }
  } catch (error) {
    if (!lacksMptcp(error as NodeJS.ErrnoException)) throw error
    const why = unsupportedReason(error as NodeJS.ErrnoException)
    if (wish === 'require') throw new AtsssError('ERR_MPTCP_UNSUPPORTED', why, { cause: error })
    return { fd: native().socket(family, IPPROTO_TCP), protocol: { name: 'tcp', why } }
  }
}

/** The protocol of the connection on `fd` now: a connection that began with MPTCP may have fallen back to TCP. */
export function protocolOf(fd: number, opened: Protocol | undefined): Protocol {
  if (opened?.name === 'tcp') return opened
  // Only whether the kernel answers matters.
  if (native().getsockoptInt(fd, SOL_MPTCP, MPTCP_INFO) !== undefined) return { name: 'mptcp' }
  return { name: 'tcp', why: 'The peer does not speak MPTCP, or a middlebox removed its options' }
}

/** What names the connection to path managers; `undefined` if it is not MPTCP. */
export function tokenOf(fd: number): number | undefined {
  try {
    return decodeMptcpInfo(native().getsockopt(fd, SOL_MPTCP, MPTCP_INFO, INFO_MAX)).token
  } catch {
    return undefined
  }
}

function prepare(fd: number, family: 4 | 6, plan: SocketPlan, device: string | undefined): void {
  if (device !== undefined) bindToDevice(fd, device)
  if (plan.localAddress === undefined && plan.localPort === undefined) return
  native().setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, int(1)) // as libuv does before bind
  bindToAddress(fd, family, plan.localAddress ?? anyAddress(family), plan.localPort)
}

function bindToAddress(fd: number, family: 4 | 6, address: string, port: number | undefined): void {
  try {
    if (isIP(address) !== family || !isPort(port ?? 0)) throw systemError(constants.errno.EINVAL, 'bind')
    native().bind(fd, address, port ?? 0)
  } catch (error) {
    throw systemError(-(error as SystemError).errno!, 'bind', address, port)
  }
}

function isPort(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 65_535
}

function bindToDevice(fd: number, name: string): void {
  try {
    native().setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, Buffer.from(`${name}\0`))
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException
    if (errno === undefined) throw error
    const why = errno === -constants.errno.ENODEV ? `: there is no such interface; ${interfacesInWords()}` : ''
    throw systemError(-errno, 'bind', name, undefined, undefined, why)
  }
}
