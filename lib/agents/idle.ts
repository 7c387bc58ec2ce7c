/**
 * Idle connections in a pool. When rules or accesses change, those whose reuse is blocked are closed, so that the next
 * request does not go to an access that is lost. Connections that can be moved have been moved, and stay.
 */
import type { Socket } from 'node:net'
import { checkForPools } from '../runtime/kernel/node-socket.js'
import { type ConnectionSource, onChange, reuseBlockedBy } from './source.js'

export class IdleConnections {
  readonly #source: ConnectionSource
  readonly #isIdle: (socket: Socket) => boolean
  readonly #sockets = new Set<Socket>()
  /** Ends listening to the session: it listens only while there is a socket to close. */
  #stop: (() => void) | undefined

  /** @param isIdle whether a socket that was added is idle at this moment: one that is busy is left alone */
  constructor(source: ConnectionSource, isIdle: (socket: Socket) => boolean) {
    this.#source = source
    this.#isIdle = isIdle
  }

  /** A socket that may be idle from now on. */
  add(socket: Socket): void {
    checkForPools()
    if (this.#sockets.size === 0) this.#stop = onChange(this.#source, () => this.#judgeAll())
    this.#sockets.add(socket)
    // Pools mark a socket only after they have let go of it.
    setImmediate(() => {
      if (this.#sockets.has(socket)) this.#judge(socket)
    })
  }

  /** A socket that is closed, or certainly busy. */
  delete(socket: Socket): void {
    if (!this.#sockets.delete(socket) || this.#sockets.size > 0) return
    this.#stop?.()
    this.#stop = undefined
  }

  #judgeAll(): void {
    for (const socket of [...this.#sockets]) this.#judge(socket)
  }

  #judge(socket: Socket): void {
    if (this.#isIdle(socket) && reuseBlockedBy(this.#source, socket) !== undefined) socket.destroy()
  }
}
