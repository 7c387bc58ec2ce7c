/** Errors of connections that cannot be made, shaped as net.connect's: with the local address where it matters. */
import { constants } from 'node:os'
import { AtsssError, type SystemError, systemError } from '../../errors.js'
import { anyAddress, plainAddress } from '../../input/addresses.js'
import { FAST_OPEN_NEEDS } from '../kernel/fast-open.js'
import { native } from '../kernel/native.js'

/**
 * The connection has failed.
 *
 * @param errno positive
 * @param local what the application has bound it to
 * @param why what the message says more than Node's, from its colon on
 */
export function failedConnect(
  errno: number,
  { address, port }: { address: string; port: number },
  local: { localAddress: string | undefined; localPort: number | undefined },
  why = '',
): SystemError {
  const { localPort, localAddress = anyAddress(address.includes(':') ? 6 : 4) } = local
  const own = localPort === undefined ? undefined : { address: localAddress, port: localPort }
  const error = systemError(errno, 'connect', address, port || undefined, own, why)
  if (localPort === undefined) return error
  return Object.assign(error, { localAddress, localPort })
}

/** `connect(2)` on `fd`, to `to`, has failed before anything was sent. Errors of other calls are returned unchanged. */
export function failedAtOnce(error: SystemError, fd: number, to: { address: string; port: number }): SystemError {
  if (error.syscall !== 'connect') return error
  const { address, ...local } = native().getsockname(fd)
  const from = { ...local, address: local.family === 6 ? plainAny(address, to) : address }
  return systemError(-error.errno!, 'connect', to.address, to.port || undefined, from)
}

/** The local address of an IPv6 socket that takes IPv4 addresses too, as one of AF_INET has it. */
function plainAny(local: string, to: { address: string }): string {
  if (to.address.includes(':')) return local
  return local === '::' ? anyAddress(4) : plainAddress(local)
}

/** `convert: '0rtt'` is set, and the kernel has refused data for the SYN. */
export function noSynData(cause: SystemError): AtsssError {
  return new AtsssError(
    'ERR_CONVERT_NO_FAST_OPEN',
    `This system sends no data in the SYN of an MPTCP connection, and the option convert is '0rtt' (${cause.message}): ${FAST_OPEN_NEEDS}, are needed; 'auto' does without`,
    { cause },
  )
}

/**
 * `connectTimeout` has passed: a system error as of Node's own, whose message adds what was not there in time.
 *
 * @param awaited what was waited for, where no connection was tried yet
 * @param at where the latest connection was tried
 */
export function timedOut(after: number, awaited: string, at?: { address: string; port: number }): SystemError {
  const why = `: no ${at ? 'connection' : awaited} within ${after} ms (option connectTimeout)`
  return systemError(constants.errno.ETIMEDOUT, 'connect', at?.address, at?.port, undefined, why)
}

/** Code that wraps net.Socket.prototype.connect has passed on another destination, to which Node is about to connect. */
export function hostReplaced(host: string): AtsssError {
  return new AtsssError(
    'ERR_ATSSS_NODE',
    `connect() to ${host} did not reach Node as it was called: code in this process that wraps net.Socket.prototype.connect passes on another host, to which Node would connect without MPTCP. Let that code pass on the options that it gets`,
  )
}

/** The error of dns.lookup. */
export function notFound(hostname: string): Error {
  return Object.assign(new Error(`getaddrinfo ENOTFOUND ${hostname}`), {
    code: 'ENOTFOUND',
    errno: -3008, // UV_EAI_NONAME
    syscall: 'getaddrinfo',
    hostname,
  })
}

/**
 * As net.connect: one failure is the error; several become an AggregateError with the first one's code. Node's has no message, which is
 * kept where all failures are Node's own.
 */
export function oneError(all: Error[], withConverters: boolean): Error {
  // A way may have failed alike with and without MPTCP.
  const errors = all.filter((error, index) => all.findIndex(({ message }) => message === error.message) === index)
  const [first] = errors
  if (first && errors.length === 1) return first
  const isNodes =
    !withConverters &&
    errors.every(({ syscall, code }: NodeJS.ErrnoException) => syscall === 'connect' || code === 'ERR_IP_BLOCKED')
  const message = isNodes ? '' : errors.map(error => error.message).join('; ')
  return Object.assign(new AggregateError(errors, message), { code: (first as NodeJS.ErrnoException)?.code })
}
