/** `connect()`, the replacement of net.connect. */
import diagnostics from 'node:diagnostics_channel'
import type { ClientRequestArgs } from 'node:http'
import type { NetConnectOpts } from 'node:net'
import { addAbortSignal } from 'node:stream'
import type { MptcpOptions } from '../input/options.js'
import { callForm, type MptcpConnectOptions } from './call-form.js'
import { MptcpSocket, type SocketConstructorOpts } from './socket.js'

type Listener = () => void

const created = diagnostics.channel('net.client.socket')

/**
 * Connects, as net.connect does, over MPTCP and through the Transport Converters given. Returns the socket at once.
 *
 * @param options net.connect's, and {@link MptcpOptions}
 * @param connectionListener for `'connect'`
 * @throws ERR_ATSSS_OPTION, and what net.connect throws for its own options. What goes wrong later is an `'error'`.
 *
 * @example
 * const socket = connect({ host: 'example.com', port: 80, converters: '192.0.2.1:5124' })
 * socket.end('GET / HTTP/1.0\r\n\r\n').pipe(process.stdout)
 */
export function connect(options: NetConnectOpts & MptcpOptions, connectionListener?: Listener): MptcpSocket
export function connect(port: number, host?: string, connectionListener?: Listener): MptcpSocket
export function connect(port: number, connectionListener?: Listener): MptcpSocket
export function connect(path: string, connectionListener?: Listener): MptcpSocket
export function connect(...args: unknown[]): MptcpSocket {
  const [options, listener] = callForm(args)
  // The constructor checks `options`, and connect() does not check the same object again. Other arguments are for Node to judge.
  const given = typeof args[0] === 'number' ? [options, listener] : args
  const start = (socket: MptcpSocket) => (socket.connect as (...args: unknown[]) => MptcpSocket)(...given)
  return connectAs(options, given => new MptcpSocket(given), start)
}

/**
 * What net.connect does beyond the socket's own `connect`: its timeout, a signal that is aborted already, the diagnostics
 * channel.
 *
 * @internal
 */
export function connectAs(
  options: Partial<MptcpConnectOptions> | undefined,
  make: (options: SocketConstructorOpts & MptcpOptions) => MptcpSocket,
  start: (socket: MptcpSocket) => MptcpSocket,
): MptcpSocket {
  const given = options as (SocketConstructorOpts & MptcpOptions & { signal?: AbortSignal }) | undefined
  // net.Socket's constructor would be ended by such a signal, and brought back to life by connect().
  if (given?.signal?.aborted) return addAbortSignal(given.signal, make({ ...given, signal: undefined as never }))
  const socket = make(given as SocketConstructorOpts & MptcpOptions)
  if (options?.timeout) socket.setTimeout(options.timeout)
  return created.hasSubscribers ? published(socket, () => start(socket)) : start(socket)
}

/** Of `connect`, with what `http.request` and http.Agent hand on. */
export type CreateConnection = typeof connect &
  ((options: ClientRequestArgs, oncreate?: (...args: never[]) => void) => MptcpSocket)

/** The same as {@link connect}, under net's other name: for `http.request({ createConnection })`. */
export const createConnection = connect as CreateConnection

/** Newer versions of Node publish the socket in its own connect(), older ones in net.connect. */
function published(socket: MptcpSocket, start: () => MptcpSocket): MptcpSocket {
  let done = false
  const onMessage = (message: unknown) => {
    if ((message as { socket: MptcpSocket }).socket === socket) done = true
  }
  created.subscribe(onMessage)
  try {
    return start()
  } finally {
    created.unsubscribe(onMessage)
    if (!done) created.publish({ socket })
  }
}
