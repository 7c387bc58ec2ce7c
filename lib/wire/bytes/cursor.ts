/**
 * Cursors over bytes in network order, bounded: a reader never leaves its window, a writer never its buffer.
 * Both write and read every byte they pass, so a writer may start on a dirty buffer.
 */
import { WireError } from '../../errors.js'

export class Reader {
  readonly bytes: Uint8Array
  offset: number
  readonly end: number

  /** @param offset where the window starts, @param end where it ends: both from the start of `bytes` */
  constructor(bytes: Uint8Array, offset = 0, end = bytes.length) {
    this.bytes = bytes
    this.offset = offset
    this.end = end
  }

  /** How many bytes are left in the window. */
  get left(): number {
    return this.end - this.offset
  }

  u8(): number {
    return this.bytes[this.skip(1)]!
  }

  u16(): number {
    const at = this.skip(2)
    return (this.bytes[at]! << 8) | this.bytes[at + 1]!
  }

  u32(): number {
    return this.u16() * 0x10000 + this.u16()
  }

  /** A copy of the next `length` bytes: what the caller read into may be reused. */
  take(length: number): Uint8Array {
    const at = this.skip(length)
    // `new` and not `slice`: a Buffer would give a Buffer, and its `slice` would not copy.
    return new Uint8Array(this.bytes.subarray(at, at + length))
  }

  /** Passes over `length` bytes. @returns where they start */
  skip(length: number): number {
    const at = this.offset
    if (length > this.end - at) throw new WireError(`${length} bytes wanted, ${this.end - at} left`, at, 'framing')
    this.offset = at + length
    return at
  }
}

export class Writer {
  readonly bytes: Uint8Array
  offset = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  u8(value: number): void {
    this.bytes[this.skip(1)] = value
  }

  u16(value: number): void {
    const at = this.skip(2)
    this.bytes[at] = value >>> 8
    this.bytes[at + 1] = value
  }

  u32(value: number): void {
    this.u16(value >>> 16)
    this.u16(value)
  }

  put(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.skip(bytes.length))
  }

  /** Zeros up to `offset`. */
  padTo(offset: number): void {
    const at = this.skip(offset - this.offset)
    this.bytes.fill(0, at, offset)
  }

  /** Passes over `length` bytes, for the caller to fill. @returns where they start */
  skip(length: number): number {
    const at = this.offset
    if (length < 0 || length > this.bytes.length - at)
      throw new WireError(
        `${length} bytes to write, room for ${this.bytes.length - at}`,
        at,
        'framing',
        'ERR_CONVERT_ENCODE',
      )
    this.offset = at + length
    return at
  }
}
