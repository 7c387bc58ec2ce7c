/** What the ATSSS codec throws, and a writer whose buffer grows as needed. */
import { types } from 'node:util'
import { WireError } from '../../errors.js'

export function malformedContainer(message: string, at: number): WireError {
  return new WireError(message, at, 'framing', 'ERR_ATSSS_MALFORMED')
}

/** @param at where in the container the value would have gone */
export function refusal(message: string, at: number): WireError {
  return new WireError(message, at, 'value', 'ERR_ATSSS_ENCODE')
}

export class OctetWriter {
  #bytes = new Uint8Array(256)
  #length = 0

  get offset(): number {
    return this.#length
  }

  u8(value: number, what: string): void {
    this.#check(value, 0xff, what)
    this.#grow(1)[this.#length++] = value
  }

  u16(value: number, what: string): void {
    this.#check(value, 0xffff, what)
    const bytes = this.#grow(2)
    bytes[this.#length++] = value >>> 8
    bytes[this.#length++] = value
  }

  put(value: Uint8Array, what: string): void {
    if (!types.isUint8Array(value)) throw refusal(`${what} is not a Uint8Array`, this.#length)
    this.#grow(value.length).set(value, this.#length)
    this.#length += value.length
  }

  /** What `write` writes, behind its length in `width` octets. `itself` is what the length counts beyond that. */
  counted(width: 1 | 2, what: string, write: () => void, itself = 0): void {
    const at = this.#length
    this.#grow(width)
    this.#length += width
    write()
    const length = this.#length - at - width + itself
    if (length >= 256 ** width) throw refusal(`${what} of ${length} octets, which its length cannot say`, at)
    if (width === 2) this.#bytes[at] = length >>> 8
    this.#bytes[at + width - 1] = length
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length)
  }

  #check(value: number, most: number, what: string): void {
    if (!Number.isInteger(value) || value < 0 || value > most)
      throw refusal(`${what} ${value}, not an integer from 0 to ${most}`, this.#length)
  }

  #grow(more: number): Uint8Array {
    if (this.#length + more > this.#bytes.length) {
      const larger = new Uint8Array(2 * (this.#length + more))
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    return this.#bytes
  }
}
