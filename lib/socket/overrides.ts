/**
 * Where a socket with a connection of ours differs from net.Socket: as properties, which `MptcpSocket` has on its prototype
 * and a net.Socket that the preload has taken has on itself.
 */
import { Socket } from 'node:net'
import { type Chunk, type WriteDone, writeEarly } from '../runtime/connect/early-writes.js'
import { NAMES, typeOfServiceOf } from '../runtime/kernel/node-socket.js'
import { whenEndMayBeSent } from '../runtime/stream/end-of-sending.js'
import { endsInstead } from '../runtime/stream/end-of-stream.js'
import { asTimeout } from '../runtime/stream/given-up.js'
import type { Connection } from './connection.js'

/**
 * @param connectionOf the socket's connection; undefined while it has none of ours
 * @param below where the methods of net.Socket are found that these replace
 */
export function overrides(
  connectionOf: (socket: Socket) => Connection | undefined,
  below: (socket: Socket) => object,
): PropertyDescriptorMap {
  const asBefore = (socket: Socket, name: string, ...args: unknown[]) =>
    Reflect.apply(Reflect.get(below(socket), name) as () => unknown, socket, args)

  return {
    ...methods({
      destroy(error?: Error) {
        if (!connectionOf(this)) return asBefore(this, 'destroy', error)
        return endsInstead(this, error) ? this : asBefore(this, 'destroy', asTimeout(error))
      },
      ref() {
        connectionOf(this)?.keepAlive(true)
        return asBefore(this, 'ref')
      },
      unref() {
        connectionOf(this)?.keepAlive(false)
        return asBefore(this, 'unref')
      },
      _final(done: WriteDone) {
        const final = () => asBefore(this, '_final', done)
        const connection = connectionOf(this)
        if (this.connecting || !connection) final()
        else whenEndMayBeSent(this, final, connection.isSteered)
      },
      _destroy(error: Error | null, done: WriteDone) {
        const connection = connectionOf(this)
        connection?.closing(error)
        asBefore(this, '_destroy', error, done)
        connection?.closed()
      },
    }),
    // Node counts what went through the handle; what left before there was one counts too.
    [NAMES.bytesDispatched]: {
      configurable: true,
      get(this: Socket) {
        const counted = Reflect.get(below(this), NAMES.bytesDispatched, this) as number
        return counted + (connectionOf(this)?.dispatched ?? 0)
      },
    },
    // Only where Node has them: programs look whether they exist.
    ...('setTypeOfService' in Socket.prototype &&
      methods({
        setTypeOfService(value: number) {
          withoutDescriptor(this, () => asBefore(this, 'setTypeOfService', value))
          return this
        },
        getTypeOfService() {
          return this.connecting ? (typeOfServiceOf(this) ?? 0) : asBefore(this, 'getTypeOfService')
        },
      })),
  }
}

/** What is written before `'connect'` may leave with the SYN, or right behind it. */
export function overridesOfWriting(connectionOf: (socket: Socket) => Connection | undefined): PropertyDescriptorMap {
  const { _write, _writev } = Socket.prototype
  return methods({
    _write(chunk: Chunk['chunk'], encoding: BufferEncoding, done: WriteDone) {
      if (!writeEarly(this, connectionOf(this)?.connecting, [{ chunk, encoding }], done))
        _write.call(this, chunk, encoding, done)
    },
    _writev(chunks: Chunk[], done: WriteDone) {
      if (!writeEarly(this, connectionOf(this)?.connecting, chunks, done)) _writev?.call(this, chunks, done)
    },
  })
}

function methods(table: Record<string, (this: Socket, ...args: never[]) => unknown>): PropertyDescriptorMap {
  return Object.fromEntries(
    Object.entries(table).map(([name, value]) => [name, { configurable: true, writable: true, value }]),
  )
}

/**
 * Node keeps the value, and sets it on its handle at once: while we connect, that has no descriptor, or one that stands
 * in for the connection. */
function withoutDescriptor(socket: Socket, set: () => unknown): void {
  try {
    set()
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (!socket.connecting || !['EBADF', 'EOPNOTSUPP'].includes(code)) throw error
  }
}
