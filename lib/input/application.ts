/**
 * The one way in which this library calls code of the application: event listeners, callbacks, hooks.
 *
 * Such a call is made last, when our own state is complete, and outside of any `try` or promise of ours. What it throws
 * is the application's: the process gets it as `uncaughtException`, as from a listener of Node's own, and our work goes on.
 */
interface Emitter {
  emit(event: string | symbol, ...args: unknown[]): boolean
}

/**
 * Calls the application. An exception is thrown anew once the stack is empty, as Node does for EventTarget's
 * listeners, so that it cannot end what called this.
 */
export function callApplication<A extends unknown[]>(call: (...args: A) => unknown, ...args: A): void {
  try {
    call(...args)
  } catch (error) {
    process.nextTick(() => {
      throw error
    })
  }
}

/** Emits an event to the application's listeners. As with any `emit`, the first listener that throws is the last one called. */
export function emitToApplication(emitter: Emitter, event: string | symbol, ...args: unknown[]): void {
  callApplication(() => emitter.emit(event, ...args))
}
