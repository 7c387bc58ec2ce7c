/** Scenarios that run with net.connect and with ours, and must come out the same. */
import net from 'node:net'
import { expect } from 'vitest'
import type { MptcpOptions } from '../../lib/input/options.js'
import { preload } from '../../lib/preload/preload.js'
import { connect } from '../../lib/socket/connect.js'

export type Connect = (options: (net.NetConnectOpts & MptcpOptions) | number | string, ...more: unknown[]) => net.Socket

export const ours = connect as Connect

/** Runs `scenario` with net.connect, with ours, and with net.connect under the preload, and compares what it gives. */
export async function sameAsNet<T>(scenario: (connect: Connect) => T | Promise<T>): Promise<T> {
  const theirs = await scenario(net.connect as Connect)
  const result = await scenario(ours)
  expect(result).toEqual(theirs)
  const release = preload({}, { includeLocal: true })
  try {
    expect(await scenario(net.connect as Connect), 'under the preload').toEqual(theirs)
  } finally {
    release()
  }
  return result
}

/** All that a user may look at in an error. */
export function plain(error: unknown): object {
  if (!(error instanceof Error)) return { thrown: error }
  const { name, message } = error
  const inner = error instanceof AggregateError ? { errors: error.errors.map(plain) } : {}
  return { ...error, name, message, ...inner }
}

/** What `call` throws. */
export function thrownBy(call: () => unknown): object | undefined {
  try {
    call()
    return undefined
  } catch (error) {
    return plain(error)
  }
}

/** The error that ends a socket; undefined when it closes without one. */
export function errorOf(socket: net.Socket): Promise<object | undefined> {
  return new Promise(resolve => {
    let error: object | undefined
    socket.once('error', why => {
      error = plain(why)
    })
    socket.once('close', () => resolve(error))
  })
}

/** Notes down what a socket says of itself, and in which state it is then; done with 'close'. */
export function diary(socket: net.Socket): Promise<string[]> {
  const entries: string[] = []
  const note = (event: string, show: (...args: never[]) => string = () => '') =>
    socket.on(event, (...args: unknown[]) => {
      const { connecting, pending, readyState } = socket
      // Node is of two minds about the state while an attempt fails.
      const state = event === 'connectionAttemptFailed' ? '' : ` ${connecting}/${pending}/${readyState}`
      entries.push(`${event}${show(...(args as never[]))}${state}`)
    })
  note('lookup', (_: unknown, address: string, family: number, host: string) => ` ${address} ${family} ${host}`)
  note('connectionAttempt', (address: string, _: number, family: number) => ` ${address} ${family}`)
  note('connectionAttemptTimeout', (address: string, _: number, family: number) => ` ${address} ${family}`)
  note('connectionAttemptFailed', (address: string, _: number, family: number, error: { code: string }) => {
    return ` ${address} ${family} ${error.code}`
  })
  for (const event of ['connect', 'ready', 'end', 'finish', 'timeout', 'drain', 'pause', 'resume']) note(event)
  note('data', (chunk: Buffer | string) => ` ${chunk}`)
  note('error', (error: { code: string }) => ` ${error.code}`)
  note('close', (hadError: boolean) => ` ${hadError}`)
  return new Promise(resolve => socket.on('close', () => setImmediate(() => resolve(entries))))
}
