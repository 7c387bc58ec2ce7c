/** What an encoder asks of its values: `WireError`s with the code `ERR_CONVERT_ENCODE`. */
import { types } from 'node:util'
import { WireError, type WireReason } from '../../errors.js'

/** @param at where in the message the value would have gone */
export function refusal(message: string, at: number, reason: WireReason = 'value'): WireError {
  return new WireError(message, at, reason, 'ERR_CONVERT_ENCODE')
}

export function checkInteger(value: number, least: number, most: number, what: string, at: number): void {
  if (!Number.isInteger(value) || value < least || value > most)
    throw refusal(`${what} ${value}, not an integer from ${least} to ${most}`, at)
}

/** Also right for a Uint8Array of another realm. */
export function checkBytes(value: Uint8Array, what: string, at: number): void {
  if (!types.isUint8Array(value)) throw refusal(`${what} is not a Uint8Array`, at)
}

export function checkArray(value: readonly unknown[], what: string, at: number): void {
  if (!Array.isArray(value)) throw refusal(`${what} is not an array`, at)
}
