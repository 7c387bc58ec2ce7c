/**
 * What the kernel knows about a socket of Node's, and what Node has no function for. Without the addon the answers are
 * "not known". Nothing here throws.
 */
import type { Socket } from 'node:net'
import { INFO_MAX, MPTCP_INFO, SOL_MPTCP, SOL_SOCKET, SOL_TCP, TCP_INFO } from '../../runtime/kernel/constants.js'
import { type Addon, native } from '../../runtime/kernel/native.js'
import { fdOf } from '../../runtime/kernel/node-socket.js'
import { whenWritable as whenFdWritable } from '../../runtime/kernel/when-writable.js'
import { HOST_ENDIAN, structReader } from '../../wire/kernel/struct.js'
import { decodeTcpInfo, type TcpInfo } from '../../wire/kernel/tcp-info.js'

/** The addon, or `undefined` where there is none. */
export function addon(): Addon | undefined {
  if (loaded || addonMissing) return loaded
  try {
    loaded = native()
  } catch (error) {
    // Without descriptors (EMFILE) it may load the next time.
    addonMissing = (error as NodeJS.ErrnoException).code === 'ERR_ATSSS_ADDON'
  }
  return loaded
}

export function tcpInfo(socket: Socket): TcpInfo | undefined {
  const bytes = option(socket, SOL_TCP, TCP_INFO)
  return bytes && decodeTcpInfo(bytes)
}

/** What a socket knows of the TCP options that its peer sent in the SYN or SYN+ACK. */
export interface PeerOptions {
  /** The maximum segment size in use, including options. */
  mss: number
  sackPermitted: boolean
  timestamps: boolean
  /** The shift, or `undefined` if the peer did not send the option. */
  windowScale: number | undefined
  mptcp: boolean
}

/** The options of the peer's SYN or SYN+ACK, as far as the socket knows them. */
export function peerOptions(socket: Socket): PeerOptions {
  const bytes = option(socket, SOL_TCP, TCP_INFO) ?? Buffer.alloc(0)
  const { options = 0, sndMss = DEFAULT_MSS } = decodeTcpInfo(bytes)
  const timestamps = (options & TCPI_OPT_TIMESTAMPS) !== 0
  return {
    mss: sndMss + (timestamps ? TIMESTAMPS_LENGTH : 0),
    sackPermitted: (options & TCPI_OPT_SACK) !== 0,
    timestamps,
    windowScale: (options & TCPI_OPT_WSCALE) === 0 ? undefined : sndWindowScale(bytes[WSCALES]!),
    mptcp: isMptcp(socket),
  }
}

/** Whether the connection speaks MPTCP now: MPTCP_INFO fails with EOPNOTSUPP on one that has fallen back to TCP. */
export function isMptcp(socket: Socket): boolean {
  return option(socket, SOL_MPTCP, MPTCP_INFO) !== undefined
}

/** `whenWritable` of a socket that Node holds; at once without the addon. Cancel it before the socket is destroyed. */
export function whenWritable(socket: Socket, then: () => void): () => void {
  const fd = fdOf(socket)
  if (fd === undefined || !addon()) {
    then()
    return () => {}
  }
  try {
    return whenFdWritable(fd, then)
  } catch (error) {
    socket.destroy(error as Error) // no memory or watches left: only this connection fails
    return () => {}
  }
}

/** Resets the connection, with MP_FASTCLOSE on MPTCP (RFC 8684 §3.5). Unlike `resetAndDestroy`, after `end()` too. */
export function reset(socket: Socket): void {
  if (socket.destroyed) return
  const fd = fdOf(socket)
  if (fd === undefined || !addon()) {
    if (fd !== undefined && !socket.writableEnded) socket.resetAndDestroy()
    else socket.destroy()
    return
  }
  try {
    addon()!.setsockopt(fd, SOL_SOCKET, SO_LINGER, LINGER_ZERO)
  } catch {
    // The connection has ended already: just close it.
  }
  socket.destroy()
}

/**
 * The error that the connection ended with, if it has not been read yet: a positive errno, or 0.
 * libuv, up to Node 22 at least, reports a reset right after data as if it were the end of the stream.
 */
export function unreadError(socket: Socket): number {
  const bytes = option(socket, SOL_SOCKET, SO_ERROR)
  return (bytes && structReader(bytes).u32(0)) ?? 0
}

let loaded: Addon | undefined
let addonMissing = false

/** The first of two bit fields in one byte: the lower bits, on little-endian machines. */
function sndWindowScale(wscales: number): number {
  return HOST_ENDIAN === 'LE' ? wscales & 0xf : wscales >> 4
}

function option(socket: Socket, level: number, name: number): Buffer | undefined {
  const fd = fdOf(socket)
  try {
    return fd === undefined ? undefined : addon()?.getsockopt(fd, level, name, INFO_MAX)
  } catch {
    return undefined
  }
}

const SO_ERROR = 4
const SO_LINGER = 13
// struct tcp_info, include/uapi/linux/tcp.h: bits of tcpi_options; offset of tcpi_snd_wscale : 4, tcpi_rcv_wscale : 4.
const TCPI_OPT_TIMESTAMPS = 1
const TCPI_OPT_SACK = 2
const TCPI_OPT_WSCALE = 4
const WSCALES = 6
/** The timestamps option and its padding in every segment. */
const TIMESTAMPS_LENGTH = 12
/** RFC 9293 §3.7.1: what is assumed when nothing was announced. */
const DEFAULT_MSS = 536
/** struct linger {l_onoff = 1, l_linger = 0}. */
const LINGER_ZERO = new Uint8Array(Int32Array.of(1, 0).buffer)
