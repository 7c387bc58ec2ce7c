/** Errors of a connection that cannot be made, as net.connect shows them: with the local side, where that matters. */
import { constants } from 'node:os'
import { type SystemError, systemError } from '../../errors.js'
import { anyAddress } from '../../input/addresses.js'
import { native } from '../kernel/native.js'

/**
 * The connection has failed.
 *
 * @param errno positive
 * @param local what the user has bound it to
 */
export function failedConnect(
  errno: number,
  { address, port }: { address: string; port: number },
  local: { localAddress: string | undefined; localPort: number | undefined },
): SystemError {
  const { localPort, localAddress = anyAddress(address.includes(':') ? 6 : 4) } = local
  if (localPort === undefined) return systemError(errno, 'connect', address, port || undefined)
  const error = systemError(errno, 'connect', address, port || undefined, { address: localAddress, port: localPort })
  return Object.assign(error, { localAddress, localPort })
}

/** `connect(2)` on `fd` has failed before anything was sent. Other errors stay what they are. */
export function failedAtOnce(error: SystemError, fd: number): SystemError {
  if (error.syscall !== 'connect') return error
  return systemError(-error.errno!, 'connect', error.address, error.port || undefined, native().getsockname(fd))
}

/** net.ipv4.tcp_fastopen without bit 1, or a kernel older than Fast Open on MPTCP sockets (6.1), or without a cookie (6.2). */
export function lacksFastOpen({ errno }: SystemError): boolean {
  return errno === -constants.errno.EOPNOTSUPP || errno === -constants.errno.ENOPROTOOPT
}

/** As dns.lookup says it. */
export function notFound(hostname: string): Error {
  return Object.assign(new Error(`getaddrinfo ENOTFOUND ${hostname}`), {
    code: 'ENOTFOUND',
    errno: -3008, // UV_EAI_NONAME
    syscall: 'getaddrinfo',
    hostname,
  })
}

/** As net.connect: one failure is the error, several are an AggregateError with the first one's code. */
export function oneError(all: Error[], withConverters: boolean): Error {
  // One way may have been tried with MPTCP and without, and have failed alike.
  const errors = all.filter((error, index) => all.findIndex(({ message }) => message === error.message) === index)
  const [first] = errors
  if (first && errors.length === 1) return first
  const message = withConverters ? errors.map(error => error.message).join('; ') : ''
  return Object.assign(new AggregateError(errors, message), { code: (first as NodeJS.ErrnoException)?.code })
}
