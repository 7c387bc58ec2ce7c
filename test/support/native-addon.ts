/** For tests of the addon itself: where it is, its completions as promises, and scripts that use it in a child process. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect } from 'vitest'
import type { Addon, AddonReactor, Completion } from '../../lib/runtime/kernel/native.js'

export const TCP = 6
export const MPTCP = 262

/** For what cannot import TypeScript: workers and child processes. */
export const addonPath =
  process.env.ATSSS_ADDON || fileURLToPath(new URL('../../build/Release/atsss.node', import.meta.url))

/** What an addon must export: the members of `Addon` in native.ts. */
export const functions = members('Addon')
/** The methods of its reactors. */
export const reactorMethods = members('AddonReactor')

function members(type: string): string[] {
  const source = readFileSync(new URL('../../lib/runtime/kernel/native.ts', import.meta.url), 'utf8')
  const body = source.split(`export interface ${type} {`)[1]!.split('\n}')[0]!
  return [...body.matchAll(/^ {2}(\w+)(?:\(|: new)/gm)].map(([, name]) => name!)
}

/** A reactor, and its completions by the wait they belong to. */
export class Completions {
  readonly reactor: AddonReactor
  /** In their order. */
  readonly all: Completion[] = []
  readonly #wanted = new Map<number, (completion: Completion) => void>()

  constructor(addon: Addon) {
    this.reactor = new addon.Reactor(completion => {
      this.all.push(completion)
      this.#wanted.get(completion.id)?.(completion)
      this.#wanted.delete(completion.id)
    })
  }

  /** The next completion of a wait; to be called before the event loop runs again. */
  next(id: number): Promise<Completion> {
    return new Promise(resolve => this.#wanted.set(id, resolve))
  }

  of(id: number): Completion[] {
    return this.all.filter(completion => completion.id === id)
  }
}

/** A server on an MPTCP (or TCP) listener that the addon has opened, on the loopback of its address family. */
export async function serve(
  addon: Addon,
  { protocol = MPTCP, family = 4 as 4 | 6, prepare = (_fd: number) => {} },
  onConnection: (socket: net.Socket) => void = () => {},
): Promise<Listener> {
  const fd = addon.socket(family, protocol)
  const address = family === 4 ? '127.0.0.1' : '::1'
  prepare(fd)
  addon.bind(fd, address, 0)
  addon.listen(fd, 128)
  addon.release(fd)
  const server = net.createServer({ allowHalfOpen: true }, socket => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    onConnection(socket)
  })
  const sockets = new Set<net.Socket>()
  await new Promise<void>(resolve => server.listen({ fd }, resolve))
  return {
    address,
    port: (server.address() as net.AddressInfo).port,
    fd,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

export interface Listener extends AsyncDisposable {
  address: string
  port: number
  fd: number
}

/** A port of 127.0.0.1 that refuses. */
export async function refusingPort(): Promise<number> {
  const server = net.createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}

/**
 * Runs CommonJS in a Node of its own, with `addon` there, and `env` in its environment.
 * @param wrapper a command to run it under, such as ['unshare', '-n']
 * @param options of Node
 */
export function runScript(
  source: string,
  wrapper: string[] = [],
  options: string[] = [],
): { code: number | string; out: string; err: string } {
  const command = [
    ...wrapper,
    process.execPath,
    ...options,
    '-e',
    `const addon = require(${JSON.stringify(addonPath)})\n${source}`,
  ]
  const ended = spawnSync(command[0]!, command.slice(1), { encoding: 'utf8', timeout: 30_000 })
  return { code: ended.status ?? ended.signal ?? 'not started', out: ended.stdout, err: ended.stderr }
}

/** Every test of the file gives back what it took of the addon. */
export function leavesNothing(addon: Addon): void {
  let before = addon.counts()
  beforeEach(() => {
    before = addon.counts()
  })
  afterEach(() => expect(addon.counts()).toEqual(before))
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, milliseconds))
}

/** An int as the kernel has it, for setsockopt. */
export function int(value: number): Uint8Array {
  return new Uint8Array(new Int32Array([value]).buffer)
}

/** Waits, at most two seconds, for something to be there. */
export async function until(there: () => unknown): Promise<void> {
  const end = Date.now() + 2000
  while (!there() && Date.now() < end) await pause(2)
}

/** A new network namespace for one command: as root, or as a user where the system lets users have one. */
export const ownNamespace = {
  command: ['unshare', ...(process.getuid?.() === 0 ? ['--net'] : ['--user', '--map-root-user', '--net'])],
  probe(): string | undefined {
    const [command, ...args] = ownNamespace.command
    const { error, status, stderr } = spawnSync(command!, [...args, 'ip', 'link', 'set', 'lo', 'up'], {
      encoding: 'utf8',
    })
    return status === 0 ? undefined : (error?.message ?? stderr.trim())
  },
}
