/** Opens sockets as the options want them, and finds out whether they speak MPTCP. */
import { isIP } from 'node:net'
import { constants } from 'node:os'
import { AtsssError, type SystemError, systemError } from '../../errors.js'
import { anyAddress, mappedAddress } from '../../input/addresses.js'
import type { SocketTuning } from '../../input/socket-tuning.js'
import { decodeMptcpInfo } from '../../wire/kernel/mptcp-info.js'
import {
  INFO_MAX,
  IPPROTO_TCP,
  IPV6_V6ONLY,
  int,
  MPTCP_INFO,
  SO_BINDTODEVICE,
  SO_BINDTOIFINDEX,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_REUSEADDR,
  SOL_IPV6,
  SOL_MPTCP,
  SOL_SOCKET,
  SOL_TCP,
  TCP_CONGESTION,
  TCP_NOTSENT_LOWAT,
} from './constants.js'
import { interfacesInWords } from './interface-names.js'
import { native } from './native.js'
import { lacksMptcp, mptcpSocket, unsupportedReason } from './support.js'
import { sysctl, sysctlNumber } from './sysctl.js'

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
  /** Whether the connection will get more subflows. An MPTCP socket can then have some of each family, wherever there is IPv6. */
  steered: boolean
  /** Undefined: as the system has it. */
  tuning?: SocketTuning | undefined
}

export interface OpenedSocket {
  fd: number
  protocol: Protocol
  /** Whether it is an IPv6 socket that takes IPv4 addresses too, in the form that `mappedAddress` gives them. */
  isDual: boolean
}

/** Throws system errors, and `ERR_MPTCP_UNSUPPORTED`. The descriptor belongs to the addon until it is released. */
export function openSocket(family: 4 | 6, plan: SocketPlan, device: string | undefined): OpenedSocket {
  const opened = (plan.steered && plan.mptcp !== 'off' && openDual()) || openOfFamily(family, plan)
  try {
    prepare(opened, family, plan, device)
    return opened
  } catch (error) {
    native().close(opened.fd)
    throw error
  }
}

/**
 * An MPTCP socket for both families: on one of AF_INET, the kernel refuses subflows over IPv6 (EINVAL).
 *
 * @returns undefined where there is no IPv6, or no MPTCP over it
 */
function openDual(): OpenedSocket | undefined {
  let fd: number
  try {
    fd = mptcpSocket(6)
  } catch (error) {
    if (!lacksMptcp(error as NodeJS.ErrnoException)) throw error
    return undefined
  }
  try {
    native().setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, int(0)) // net.ipv6.bindv6only may say otherwise
  } catch (error) {
    native().close(fd)
    throw error
  }
  return { fd, protocol: { name: 'mptcp' }, isDual: true }
}

function openOfFamily(family: 4 | 6, { mptcp }: SocketPlan): OpenedSocket {
  return { ...openProtocol(family, mptcp), isDual: false }
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

/** The index of the interface that a socket is bound to; 0: none, or the descriptor is closed. */
export function boundInterface(fd: number): number {
  return native().getsockoptInt(fd, SOL_SOCKET, SO_BINDTOIFINDEX) ?? 0
}

function prepare({ fd, isDual }: OpenedSocket, family: 4 | 6, plan: SocketPlan, device: string | undefined): void {
  if (device !== undefined) bindToDevice(fd, device)
  if (plan.tuning) tune(fd, plan.tuning)
  if (plan.localAddress === undefined && plan.localPort === undefined) return
  native().setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, int(1)) // as libuv does before bind
  const address = plan.localAddress ?? anyAddress(family)
  bindToAddress(fd, family, address, plan.localPort, isDual ? mappedAddress(address) : address)
}

/** Before the connection: the subflows that come later have the same. */
function tune(fd: number, { congestion, notsentLowWater }: SocketTuning): void {
  if (notsentLowWater !== undefined) native().setsockopt(fd, SOL_TCP, TCP_NOTSENT_LOWAT, int(notsentLowWater))
  if (congestion === undefined) return
  requireCongestion(congestion)
  native().setsockopt(fd, SOL_TCP, TCP_CONGESTION, Buffer.from(congestion))
}

/**
 * An MPTCP socket that is not connected takes any name, and its subflows pass over one that is not there. A TCP socket refuses
 * it, and loads its module where this process may do that.
 */
function requireCongestion(congestion: string): void {
  if (availableCongestion.has(congestion)) return
  const fd = native().socket(4, IPPROTO_TCP)
  try {
    native().setsockopt(fd, SOL_TCP, TCP_CONGESTION, Buffer.from(congestion))
    availableCongestion.add(congestion)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT' && code !== 'EPERM') throw error
    const missing = code === 'ENOENT'
    throw new AtsssError(
      'ERR_ATSSS_CONGESTION',
      missing
        ? `Congestion control '${congestion}' is not available: this kernel has ${sysctl('net.ipv4.tcp_available_congestion_control') ?? 'others'}. Load it (modprobe tcp_${congestion}), or leave out the option congestion`
        : `Congestion control '${congestion}' is not allowed to this process: the system allows ${sysctl('net.ipv4.tcp_allowed_congestion_control') ?? 'others'}. Allow it (sysctl -w net.ipv4.tcp_allowed_congestion_control="… ${congestion}"), run with CAP_NET_ADMIN, or leave out the option congestion`,
      { cause: error },
    )
  } finally {
    native().close(fd)
  }
}

/** By name: a kernel keeps what it has while it is used, and mostly longer. */
const availableCongestion = new Set<string>()

function bindToAddress(fd: number, family: 4 | 6, address: string, port: number | undefined, onSocket: string): void {
  try {
    if (isIP(address) !== family || !isPort(port ?? 0)) throw systemError(constants.errno.EINVAL, 'bind')
    native().bind(fd, onSocket, port ?? 0)
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
