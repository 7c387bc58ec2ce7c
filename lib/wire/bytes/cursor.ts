/**
 * Cursors over bytes in network order, bounded: a reader never leaves its window, a writer never its buffer.
 * Both write and read every byte they pass, so a writer may start on a dirty buffer.
 */
import { type WireCode, WireError } from '../../errors.js'
import type { ShowBytes, ShowNumber, Trace } from './trace.js'

/**
 * Each read names the field that it reads, and may say how to show it. Without a trace neither is looked at; with one,
 * they become the dissection of the bytes.
 */
export class Reader {
  readonly bytes: Uint8Array
  offset: number
  end: number
  /** The code of the errors that the reader throws. */
  readonly code: WireCode
  readonly trace: Trace | undefined

  /** @param offset where the window starts, @param end where it ends: both from the start of `bytes` */
  constructor(
    bytes: Uint8Array,
    offset = 0,
    end = bytes.length,
    code: WireCode = 'ERR_CONVERT_MALFORMED',
    trace?: Trace,
  ) {
    this.bytes = bytes
    this.offset = offset
    this.end = end
    this.code = code
    this.trace = trace
  }

  /** How many bytes are left in the window. */
  get left(): number {
    return this.end - this.offset
  }

  u8(name: string, show?: ShowNumber): number {
    const at = this.offset
    if (this.trace === undefined && at < this.end) {
      this.offset = at + 1
      return this.bytes[at]!
    }
    const value = this.bytes[this.#pass(1, name)]!
    this.trace!.number(at, 1, value, name, show)
    return value
  }

  u16(name: string, show?: ShowNumber): number {
    const at = this.#pass(2, name)
    const value = (this.bytes[at]! << 8) | this.bytes[at + 1]!
    if (this.trace !== undefined) this.trace.number(at, 2, value, name, show)
    return value
  }

  u32(name: string, show?: ShowNumber): number {
    const at = this.#pass(4, name)
    const high = (this.bytes[at]! << 8) | this.bytes[at + 1]!
    const value = high * 0x10000 + ((this.bytes[at + 2]! << 8) | this.bytes[at + 3]!)
    if (this.trace !== undefined) this.trace.number(at, 4, value, name, show)
    return value
  }

  /** A copy of the next `length` bytes: what the caller read into may be reused. */
  take(length: number, name: string, show?: ShowBytes): Uint8Array {
    const at = this.skip(length, name, show)
    // `new` and not `slice`: a Buffer would give a Buffer, and its `slice` would not copy.
    return new Uint8Array(this.bytes.subarray(at, at + length))
  }

  /** A copy of all that is left in the window. */
  rest(name: string, show?: ShowBytes): Uint8Array {
    return this.take(this.left, name, show)
  }

  /** Passes over `length` bytes. @returns where they start */
  skip(length: number, name: string, show?: ShowBytes): number {
    const at = this.#pass(length, name)
    if (this.trace !== undefined) this.trace.octets(at, length, name, show)
    return at
  }

  /** A window on the next `length` bytes. This reader skips them. */
  window(length: number, name: string): Reader {
    const window = this.part(name)
    window.limit(length)
    this.offset = window.end
    return window
  }

  /**
   * A window from here to the end of this one, for something that contains its own length: `limit` sets its end, and the
   * caller continues after it.
   *
   * @param code of the errors that the window throws
   */
  part(name: string, code = this.code): Reader {
    const trace = this.trace === undefined ? undefined : this.trace.open(this.offset, this.left, name)
    return new Reader(this.bytes, this.offset, this.end, code, trace)
  }

  /** Ends the window `length` bytes from here. */
  limit(length: number): void {
    if (length > this.left) {
      // A length beyond the window is wrong. A length beyond all bytes means that they are cut short: a trace goes on to their end.
      if (this.trace === undefined || this.trace.bounded)
        throw new WireError(`${length} bytes needed, ${this.left} left`, this.offset, 'framing', this.code)
      const missing = this.offset + length - this.bytes.length
      const message = `cut short: ${missing} more bytes needed`
      this.trace.errors.push(new WireError(message, this.bytes.length, 'framing', this.code))
    }
    this.reach(length)
  }

  /** The same, also beyond the bytes: with a trace only, which ends the reading where they do. */
  reach(length: number): void {
    this.end = this.offset + length
    if (this.trace !== undefined) this.trace.bound(this.end)
  }

  /** Passes over `length` bytes. @returns where they start */
  #pass(length: number, name: string): number {
    const at = this.offset
    const end = at + length
    if (end > this.end || (this.trace !== undefined && end > this.bytes.length)) throw this.#tooShort(length, name)
    this.offset = end
    return at
  }

  #tooShort(length: number, name: string): WireError {
    const left = Math.max(0, Math.min(this.end, this.bytes.length) - this.offset)
    const message = `${length} bytes needed, ${left} left`
    if (this.trace !== undefined) this.trace.short(this.offset, left, name, message)
    return new WireError(message, this.offset, 'framing', this.code)
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
