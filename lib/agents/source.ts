/** By what a library's connections go: a session, or the options of `connect()`. */
import type { Socket } from 'node:net'
import { type MptcpOptions, resolveOptions } from '../input/options.js'
import type { MaPduSession } from '../session/session.js'
import { connect } from '../socket/connect.js'
import type { MptcpConnectOptions, MptcpSocket } from '../socket/socket.js'

/** A session, whose rules choose the access and steer, or options, which are those of every connection. */
export type Via = MaPduSession | MptcpOptions

/** @throws ERR_ATSSS_OPTION at once for what would fail with every connection */
export function checkVia(via: Via): void {
  if (!isSession(via)) resolveOptions(via)
}

export function connectVia(via: Via, options: MptcpConnectOptions): MptcpSocket {
  return isSession(via) ? via.connect(options) : connect({ ...via, ...options })
}

/** By shape: there may be two copies of this package. */
export function isSession(via: Via): via is MaPduSession {
  return typeof (via as Partial<MaPduSession>).explain === 'function'
}

/** The connection under a TLSSocket. */
const carriers = new WeakMap<Socket, MptcpSocket>()

/** Notes what a TLSSocket goes over. */
export function carry(secure: Socket, carrier: MptcpSocket): void {
  carriers.set(secure, carrier)
}

/** Why a pooled socket, itself or under TLS, had better not be used again. */
export function reuseBlockedBy(via: Via, socket: Socket): string | undefined {
  return isSession(via) ? via.reuseBlockedBy(carriers.get(socket) ?? (socket as MptcpSocket)) : undefined
}

/** Calls `look` whenever the rules or the accesses of a session have changed; returns what ends that. */
export function onChange(via: Via, look: () => void): () => void {
  if (!isSession(via)) return () => {}
  via.on('update', look).on('access', look)
  return () => void via.off('update', look).off('access', look)
}
