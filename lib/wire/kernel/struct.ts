/** Structures as the kernel writes them: in the host's byte order, and longer from version to version. */
import { endianness } from 'node:os'

export const HOST_ENDIAN = endianness()

/** Reads fields by their offset. A field that is not wholly within `bytes` is `undefined`. */
export function structReader(bytes: Uint8Array) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const little = HOST_ENDIAN === 'LE'
  const holds = (end: number) => end <= bytes.byteLength
  return {
    u8: (at: number) => (holds(at + 1) ? view.getUint8(at) : undefined),
    u32: (at: number) => (holds(at + 4) ? view.getUint32(at, little) : undefined),
    /** A counter: exact up to 2^53, some petabytes. */
    u64: (at: number) => (holds(at + 8) ? Number(view.getBigUint64(at, little)) : undefined),
    /** All 64 bits, for what starts at a random number. */
    bigU64: (at: number) => (holds(at + 8) ? view.getBigUint64(at, little) : undefined),
  }
}
