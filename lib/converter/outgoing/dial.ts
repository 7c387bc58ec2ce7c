/** The connection to the server: RFC 8803's "downstream connection". */
import { connect, isIPv4, Socket } from 'node:net'
import { systemError } from '../../errors.js'
import { IPPROTO_MPTCP } from '../../runtime/kernel/constants.js'
import { native } from '../../runtime/kernel/native.js'
import { reactor } from '../../runtime/kernel/reactor.js'
import type { Target } from './request.js'

/**
 * Connects to a literal address. Exactly one of `error` and `socket` is handed to `done`, never before this returns;
 * nothing after the returned function has been called, which gives the attempt up.
 */
export function dial(
  target: Target,
  protocol: 'tcp' | 'mptcp',
  done: (error: NodeJS.ErrnoException | undefined, socket?: Socket) => void,
): () => void {
  return protocol === 'tcp' ? dialTcp(target, done) : dialMptcp(target, done)
}

type Done = Parameters<typeof dial>[2]

function dialTcp({ address, port }: Target, done: Done): () => void {
  const socket = connect({ host: address, port, allowHalfOpen: true, noDelay: true })
  const failed = (error: Error) => done(error)
  socket.once('error', failed)
  socket.once('connect', () => {
    socket.off('error', failed)
    done(undefined, socket)
  })
  return () => {
    // The error, should there still be one, is nobody's.
    socket
      .removeAllListeners('connect')
      .off('error', failed)
      .on('error', () => {})
    socket.destroy()
  }
}

function dialMptcp({ address, port }: Target, done: Done): () => void {
  const addon = native()
  let fd: number | undefined
  let giveUp = (): void => {}
  const fail = (error: Error): void => {
    if (fd !== undefined) addon.close(fd)
    fd = undefined
    done(error)
  }
  try {
    fd = addon.socket(isIPv4(address) ? 4 : 6, IPPROTO_MPTCP)
    addon.connect(fd, address, port)
    const wait = reactor().awaitConnected(fd, errno => {
      if (errno !== 0) return fail(systemError(errno, 'connect', address, port))
      addon.release(fd!)
      const socket = new Socket({ fd: fd!, allowHalfOpen: true, readable: true, writable: true })
      socket.setNoDelay(true)
      done(undefined, socket)
    })
    giveUp = () => {
      wait.cancel()
      addon.close(fd!)
    }
  } catch (error) {
    const immediate = setImmediate(() => fail(error as Error))
    giveUp = () => {
      clearImmediate(immediate)
      if (fd !== undefined) addon.close(fd)
    }
  }
  return () => giveUp()
}
