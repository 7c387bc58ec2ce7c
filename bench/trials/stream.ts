/** How fast a stream of this many bytes goes, from the first write (or request) to the last byte (or its confirmation). */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Contender } from '../contenders.js'
import { ONE_BYTE, PatternCheck, type Place, patternChunk } from '../places.js'
import type { Trial } from './trial.js'

const chunk = patternChunk()

export const stream: Trial = async ({ contender, place, size, direction }) => {
  const run = direction === 'up' ? upload : download
  await run(contender, place, size / 8)
  return { gbps: (size * 8) / (await run(contender, place, size)) / 1e6 }
}

/** @returns milliseconds */
export async function upload(contender: Contender, place: Place, amount: number): Promise<number> {
  const socket = await connected(contender, place, 'sink')
  const began = performance.now()
  const confirmed = once(socket, 'data')
  socket.write(`${amount}\n`)
  for (let sent = 0; sent < amount; sent += chunk.length)
    if (!socket.write(chunk.subarray(0, Math.min(chunk.length, amount - sent)))) await once(socket, 'drain')
  const [answer] = await confirmed
  const took = performance.now() - began
  if (answer.length !== 1 || answer[0] !== ONE_BYTE) throw new Error('the server does not confirm the bytes')
  socket.destroy()
  return took
}

/** @returns milliseconds */
export async function download(contender: Contender, place: Place, amount: number): Promise<number> {
  const socket = await connected(contender, place, 'source')
  const check = new PatternCheck()
  const ended = once(socket, 'end')
  const began = performance.now()
  socket.on('data', data => check.take(data))
  socket.write(`${amount}\n`)
  await ended
  const took = performance.now() - began
  if (check.received !== amount) throw new Error(`${check.received} bytes instead of ${amount}`)
  return took
}

function connected(contender: Contender, place: Place, role: 'source' | 'sink'): Promise<Socket> {
  return new Promise((resolve, reject) => contender(place, role, { connected: resolve, failed: reject }))
}
