/** Opens a listening socket, prepared as libuv prepares one, except for its protocol. */
import { getSystemErrorMap } from 'node:util'
import type { SystemError } from '../../errors.js'
import {
  IPPROTO_MPTCP,
  IPV6_V6ONLY,
  int,
  SO_PROTOCOL,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SOL_IPV6,
  SOL_SOCKET,
} from './constants.js'
import { native } from './native.js'
import { openProtocol, type Protocol } from './open-socket.js'

export interface ListenPlan {
  mptcp: 'prefer' | 'require'
  /** `undefined`: all addresses, IPv6 and IPv4 if the system has both. */
  address: string | undefined
  family: 4 | 6
  /** 0: any free port. */
  port: number
  /** Completed handshakes that may wait for accept(2). */
  backlog: number
  ipv6Only: boolean
  /** SO_REUSEPORT: several sockets share an address, and the kernel distributes connections among them. */
  reusePort: boolean
}

export interface Listening {
  /** Belongs to the addon until `release`. */
  fd: number
  protocol: Protocol
  address: string
  family: 4 | 6
}

/** Throws system errors shaped like net.Server's, and `ERR_MPTCP_UNSUPPORTED`. */
export function openListenSocket(plan: ListenPlan): Listening {
  const { address, family } = plan
  if (address !== undefined) return open({ ...plan, address, family })
  try {
    return open({ ...plan, address: '::', family: 6 })
  } catch (error) {
    // libuv reports this error only at listen(2), so Node concludes that IPv6 is available.
    if ((error as SystemError).code === 'EADDRINUSE') throw error
    return open({ ...plan, address: '0.0.0.0', family: 4 })
  }
}

/** Whether this is an MPTCP socket, listening or not. False for other descriptors. */
export function isMptcpSocket(fd: number): boolean {
  try {
    return native().getsockoptInt(fd, SOL_SOCKET, SO_PROTOCOL) === IPPROTO_MPTCP
  } catch {
    return false
  }
}

function open(plan: ListenPlan & { address: string }): Listening {
  const { address, family, port } = plan
  try {
    const { fd, protocol } = openProtocol(family, plan.mptcp)
    try {
      native().setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, int(1))
      if (plan.reusePort) native().setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, int(1))
      if (family === 6) native().setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, int(plan.ipv6Only ? 1 : 0))
      native().bind(fd, address, port)
      native().listen(fd, plan.backlog)
    } catch (error) {
      native().close(fd)
      throw error
    }
    return { fd, protocol, address, family }
  } catch (error) {
    const { errno } = error as SystemError
    throw errno === undefined ? error : listenError(errno, address, port)
  }
}

/** As net.Server words it: `listen EADDRINUSE: address already in use 127.0.0.1:80`. */
export function listenError(errno: number, address: string, port: number): SystemError {
  const [code, message] = getSystemErrorMap().get(errno) ?? ['UNKNOWN', 'unknown error']
  const error: SystemError = new Error(`listen ${code}: ${message} ${address}${port > 0 ? `:${port}` : ''}`)
  Object.assign(error, { code, errno, syscall: 'listen', address })
  if (port > 0) error.port = port
  return error
}
