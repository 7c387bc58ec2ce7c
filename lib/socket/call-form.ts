/** The forms in which `connect()` can be called: net.connect's. */
import type { TcpNetConnectOpts } from 'node:net'
import type { MptcpOptions } from '../input/options.js'
import { isNormalized } from '../runtime/kernel/node-socket.js'

/** net.connect's options and ours. */
export type MptcpConnectOptions = TcpNetConnectOpts & MptcpOptions

/** `(options[, listener])`, `(port[, host][, listener])`, `(path[, listener])`, and what Node's own modules hand on. */
export function callForm(args: unknown[]): [options: MptcpConnectOptions | undefined, listener: unknown] {
  const [first, second] = args
  if (isNormalized(first)) return [first[0] as MptcpConnectOptions | undefined, first[1] ?? undefined]
  const last = args.at(-1)
  const listener = typeof last === 'function' ? last : undefined
  if (typeof first === 'object' && first !== null) return [first as MptcpConnectOptions, listener]
  // Node takes any text that is not a number for a path.
  if (typeof first === 'string' && !(Number(first) >= 0)) return [undefined, listener]
  return [{ port: first as number, ...(typeof second === 'string' ? { host: second } : {}) }, listener]
}

/** As Node decides it: http.Agent hands on `path: null` for what is not a pipe. */
export function isPipe(options: object): boolean {
  return Boolean((options as { path?: string | null }).path)
}
