/**
 * What the kernel knows of a socket that Node holds, and what Node has no call for. Without the addon the answers are
 * "not known", and nothing here throws.
 */
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { INFO_MAX, MPTCP_INFO, SOL_MPTCP, SOL_SOCKET, SOL_TCP, TCP_INFO } from '../runtime/linux.js'
import { type Addon, native } from '../runtime/native.js'
import { reactor } from '../runtime/reactor.js'
import { decodeMptcpInfo } from '../wire/mptcp-info.js'
import { HOST_ENDIAN, structReader } from '../wire/struct.js'
import { decodeTcpInfo, TCP_STATES, type TcpInfo } from '../wire/tcp-info.js'
import type { PeerOptions } from './tcp-options.js'

/** The addon, or `undefined` where there is none. */
export function addon(): Addon | undefined {
  if (addonTried) return loaded
  addonTried = true
  try {
    loaded = native()
  } catch {
    loaded = undefined
  }
  return loaded
}

/** The descriptor of an open socket. */
export function fdOf(socket: Socket): number | undefined {
  const handle = (socket as unknown as { _handle?: { fd?: number } | null })._handle
  return handle?.fd !== undefined && handle.fd >= 0 ? handle.fd : undefined
}

export function tcpInfo(socket: Socket): TcpInfo | undefined {
  const bytes = option(socket, SOL_TCP, TCP_INFO)
  return bytes && decodeTcpInfo(bytes)
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

/**
 * Calls `then` as soon as an accepted connection may be written to; at once when it may.
 *
 * With Fast Open a connection is accepted, and its SYN's data read, while it is still in SYN_RECV. What is written to
 * an MPTCP connection in that state is queued and never sent: no subflow is active yet, and when one becomes active
 * that does not push.
 *
 * Nor may it be written to while the client's key is not known, although the handshake is complete: where the third ACK
 * was lost, or the client's kernel has repeated its SYN, the ACK that completes it has no key in it. What is sent then has
 * no DATA_ACK, by which the client takes it for TCP (RFC 8684 §3.7) while this side holds it for MPTCP: this side sends the
 * same bytes again for want of a DATA_ACK, and the client hands them to its application twice. The client's first data end
 * this, either way; when there are none, it never ends.
 *
 * @returns ends the wait; to be called before the socket is destroyed
 */
export function whenWritable(socket: Socket, then: () => void): () => void {
  const fd = fdOf(socket)
  if (fd === undefined || mayBeWrittenTo(socket)) {
    then()
    return () => {}
  }
  let polling: NodeJS.Timeout | undefined
  let cancel = (): void => {}
  const look = (): void => {
    if (mayBeWrittenTo(socket)) {
      cancel()
      then()
    } else if (!isHandshaking(socket)) polling ??= setInterval(look, KEY_POLL_MS).unref() // of the key nobody tells
  }
  try {
    // An edge: level-triggered, the descriptor is writable before the handshake is complete and stays so.
    const wait = reactor().watchEdges(fd, EPOLLOUT, look, { ref: false })
    cancel = () => {
      wait.cancel()
      clearInterval(polling)
    }
  } catch (error) {
    socket.destroy(error as Error) // no more memory or watches: the connection fails, and nobody else's
  }
  return cancel
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
    // The connection is gone already: closing it is all there is to do.
  }
  socket.destroy()
}

/**
 * The error that the connection ended with and that nobody has read: a positive errno, or 0.
 * libuv, up to Node 22 at least, tells of a reset right behind data as if it were an end of the stream.
 */
export function unreadError(socket: Socket): number {
  const bytes = option(socket, SOL_SOCKET, SO_ERROR)
  return (bytes && structReader(bytes).u32(0)) ?? 0
}

/** A number under /proc/sys, such as `net.ipv4.tcp_fastopen`; `undefined` where there is none. */
export function sysctl(name: string): number | undefined {
  try {
    const value = Number.parseInt(readFileSync(`/proc/sys/${name.replaceAll('.', '/')}`, 'utf8'), 10)
    return Number.isNaN(value) ? undefined : value
  } catch {
    return undefined
  }
}

let loaded: Addon | undefined
let addonTried = false

function isHandshaking(socket: Socket): boolean {
  const state = tcpInfo(socket)?.state
  return state === TCP_STATES.synSent || state === TCP_STATES.synRecv || state === TCP_STATES.newSynRecv
}

function mayBeWrittenTo(socket: Socket): boolean {
  if (isHandshaking(socket)) return false
  const info = option(socket, SOL_MPTCP, MPTCP_INFO)
  return info === undefined || decodeMptcpInfo(info).remoteKeyReceived !== false
}

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
const EPOLLOUT = 4
/** How often to look whether the client's key has come, where the third ACK did not bring it. */
const KEY_POLL_MS = 10
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
