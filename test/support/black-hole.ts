/** An address of this machine's loopback that does not answer SYNs: a listener that nobody accepts from, and that is full. */
import { native } from '../../lib/runtime/kernel/native.js'
import { TCP } from './native-addon.js'

export function blackHole(address: string, port: number): Disposable {
  const listener = native().socket(4, TCP)
  native().bind(listener, address, port)
  native().listen(listener, 0)
  // One is taken beyond the backlog.
  const guest = native().socket(4, TCP)
  native().connect(guest, address, port)
  return {
    [Symbol.dispose]() {
      for (const fd of [guest, listener]) native().close(fd)
    },
  }
}
