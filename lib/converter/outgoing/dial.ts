/** The connection to the server: RFC 8803's "downstream connection". */
import { connect, isIPv4, type Socket } from 'node:net'
import { systemError } from '../../errors.js'
import { connectedSocket } from '../../runtime/kernel/connected-socket.js'
import { IPPROTO_MPTCP } from '../../runtime/kernel/constants.js'
import { native } from '../../runtime/kernel/native.js'
import { reactor } from '../../runtime/kernel/reactor.js'
import type { Target } from './request.js'

type Done = (error: NodeJS.ErrnoException | undefined, socket?: Socket) => void

/**
 * Connects to a literal address. `done` is called once, with either an error or a socket, and never before this returns.
 *
 * @returns gives the attempt up: `done` is not called any more. After `done` it does nothing.
 */
export function dial(target: Target, protocol: 'tcp' | 'mptcp', done: Done): () => void {
  return protocol === 'tcp' ? dialTcp(target, done) : dialMptcp(target, done)
}

function dialTcp({ address, port }: Target, done: Done): () => void {
  const socket = connect({ host: address, port, allowHalfOpen: true, noDelay: true })
  let open = true
  const failed = (error: Error) => {
    open = false
    done(error)
  }
  socket.once('error', failed)
  socket.once('connect', () => {
    open = false
    socket.off('error', failed)
    done(undefined, socket)
  })
  return () => {
    if (!open) return
    open = false
    // An error may still come, and must not become an uncaught one.
    socket
      .removeAllListeners('connect')
      .off('error', failed)
      .on('error', () => {})
    socket.destroy()
  }
}

function dialMptcp({ address, port }: Target, done: Done): () => void {
  const addon = native()
  /** Ours to close, until it is a socket's. */
  let fd: number | undefined
  let cancel = (): void => {}
  const drop = (): void => {
    if (fd !== undefined) addon.close(fd)
    fd = undefined
  }
  const fail = (error: Error): void => {
    drop()
    done(error)
  }
  try {
    fd = addon.socket(isIPv4(address) ? 4 : 6, IPPROTO_MPTCP)
    addon.connect(fd, address, port)
    const wait = reactor().awaitConnected(fd, errno => {
      if (errno !== 0) return fail(systemError(errno, 'connect', address, port))
      const connected = fd!
      fd = undefined
      let socket: Socket
      try {
        socket = connectedSocket(connected)
      } catch (error) {
        return done(error as Error)
      }
      done(undefined, socket)
    })
    cancel = () => wait.cancel()
  } catch (error) {
    const immediate = setImmediate(() => fail(error as Error))
    cancel = () => clearImmediate(immediate)
  }
  return () => {
    cancel()
    drop()
  }
}
