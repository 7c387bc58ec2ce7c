/** Stops this thread, and so the delivery of completions, while the reactor's thread goes on. */
export function blockFor(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}
