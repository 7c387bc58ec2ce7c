/** Any of Node's servers on an MPTCP socket of this machine's loopback. */
import type net from 'node:net'
import { native } from '../../lib/runtime/kernel/native.js'
import { MPTCP } from './native-addon.js'

export async function listening(server: net.Server): Promise<{ port: number } & AsyncDisposable> {
  const fd = native().socket(4, MPTCP)
  native().bind(fd, '127.0.0.1', 0)
  native().listen(fd, 64)
  native().release(fd)
  const open = new Set<net.Socket>()
  server.on('connection', (socket: net.Socket) => open.add(socket))
  await new Promise<void>(resolve => server.listen({ fd }, resolve))
  return {
    port: (server.address() as net.AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
