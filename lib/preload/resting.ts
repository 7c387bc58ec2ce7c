/**
 * Connections of a session that were taken and are at rest in a pool: http.Agent's, or undici's, which is in Node's fetch.
 * One that no longer fits the rules or accesses, and cannot be moved, is closed, as `atsss/http` and `atsss/undici` do with
 * theirs: the next request shall not go to an access that is lost.
 */
import type { Socket } from 'node:net'
import { reuseBlockedBy, onChange, type Via } from '../agents/source.js'
import type { MptcpSocket } from '../socket/socket.js'

export class Resting {
  readonly #session: Via
  readonly #sockets = new Set<Socket>()
  /** Ends listening to the session: only as long as there is a socket to close. */
  #stop: (() => void) | undefined

  constructor(session: Via) {
    this.#session = session
  }

  /** The event loop no longer waits for it: whoever pools it lets go of it so, before it is put into the pool. */
  add(socket: Socket): void {
    if (this.#sockets.size === 0) this.#stop = onChange(this.#session, () => this.#judgeAll())
    this.#sockets.add(socket)
    setImmediate(() => {
      if (this.#sockets.has(socket)) this.#judge(socket)
    })
  }

  delete(socket: Socket): void {
    if (!this.#sockets.delete(socket) || this.#sockets.size > 0) return
    this.#stop?.()
    this.#stop = undefined
  }

  #judgeAll(): void {
    for (const socket of [...this.#sockets]) this.#judge(socket)
  }

  #judge(socket: Socket): void {
    if (isPooled(socket) && reuseBlockedBy(this.#session, socket as MptcpSocket) !== undefined) socket.destroy()
  }
}

/** What an application lets go of by itself is not ours to close: only what bears the mark of a pool, and no request. */
function isPooled(socket: Socket): boolean {
  const { _httpMessage: request, alpnProtocol } = socket as Socket & { _httpMessage?: object; alpnProtocol?: string }
  if (request !== undefined) return request === null // http.Agent's
  return (
    alpnProtocol !== 'h2' && Object.getOwnPropertySymbols(socket).some(({ description }) => description === 'no ref')
  )
}
