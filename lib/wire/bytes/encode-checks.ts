/** The checks that encoders make of their values. Errors are `WireError`s with the code of the format. */
import { types } from 'node:util'
import { type WireCode, WireError, type WireReason } from '../../errors.js'

export class EncodeChecks {
  readonly #code: WireCode

  constructor(code: WireCode) {
    this.#code = code
  }

  // All are properties, so that a format can take those that it needs by name.

  /** @param at where in the message the value would have been written */
  readonly refusal = (message: string, at = 0, reason: WireReason = 'value'): WireError =>
    new WireError(message, at, reason, this.#code)

  readonly integer = (value: number, least: number, most: number, what: string, at?: number): void => {
    if (!Number.isInteger(value) || value < least || value > most)
      throw this.refusal(`${what} ${value}, not an integer from ${least} to ${most}`, at)
  }

  /** Also correct for a Uint8Array of another realm. */
  readonly bytes = (value: Uint8Array, what: string, at?: number): void => {
    if (!types.isUint8Array(value)) throw this.refusal(`${what} is not a Uint8Array`, at)
  }

  readonly array = (value: readonly unknown[], what: string, at?: number): void => {
    if (!Array.isArray(value)) throw this.refusal(`${what} is not an array`, at)
  }
}
