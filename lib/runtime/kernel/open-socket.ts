/** A socket as the options want it, and what became of its MPTCP. */
import { isIP } from 'node:net'
import { constants } from 'node:os'
import { AtsssError, type SystemError, systemError } from '../../errors.js'
import { anyAddress } from '../../input/addresses.js'
import { decodeMptcpInfo } from '../../wire/kernel/mptcp-info.js'
import {
  INFO_MAX,
  IPPROTO_MPTCP,
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
import { native } from './native.js'
import { lacksMptcp, unsupportedReason } from './support.js'
import { sysctlNumber } from './sysctl.js'

/** What a connection speaks, and if it is TCP, why. */
export interface Protocol {
  name: 'mptcp' | 'tcp'
  /** A sentence; set when MPTCP was wanted and could not be had. */
  why?: string
}

export interface SocketPlan {
  mptcp: 'prefer' | 'require' | 'off'
  localAddress: string | undefined
  localPort: number | undefined
  /** Whether more subflows are to come. */
  steered: boolean
}

/** Throws system errors, and `ERR_MPTCP_UNSUPPORTED`. The descriptor belongs to the addon until it is handed over. */
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
 * Gives an MPTCP socket whose SYN will have data a receive buffer of a fixed size.
 *
 * A Linux server (6.18 and before, as measured) that takes the data of a SYN reckons the window in that SYN with the
 * window scale, which RFC 7323 §2.2 says is not applied there; and it does not take the window back. With a second subflow
 * it then sends more than a growing buffer holds: the client drops it (MPTcpExtNoDSSInWindow), and the connection all but
 * stops. The scale goes by the buffer's size where that is fixed, and the two agree.
 *
 * @returns false where neither net.core.rmem_max nor the privilege to exceed it (CAP_NET_ADMIN) allows enough
 */
export function fixReceiveBuffer(fd: number): boolean {
  rmemMax ??= sysctlNumber('net.core.rmem_max') ?? 0
  if (rmemMax < RECEIVE_BUFFER && forceReceiveBuffer(fd)) return true
  const size = Math.min(rmemMax, RECEIVE_BUFFER)
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

/** Bytes; the kernel doubles it for its own needs. Enough for 300 Mbit/s at 100 ms. */
const RECEIVE_BUFFER = 4_194_304
/** Where the system allows less than this (net.core.rmem_max), a fixed buffer would cost more than it saves. */
const LEAST_RECEIVE_BUFFER = 1_048_576

let rmemMax: number | undefined

/**
 * A socket of the protocol wished for, or of TCP where the kernel lacks MPTCP. Throws system errors, and
 * `ERR_MPTCP_UNSUPPORTED`.
 */
export function openProtocol(family: 4 | 6, wish: SocketPlan['mptcp']): { fd: number; protocol: Protocol } {
  if (wish === 'off') return { fd: native().socket(family, IPPROTO_TCP), protocol: { name: 'tcp' } }
  try {
    return { fd: native().socket(family, IPPROTO_MPTCP), protocol: { name: 'mptcp' } }
  } catch (error) {
    if (!lacksMptcp(error as NodeJS.ErrnoException)) throw error
    const why = unsupportedReason(error as NodeJS.ErrnoException)
    if (wish === 'require') throw new AtsssError('ERR_MPTCP_UNSUPPORTED', why, { cause: error })
    return { fd: native().socket(family, IPPROTO_TCP), protocol: { name: 'tcp', why } }
  }
}

/** What the connection on `fd` speaks now: a connection that began with MPTCP may have fallen back to TCP. */
export function protocolOf(fd: number, opened: Protocol | undefined): Protocol {
  if (opened?.name === 'tcp') return opened
  try {
    // Whether there is an answer is all that is asked.
    native().getsockopt(fd, SOL_MPTCP, MPTCP_INFO, 1)
    return { name: 'mptcp' }
  } catch {
    // EOPNOTSUPP: the connection is plain TCP.
    return { name: 'tcp', why: 'The peer, or something on the way to it, does not take MPTCP' }
  }
}

/** By what the path managers know the connection; undefined when it is not MPTCP. */
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
    throw errno === undefined ? error : systemError(-errno, 'bind', name)
  }
}
