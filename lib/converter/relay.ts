/** One direction of a proxied connection. */
import type { Socket } from 'node:net'

/**
 * Sends what `from` says to `to`, as fast as `to` takes it, and then the end of it. The other direction is not touched;
 * neither are errors, which are the caller's.
 */
export function relay(from: Socket, to: Socket, count: (bytes: number) => void): void {
  from.on('data', chunk => {
    count(chunk.length)
    if (!to.write(chunk)) from.pause()
  })
  to.on('drain', () => from.resume())
  // Node tells of an end behind no data even while it is paused.
  if (from.readableEnded) to.end()
  else from.on('end', () => to.end())
  from.resume()
}
