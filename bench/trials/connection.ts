/** One connection, as the trials use it. Any failure rejects, and so ends the benchmark. */
import type { Socket } from 'node:net'
import type { Contender } from '../contenders.js'
import { ONE_BYTE, type Place } from '../places.js'

/** Connects, receives the one byte, sees the end and closes. @returns milliseconds until 'connect' */
export function connectAndLeave(contender: Contender, place: Place): Promise<number> {
  return new Promise((resolve, reject) => {
    const began = performance.now()
    contender(place, 'goodbye', {
      failed: reject,
      connected(socket) {
        const took = performance.now() - began
        let received = 0
        socket.on('data', data => {
          received += data.length
          if (data[0] !== ONE_BYTE) reject(new Error('another byte than the one sent'))
        })
        socket.on('close', () => (received === 1 ? resolve(took) : reject(new Error(`${received} bytes, not one`))))
      },
    })
  })
}

/** Connects, and receives the one byte. The socket stays open, with no listeners of ours but the one for errors. */
export function connectAndStay(contender: Contender, place: Place, failed: (error: Error) => void): Promise<Socket> {
  return new Promise(resolve => {
    contender(place, 'hello', {
      failed,
      connected(socket) {
        socket.once('data', data => {
          if (data.length !== 1 || data[0] !== ONE_BYTE) failed(new Error('another byte than the one sent'))
          socket.removeAllListeners('connect')
          resolve(socket)
        })
      },
    })
  })
}

/** Calls `act` this many times, at most `width` at a time. */
export async function inParallel(count: number, width: number, act: () => Promise<unknown>): Promise<void> {
  let left = count
  const worker = async () => {
    while (left-- > 0) await act()
  }
  await Promise.all(Array.from({ length: Math.min(width, count) }, worker))
}
