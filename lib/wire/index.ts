/** `atsss/wire`: the Convert codec, for tools and converters. RFC 8803. */
export * from './convert.js'
export * from './convert-error.js'
