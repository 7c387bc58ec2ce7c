/** Destinations on the command line. */
import { UsageError } from './arguments.js'

/** `HOST:PORT` as one word, or `HOST PORT` as two; an IPv6 address has brackets beside its port. Throws `UsageError`. */
export function splitPlace(words: readonly string[]): { host: string; port: number } {
  const [first, second, third] = words
  if (first === undefined) throw new UsageError('a destination is needed, such as example.com:443')
  if (third !== undefined) throw new UsageError(`one destination at a time; there is '${third}' too`)
  const [, bracketed, plain, behind] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(first) ?? []
  // With a port of its own an IPv6 address needs no brackets.
  const host = bracketed ?? plain ?? (second === undefined ? undefined : first)
  const text = second ?? behind
  const port = Number(text)
  if (host === undefined || text === undefined || !/^\d+$/.test(text) || port < 1 || port > 65_535)
    throw new UsageError(
      `a destination is HOST:PORT, [ADDRESS]:PORT or HOST PORT, the port 1…65535; it is '${words.join(' ')}'`,
    )
  return { host, port }
}
