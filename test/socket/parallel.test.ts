import { readFileSync } from 'node:fs'
import type net from 'node:net'
import { expect } from 'vitest'
import { native } from '../../lib/runtime/kernel/native.js'
import { echoServer } from '../support/echo-server.js'
import { leavesNothingOpen } from '../support/open-things.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { ours } from '../support/same-as-net.js'

const mptcpTest = requires('MPTCP', mptcp)

leavesNothingOpen()

/** Both ends are in this process: each connection takes two descriptors. */
const files = Number(/Max open files\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 1_024)

const descriptorsTest = requires('MPTCP, and 2,100 descriptors (ulimit -n)', () => {
  const without = mptcp()
  return without ?? (files < 2_100 ? `only ${files}` : undefined)
})

descriptorsTest(
  '1,000 connections at once, each with its own bytes',
  async () => {
    await using echo = await echoServer()
    const talk = async (name: string) => {
      const socket = ours(echo.port, '127.0.0.1')
      socket.end(name)
      let text = ''
      for await (const chunk of socket as net.Socket) text += chunk
      return text
    }
    const names = Array.from({ length: 1_000 }, (_, index) => `connection ${index}`)
    expect(await Promise.all(names.map(talk))).toEqual(names)
    expect(native().counts().waits).toBe(0)
  },
  60_000,
)

mptcpTest(
  'many, of which a part is destroyed at different times',
  async () => {
    await using echo = await echoServer()
    const ends = await Promise.all(
      Array.from({ length: 300 }, (_, index) => {
        const socket = ours(echo.port, '127.0.0.1').resume()
        socket.write(`${index}`)
        if (index % 3 === 0) setTimeout(() => socket.destroy(), index % 20)
        else socket.on('data', () => (index % 3 === 1 ? socket.end() : socket.resetAndDestroy()))
        return new Promise<string>(resolve => {
          socket.on('error', error => resolve(error.message))
          socket.on('close', () => resolve('closed'))
        })
      }),
    )
    expect(new Set(ends)).toEqual(new Set(['closed']))
  },
  60_000,
)
