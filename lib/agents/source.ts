/** Where a library's connections come from: a session, or the options of `connect()`. */
import type { Socket } from 'node:net'
import { type MptcpOptions, resolveOptions } from '../input/options.js'
import type { MaPduSession } from '../session/session.js'
import { connect } from '../socket/connect.js'
import type { MptcpConnectOptions, MptcpSocket } from '../socket/socket.js'

/** A session, whose rules choose the access and steer; or options of `connect()`, which every connection gets. */
export type ConnectionSource = MaPduSession | MptcpOptions

/** @throws ERR_ATSSS_OPTION at once for what would fail with every connection */
export function checkSource(source: ConnectionSource): void {
  if (!isSession(source)) resolveOptions(source)
}

export function connectFrom(source: ConnectionSource, options: MptcpConnectOptions): MptcpSocket {
  return isSession(source) ? source.connect(options) : connect({ ...source, ...options })
}

/** By shape: there may be two copies of this package. */
export function isSession(source: ConnectionSource): source is MaPduSession {
  return typeof (source as Partial<MaPduSession>).explain === 'function'
}

/** Why a pooled socket, or the connection under a TLSSocket, must not be used again; undefined where it may. */
export function reuseBlockedBy(source: ConnectionSource, socket: Socket): string | undefined {
  return isSession(source) ? source.reuseBlockedBy(socket) : undefined
}

/** Calls `look` after each change of the rules or accesses of a session; returns a function that ends this. */
export function onChange(source: ConnectionSource, look: () => void): () => void {
  if (!isSession(source)) return () => {}
  const { ownEvents } = source
  ownEvents.on('update', look).on('access', look)
  return () => void ownEvents.off('update', look).off('access', look)
}
