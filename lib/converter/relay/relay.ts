/** One direction of a proxied connection. */
import type { Socket } from 'node:net'
import { systemError } from '../../errors.js'
import { whenEndMayBeSent } from '../../runtime/stream/end-of-sending.js'
import { unreadError } from './kernel.js'
import type { ClientTurns } from './turns.js'

/**
 * Sends what `from` sends to `to`, as fast as `to` takes it, and then its end. The other direction is not affected.
 * Errors, including those that libuv reports as an end, are the sockets' own events.
 *
 * @param turns of the client whose connection it is
 */
export function relay(from: Socket, to: Socket, turns: ClientTurns | undefined, count: (bytes: number) => void): void {
  let waits = false
  const goOn = () => {
    waits = false
    if (!to.writableNeedDrain) from.resume()
  }
  from.on('data', chunk => {
    count(chunk.length)
    const hasRoom = to.write(chunk)
    if (turns?.take(chunk.length, goOn) === false) waits = true
    if (waits || !hasRoom) from.pause()
  })
  to.on('drain', () => {
    if (!waits) from.resume()
  })
  const end = (): void => {
    const errno = unreadError(from)
    if (errno === 0) whenEndMayBeSent(to, () => to.end())
    else from.destroy(systemError(errno, 'read'))
  }
  // If no data precedes it, Node reports the end even while the socket is paused.
  if (from.readableEnded) end()
  else from.on('end', end)
  from.resume()
}
