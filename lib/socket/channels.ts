/**
 * What is published of connections, on diagnostics channels and with NODE_DEBUG=atsss. Without subscribers and without
 * NODE_DEBUG no message is made.
 *
 * Subscribers are the application's: they are called where our own state is complete.
 */
import diagnostics, { type Channel } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { debuglog } from 'node:util'
import { hostAndPort } from '../input/addresses.js'
import { callApplication } from '../input/application.js'
import type { MptcpReport } from '../runtime/connect/report.js'

const CONNECTED = diagnostics.channel('atsss:connection:connected')
const CONNECT_ERROR = diagnostics.channel('atsss:connection:connectError')
const CLOSED = diagnostics.channel('atsss:connection:closed')

/** NODE_DEBUG=atsss. A line begins with the seconds since the process was started. */
const debug = debuglog('atsss')

/** Where a connection leads: the server as the application has named it, or the remote host of one that has come in. */
export interface Place {
  host: string
  port: number
}

/** Publishes a message, made only if somebody has subscribed. */
export function publish(channel: Channel, message: () => object): void {
  if (channel.hasSubscribers) callApplication(() => channel.publish(message()))
}

/** Writes a line with NODE_DEBUG=atsss. @param about the connection that it is about, if it is about one */
export function debugLine(about: Socket | undefined, text: () => string): void {
  if (!debug.enabled) return
  const seconds = (performance.now() / 1000).toFixed(3)
  debug('%s s %s%s', seconds, about ? `${connectionInWords(about)} ` : '', text())
}

/** Whether anything of connections is published. Without, the functions below need not be called. */
export function isFollowed(): boolean {
  return debug.enabled || CONNECTED.hasSubscribers || CONNECT_ERROR.hasSubscribers || CLOSED.hasSubscribers
}

/** Module state, because the number is unique in this thread. */
let lastId = 0
const ids = new WeakMap<Socket, number>()
const places = new WeakMap<Socket, Place>()

/** The number of a connection, from 1: the same on channels, with NODE_DEBUG and for those that watch a session. */
export function connectionId(socket: Socket): number {
  const id = ids.get(socket) ?? ++lastId
  ids.set(socket, id)
  return id
}

/** A connection is being made, or has come in: its place is remembered for what is published later. */
export function noteBegun(socket: Socket, place: Place): void {
  connectionId(socket)
  places.set(socket, place)
}

/** To be called where the application's listeners of `'connect'` or `'connection'` are about to be called. */
export function noteConnected(
  socket: Socket,
  place: Place,
  report: MptcpReport,
  session?: object,
  incoming = false,
): void {
  places.set(socket, place)
  const { protocol, fallback, converter, convert, interface: name } = report
  debugLine(socket, () => {
    const over = name === undefined ? '' : ` over ${name}`
    const why = protocol === 'tcp' && fallback !== undefined ? ` (${fallback})` : ''
    const through = converter ? ` through ${converter.name}, ${convert}` : ''
    return `${incoming ? 'accepted' : 'connected'}: ${protocol}${why}${over}${through}`
  })
  publish(CONNECTED, () => ({
    ...about(socket, session),
    ...{ incoming, protocol, fallback, interface: name, converter },
  }))
}

/** The socket is closed before it was connected; published when the socket is done with that. */
export function noteConnectError(socket: Socket, place: Place, error: Error | undefined, session?: object): void {
  places.set(socket, place)
  debugLine(socket, () => `not connected: ${error?.message ?? 'closed by the application'}`)
  if (CONNECT_ERROR.hasSubscribers)
    process.nextTick(() => publish(CONNECT_ERROR, () => ({ ...about(socket, session), error })))
}

/** The connection is closed; published when the socket is done with that. */
export function noteClosed(socket: Socket, error: Error | undefined, session?: object): void {
  debugLine(socket, () => (error ? `closed: ${error.message}` : 'closed'))
  if (CLOSED.hasSubscribers) process.nextTick(() => publish(CLOSED, () => ({ ...about(socket, session), error })))
}

function about(socket: Socket, session: object | undefined) {
  const { host, port } = placeOf(socket)
  return { id: connectionId(socket), socket, session, host, port }
}

/** Of one that began before anybody followed, the remote address, as long as it is known. */
export function placeOf(socket: Socket): Place {
  return places.get(socket) ?? { host: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 }
}

function connectionInWords(socket: Socket): string {
  const { host, port } = placeOf(socket)
  return `#${connectionId(socket)}${host === '' ? '' : ` ${hostAndPort(host, port)}`}`
}
