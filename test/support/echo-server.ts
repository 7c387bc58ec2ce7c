/** Servers on this machine's loopback, over MPTCP or TCP, that answer or do what a test tells them. */
import type { Socket } from 'node:net'
import { native } from '../../lib/runtime/kernel/native.js'
import { type Listener, MPTCP, serve, TCP } from './native-addon.js'

export interface ServerOptions {
  protocol?: 'mptcp' | 'tcp'
  family?: 4 | 6
}

/** Sends back what it is sent, and ends when its client does. */
export function echoServer(options?: ServerOptions): Promise<Listener> {
  return server(socket => socket.pipe(socket), options)
}

/** Hands each connection to `onConnection`; half-open ones stay open. */
export function server(onConnection: (socket: Socket) => void, options: ServerOptions = {}): Promise<Listener> {
  const protocol = options.protocol === 'tcp' ? TCP : MPTCP
  return serve(native(), { protocol, family: options.family ?? 4 }, onConnection)
}
