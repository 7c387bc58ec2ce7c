/**
 * Waits on descriptors, as callbacks. One per environment (a worker thread has its own), over the addon's epoll thread.
 *
 * A callback runs in the async context of the one who asked, once for each result (`watchEdges`: for each edge), and
 * never after `cancel()`.
 */
import { AsyncResource } from 'node:async_hooks'
import { type Addon, type Completion, native } from './native.js'

export interface Wait {
  /** No callback from here on, and the reactor's thread no longer touches the descriptor. Harmless when repeated. */
  cancel(): void
}

export interface WaitOptions {
  /** Whether the wait keeps the event loop alive. @defaultValue true */
  ref?: boolean
}

interface Pending {
  context: AsyncResource
  deliver: (completion: Completion) => void
  oneShot: boolean
  ref: boolean
}

export class Reactor {
  readonly #addon: Addon
  readonly #pending = new Map<number, Pending>()
  #holds = 0

  constructor(addon: Addon) {
    this.#addon = addon
    addon.onCompletion(completion => this.#deliver(completion))
  }

  /** `done(errno)`: 0 once the handshake is done, else why it failed. */
  awaitConnected(fd: number, done: (errno: number) => void, options?: WaitOptions): Wait {
    return this.#add(this.#addon.awaitConnected(fd), true, ({ status }) => done(status), options)
  }

  /** `done(errno, bytes)`: exactly `length` bytes, or fewer when the stream ended (errno 0) or failed. */
  awaitBytes(fd: number, length: number, done: (errno: number, bytes: Buffer) => void, options?: WaitOptions): Wait {
    return this.#add(
      this.#addon.awaitBytes(fd, length),
      true,
      ({ status, bytes }) => done(status, bytes ?? Buffer.alloc(0)),
      options,
    )
  }

  /** `edge(events)` at every edge of `events` (epoll's bits) until cancelled. */
  watchEdges(fd: number, events: number, edge: (events: number) => void, options?: WaitOptions): Wait {
    return this.#add(this.#addon.watchEdges(fd, events), false, ({ status }) => edge(status), options)
  }

  /** Keeps the event loop alive until the matching `letGo`; they nest. */
  hold(): void {
    if (this.#holds++ === 0) this.#addon.keepAlive(true)
  }

  letGo(): void {
    if (--this.#holds === 0) this.#addon.keepAlive(false)
  }

  #add(id: number, oneShot: boolean, deliver: Pending['deliver'], options: WaitOptions | undefined): Wait {
    const ref = options?.ref ?? true
    this.#pending.set(id, { context: new AsyncResource('ATSSSWAIT'), deliver, oneShot, ref })
    if (ref) this.hold()
    return { cancel: () => this.#cancel(id) }
  }

  #cancel(id: number): void {
    if (!this.#forget(id)) return
    this.#addon.cancel(id)
  }

  #forget(id: number): boolean {
    const pending = this.#pending.get(id)
    if (!pending) return false
    this.#pending.delete(id)
    if (pending.ref) this.letGo()
    return true
  }

  #deliver(completion: Completion): void {
    const pending = this.#pending.get(completion.id)
    if (!pending) return
    if (pending.oneShot) this.#forget(completion.id)
    pending.context.runInAsyncScope(pending.deliver, undefined, completion)
  }
}

let shared: Reactor | undefined

/** This environment's reactor, made at its first use. */
export function reactor(): Reactor {
  shared ??= new Reactor(native())
  return shared
}
