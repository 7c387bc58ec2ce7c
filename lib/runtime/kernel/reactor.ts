/**
 * Waits on descriptors, with callbacks, over the addon's epoll thread.
 *
 * A callback runs in the async context in which the wait began, once for each result (`watchEdges`: for each edge), and
 * never after `cancel()`.
 */
import { AsyncResource } from 'node:async_hooks'
import { type Addon, type AddonReactor, type Completion, native } from './native.js'

export interface Wait {
  /** No callback from here on, and the epoll thread no longer touches the descriptor. May be called again. */
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
  readonly #waits: AddonReactor
  readonly #pending = new Map<number, Pending>()
  #holds = 0

  constructor(addon: Addon) {
    this.#waits = new addon.Reactor(completion => this.#deliver(completion))
  }

  /** Calls `done(errno)`: 0 once the handshake is complete, else why it failed. */
  awaitConnected(fd: number, done: (errno: number) => void, options?: WaitOptions): Wait {
    return this.#add(this.#waits.awaitConnected(fd), true, ({ status }) => done(status), options)
  }

  /** Calls `done(errno, bytes)` with exactly `length` bytes, or fewer if the stream ended (errno 0) or failed. */
  awaitBytes(fd: number, length: number, done: (errno: number, bytes: Buffer) => void, options?: WaitOptions): Wait {
    return this.#add(
      this.#waits.awaitBytes(fd, length),
      true,
      ({ status, bytes }) => done(status, bytes ?? Buffer.alloc(0)),
      options,
    )
  }

  /** Calls `edge(events)` at every edge of `events` (epoll's bits) until cancelled. */
  watchEdges(fd: number, events: number, edge: (events: number) => void, options?: WaitOptions): Wait {
    return this.#add(this.#waits.watchEdges(fd, events), false, ({ status }) => edge(status), options)
  }

  /** Keeps the event loop alive until the matching `letGo`. They nest. */
  hold(): void {
    if (this.#holds++ === 0) this.#waits.keepAlive(true)
  }

  letGo(): void {
    if (--this.#holds === 0) this.#waits.keepAlive(false)
  }

  #add(id: number, oneShot: boolean, deliver: Pending['deliver'], options: WaitOptions | undefined): Wait {
    const ref = options?.ref ?? true
    this.#pending.set(id, { context: new AsyncResource('ATSSSWAIT'), deliver, oneShot, ref })
    if (ref) this.hold()
    return { cancel: () => this.#cancel(id) }
  }

  #cancel(id: number): void {
    if (!this.#forget(id)) return
    this.#waits.cancel(id)
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

/** The reactor of this copy of the package, in this thread; made at its first use. */
export function reactor(): Reactor {
  shared ??= new Reactor(native())
  return shared
}
