/** `atsss/wire`: the codecs of Convert, ATSSS containers, NAS and PCP, for tools and converters. */
export { type WireCode, WireError, type WireReason } from '../errors.js'
export * from './atsss/container.js'
export * from './atsss/nas.js'
export * from './convert/error.js'
export * from './convert/index.js'
export * from './pcp/index.js'
