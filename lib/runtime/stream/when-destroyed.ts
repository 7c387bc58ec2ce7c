/**
 * The end of a socket that the application holds. A listener of `'close'` is not certain to be called: an earlier one may throw,
 * and the application may remove it. So our own books are closed where the socket is, in its `_destroy`.
 */
import type { Socket } from 'node:net'

/** Calls `then` whenever the socket is destroyed: its descriptor is closed, and no listener has been called yet. */
export function whenDestroyed(socket: Socket, then: () => void): void {
  const { _destroy } = socket
  socket._destroy = function (this: Socket, ...args) {
    _destroy.apply(this, args)
    then()
  }
}
