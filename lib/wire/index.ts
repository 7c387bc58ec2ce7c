/** `atsss/wire`: the Convert codec, for tools and converters. */
export { WireError, type WireReason } from '../errors.js'
export * from './convert.js'
export * from './convert-error.js'
