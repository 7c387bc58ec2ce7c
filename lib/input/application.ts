/**
 * The one way in which this library calls code of the application: event listeners, callbacks, hooks, stores.
 *
 * An exception of that code is the application's, not ours. It neither ends our work nor becomes a rejected promise:
 * the process gets it as `uncaughtException`, as from a listener that Node calls. Without a handler the process ends with
 * the application's stack and its own line of source.
 *
 * Before such a call our state is complete and our timers are set: the application may call us back, or destroy
 * what we work on. After it, what it may have changed is read again.
 */
import diagnostics from 'node:diagnostics_channel'
import { EventEmitter } from 'node:events'

interface Emitter {
  emit(event: string | symbol, ...args: unknown[]): boolean
  listenerCount?(event: string | symbol): number
}

/**
 * "Any errors thrown in the message handler will trigger an 'uncaughtException'" (Node's documentation of
 * `channel.subscribe`): in the next tick, in the AsyncLocalStorage context and the domain of the call. If we caught the
 * exception and threw it again, Node would print our line of source in place of the application's; a microtask would lose the
 * context on Node 20 and 22. A symbol names the channel, so that each copy of this package has its own.
 */
const calls = diagnostics.channel(Symbol('atsss: calls to the application'))
calls.subscribe(call => (call as () => void)())

/** Calls the application. Returns what it returns; undefined when it throws, which Node reports in the next tick. */
export function callApplication<A extends unknown[], R>(call: (...args: A) => R, ...args: A): R | undefined {
  const { domain } = process as WithDomain
  let result: R | undefined
  calls.publish(() => {
    result = call(...args)
  })
  // An `emit` that throws does not leave its domain.
  while ((process as WithDomain).domain && (process as WithDomain).domain !== domain)
    (process as WithDomain).domain?.exit()
  return result
}

/** `node:domain` adds it once the application uses that. */
interface WithDomain {
  domain?: { exit(): void } | null
}

/**
 * Emits an event to the application's listeners. As with any `emit`, the listeners behind one that throws are not called. So
 * none of them may be ours: what this library itself has to notice, it notices where the event comes from.
 *
 * @returns whether no listener has thrown
 */
export function emitToApplication(emitter: Emitter, event: string | symbol, ...args: unknown[]): boolean {
  if (isUnheard(emitter, event)) return true
  return callApplication(() => emitter.emit(event, ...args)) !== undefined
}

/** Whether an `emit` would do nothing, as for most of a connection's events. An `emit` that is not Node's may do anything. */
function isUnheard(emitter: Emitter, event: string | symbol): boolean {
  return event !== 'error' && emitter.emit === nodesEmit && emitter.listenerCount?.(event) === 0
}

const { emit: nodesEmit } = EventEmitter.prototype
