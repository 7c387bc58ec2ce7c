/** What an open socket holds: the difference that many of them make, after garbage collection. */
import type { Socket } from 'node:net'
import { connectAndStay, inParallel } from './connection.js'
import type { Trial } from './trial.js'

const IN_FLIGHT = 64
/** Until lists and caches have their size, and the compiler its code. */
const WARM_UP = 1000

export const memory: Trial = async ({ contender, place, size }) => {
  const open: Socket[] = []
  const failed = (error: Error) => {
    throw error
  }
  const openMore = (count: number) =>
    inParallel(count, IN_FLIGHT, async () => open.push(await connectAndStay(contender, place, failed)))
  await openMore(1)
  await openMore(WARM_UP)
  const before = await settled()
  await openMore(size)
  const after = await settled()
  if (open.some(socket => socket.destroyed)) throw new Error('a socket did not stay open')
  return {
    heap: (after.heapUsed - before.heapUsed) / size,
    external: (after.external - before.external) / size,
    rss: (after.rss - before.rss) / size,
  }
}

/** Needs --expose-gc. */
async function settled(): Promise<NodeJS.MemoryUsage> {
  for (let pass = 0; pass < 5; pass++) {
    await new Promise(resolve => setTimeout(resolve, 20))
    globalThis.gc!()
  }
  return process.memoryUsage()
}
