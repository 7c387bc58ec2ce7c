/** What a read says when the kernel has given up a connection. */
import { constants } from 'node:os'
import { systemError } from '../../errors.js'

/**
 * TCP gives up a connection of which nothing was acknowledged for too long (`net.ipv4.tcp_retries2`), and its next read fails with
 * ETIMEDOUT. Of an MPTCP connection that ends the last subflow only. The kernel ends the connection when it has had no subflow for
 * `net.mptcp.close_timeout`, and says ENOTCONN. Programs know the former.
 */
export function asTimeout(error: Error | undefined): Error | undefined {
  const { code, syscall } = (error ?? {}) as NodeJS.ErrnoException
  if (code !== 'ENOTCONN' || syscall !== 'read') return error
  return Object.assign(systemError(constants.errno.ETIMEDOUT, 'read'), { cause: error })
}
