/**
 * TLS that begins before `'connect'`.
 *
 * Through a converter `'connect'` comes with the converter's answer, and Node's TLSSocket sends its ClientHello at
 * `'connect'`: a round trip later than with a direct connection. So the handle of the socket is first opened on one end of a
 * socket pair, the stand-in, and TLS is started on that. The ClientHello is read from the other end, and leaves like
 * everything else that is written early. Then the descriptor of the connection takes the stand-in's place, and TLS goes on over
 * Node's own path. libuv has never polled the stand-in, so there is nothing that it could miss.
 */
import { readSync } from 'node:fs'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { SystemError } from '../../errors.js'
import { native } from '../kernel/native.js'
import { canStartTls, fdOf, noHello, openStandIn, standInReplaced, startTls } from '../kernel/node-socket.js'

export class EarlyHello {
  /** Empty when TLS has refused its options, which is an error that comes with `'connect'`. */
  readonly bytes: Uint8Array
  readonly #carrier: Socket

  private constructor(carrier: Socket, bytes: Uint8Array) {
    this.#carrier = carrier
    this.bytes = bytes
  }

  /**
   * Starts TLS.
   *
   * @param carrier the socket whose connection is being made: the TLSSocket itself, or the one below it
   * @returns undefined where that cannot be done: TLS then begins after `'connect'`
   */
  static begin(secure: TLSSocket, carrier: Socket): EarlyHello | undefined {
    if (!canStartTls(secure, carrier)) return undefined
    const pair = socketPair()
    if (!pair) return undefined
    const [standIn, end] = pair
    try {
      if (openStandIn(carrier, standIn) < 0) {
        native().close(standIn)
        return undefined
      }
      native().release(standIn)
      const isStarted = startTls(secure)
      const bytes = written(end)
      if (isStarted && bytes.length === 0) secure.destroy(noHello())
      return new EarlyHello(carrier, bytes)
    } finally {
      native().close(end)
    }
  }

  /** Puts the connection in the stand-in's place. @returns 0, or a negative errno */
  replace(fd: number): number {
    try {
      native().replace(fd, fdOf(this.#carrier)!)
    } catch (error) {
      return (error as SystemError).errno!
    }
    standInReplaced(this.#carrier)
    return 0
  }
}

/** Undefined when there are no descriptors left, or no addon: the connection itself will say so. */
function socketPair(): [number, number] | undefined {
  try {
    return native().socketPair()
  } catch {
    return undefined
  }
}

function written(end: number): Uint8Array {
  const bytes = Buffer.alloc(native().unread(end))
  return bytes.length === 0 ? bytes : bytes.subarray(0, readSync(end, bytes))
}
