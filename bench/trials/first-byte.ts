/** When the connection is there, and when the first byte of the answer to a request that was written at once. */
import type { Contender } from '../contenders.js'
import type { Place } from '../places.js'
import { median } from '../statistics.js'
import type { Trial } from './trial.js'

const REQUEST = Buffer.from('GET / HTTP/1.1\r\nHost: server.example\r\nConnection: close\r\n\r\n')

export const firstByte: Trial = async ({ contender, place, size }) => {
  await ask(contender, place)
  const times: Awaited<ReturnType<typeof ask>>[] = []
  for (let count = 0; count < size; count++) times.push(await ask(contender, place))
  return { connect: median(times.map(time => time.connect)), firstByte: median(times.map(time => time.firstByte)) }
}

/** The answer is the request again. */
function ask(contender: Contender, place: Place): Promise<{ connect: number; firstByte: number }> {
  return new Promise((resolve, reject) => {
    const began = performance.now()
    contender(place, 'echo', {
      request: REQUEST,
      failed: reject,
      connected(socket) {
        const connect = performance.now() - began
        socket.on('data', data => {
          const firstByte = performance.now() - began
          if (!REQUEST.equals(data)) reject(new Error(`the answer is not the request: ${data}`))
          socket.off('close', closed).end()
          resolve({ connect, firstByte })
        })
        const closed = () => reject(new Error('closed without an answer'))
        socket.on('close', closed)
      },
    })
  })
}
