/** A page of which every byte can be told from its neighbours: 8 MB, the same for who serves it and who looks at what came. */
import { createHash } from 'node:crypto'

export const LARGE_PAGE = Buffer.alloc(8_000_000)
for (let word = 0; word < LARGE_PAGE.length / 4; word++)
  LARGE_PAGE.writeUInt32LE((word * 2_654_435_761) >>> 0, word * 4)

export function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
