/** One direction of a proxied connection. */
import type { Socket } from 'node:net'
import { systemError } from '../../errors.js'
import { whenEndMayBeSent } from '../../runtime/stream/end-of-sending.js'
import { unreadError } from './kernel.js'

/**
 * Sends what `from` says to `to`, as fast as `to` takes it, and then the end of it. The other direction is not touched.
 * Errors, also those that came in the guise of an end, are the sockets' own.
 */
export function relay(from: Socket, to: Socket, count: (bytes: number) => void): void {
  from.on('data', chunk => {
    count(chunk.length)
    if (!to.write(chunk)) from.pause()
  })
  to.on('drain', () => from.resume())
  const end = (): void => {
    const errno = unreadError(from)
    if (errno === 0) whenEndMayBeSent(to, () => to.end())
    else from.destroy(systemError(errno, 'read'))
  }
  // Node tells of an end behind no data even while it is paused.
  if (from.readableEnded) end()
  else from.on('end', end)
  from.resume()
}
