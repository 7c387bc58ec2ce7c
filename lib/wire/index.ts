/** `atsss/wire`: the Convert codec and that of ATSSS containers, for tools and converters. */
export { type WireCode, WireError, type WireReason } from '../errors.js'
export * from './atsss.js'
export * from './convert.js'
export * from './convert-error.js'
export * from './nas.js'
export * from './pcp.js'
