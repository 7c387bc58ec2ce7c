/** Listening sockets: with MPTCP and Fast Open if the system has them, and a report of what is missing. */

import { type AddressInfo, createServer, isIPv4, type Server, type Socket } from 'node:net'
import { hostAndPort } from '../../input/addresses.js'
import {
  IPPROTO_TCP,
  IPV6_V6ONLY,
  int,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SOL_IPV6,
  SOL_SOCKET,
} from '../../runtime/kernel/constants.js'
import { serverFastOpen, takeSynData } from '../../runtime/kernel/fast-open.js'
import type { Addon } from '../../runtime/kernel/native.js'
import { isSupported, lacksMptcp, mptcpSocket } from '../../runtime/kernel/support.js'
import type { ListenAddress } from '../options/listen-address.js'
import type { Settings } from '../options/settings.js'
import { addon } from '../relay/kernel.js'

export interface ListenerInfo {
  address: string
  port: number
  protocol: 'mptcp' | 'tcp'
  /** Whether the data of SYNs is taken, which 0-RTT clients need. */
  fastOpen: boolean
}

/** A listening socket, and the server that accepts from it. */
export interface Listener extends ListenerInfo {
  server: Server
}

/** A listening socket that is the addon's. */
export interface ListeningSocket extends ListenerInfo {
  fd: number
}

/** Something that this machine lacks: the converter works without it. */
export interface Degraded {
  what: 'addon' | 'mptcp' | 'fast-open' | 'pcp-ports' | 'pcp-state' | 'pcp-join'
  /** A sentence: what is missing, and what follows from it. */
  message: string
  /** What to do about it. */
  remedy: string
}

/** @param doing what uses plain TCP instead */
export function noMptcp(doing: string): Degraded {
  if (!addon()) return NO_ADDON
  const [message, remedy = 'none'] = (isSupported().reason ?? '').split(': ')
  return { what: 'mptcp', message: `${message}: ${doing} with plain TCP`, remedy }
}

/** Throws system errors in the form of net.Server's: `listen EADDRINUSE 192.0.2.1:5124`. */
export async function openListener(
  where: ListenAddress,
  settings: Settings,
  accept: (socket: Socket) => void,
  degraded: (what: Degraded) => void,
): Promise<Listener> {
  const native = addon()
  if (!native) {
    degraded(NO_ADDON)
    const server = createServer({ allowHalfOpen: true, noDelay: true }, accept)
    await listening(server, { host: where.host, port: where.port, ipv6Only: true }, settings.backlog)
    const { address, port } = server.address() as AddressInfo
    return { server, address, port, protocol: 'tcp', fastOpen: false }
  }
  const { fd, ...info } = openListeningSocket(native, where, settings, degraded)
  // From here on the descriptor belongs to libuv.
  native.release(fd)
  try {
    return { ...info, server: await acceptFrom(fd, settings, accept) }
  } catch (error) {
    throw placed(error as NodeJS.ErrnoException, where)
  }
}

/** Hands what arrives at a listening socket to `accept`. The descriptor becomes the server's. */
export async function acceptFrom(fd: number, settings: Settings, accept: (socket: Socket) => void): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, accept)
  // Node listens again, with the backlog of this argument; without it, with 511.
  await listening(server, { fd }, settings.backlog)
  return server
}

/**
 * Binds a socket and lets it listen; the connections wait in its queue. Throws as `openListener`.
 *
 * @param shared whether other sockets may listen on the same address and port, of which the kernel then chooses one for each
 * connection (SO_REUSEPORT)
 */
export function openListeningSocket(
  native: Addon,
  where: ListenAddress,
  settings: Settings,
  degraded: (what: Degraded) => void,
  shared = false,
): ListeningSocket {
  try {
    const { fd, protocol } = openSocket(native, where, settings, degraded)
    try {
      bindSocket(native, fd, where, shared)
      let fastOpen = false
      if (settings.fastOpen) {
        const lacking = lacksFastOpen(fd, settings.backlog)
        fastOpen = lacking === undefined
        if (lacking) degraded(lacking)
      }
      native.listen(fd, settings.backlog)
      const { address, port } = native.getsockname(fd)
      return { fd, address, port, protocol, fastOpen }
    } catch (error) {
      native.close(fd)
      throw error
    }
  } catch (error) {
    throw placed(error as NodeJS.ErrnoException, where)
  }
}

/**
 * The port that is free at this address: the one that is named, or any. With SO_REUSEPORT alone, a second converter of the same
 * user would silently take a part of the first one's clients. Throws as `openListener`.
 */
export function freePort(native: Addon, where: ListenAddress): number {
  try {
    const fd = native.socket(isIPv4(where.host) ? 4 : 6, IPPROTO_TCP)
    try {
      bindSocket(native, fd, where, false)
      return native.getsockname(fd).port
    } finally {
      native.close(fd)
    }
  } catch (error) {
    throw placed(error as NodeJS.ErrnoException, where)
  }
}

function bindSocket(native: Addon, fd: number, { host, port }: ListenAddress, shared: boolean): void {
  native.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, int(1))
  if (shared) native.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, int(1))
  if (!isIPv4(host)) native.setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, int(1))
  native.bind(fd, host, port)
}

function openSocket(
  native: Addon,
  where: ListenAddress,
  settings: Settings,
  degraded: (what: Degraded) => void,
): { fd: number; protocol: 'mptcp' | 'tcp' } {
  const family = isIPv4(where.host) ? 4 : 6
  if (settings.protocol === 'mptcp')
    try {
      return { fd: mptcpSocket(family), protocol: 'mptcp' }
    } catch (error) {
      if (!lacksMptcp(error as NodeJS.ErrnoException)) throw error
      degraded(noMptcp('listening'))
    }
  return { fd: native.socket(family, IPPROTO_TCP), protocol: 'tcp' }
}

/** @returns why the data of SYNs will not be taken */
function lacksFastOpen(fd: number, queue: number): Degraded | undefined {
  if (!takeSynData(fd, queue)) return NO_FAST_OPEN
  const { on, value, fix } = serverFastOpen()
  return on ? undefined : fastOpenOff(value, fix)
}

function listening(server: Server, where: object, backlog: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(where, backlog, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function placed(error: NodeJS.ErrnoException, { host, port }: ListenAddress): NodeJS.ErrnoException {
  if (error.code === undefined || error.errno === undefined) return error
  error.message = `listen ${error.code} ${hostAndPort(host, port)}`
  return Object.assign(error, { syscall: 'listen', address: host, port })
}

const NO_ADDON: Degraded = {
  what: 'addon',
  message: 'No native addon: listening with plain TCP and without Fast Open; clients get neither MPTCP nor 0-RTT',
  remedy: 'build it in the package folder with "npm run build:native"',
}
const NO_FAST_OPEN: Degraded = {
  what: 'fast-open',
  message: 'This kernel has no Fast Open on such a listener: clients need one more round trip (1-RTT form)',
  remedy: 'use Linux 6.2 or later',
}
function fastOpenOff(value: number, fix: string): Degraded {
  return {
    what: 'fast-open',
    message: `SYN data is not taken (net.ipv4.tcp_fastopen is ${value}): clients need one more round trip (1-RTT form)`,
    remedy: fix,
  }
}
