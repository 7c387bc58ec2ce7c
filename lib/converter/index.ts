/** `atsss/converter`: a reference Transport Converter in user space. RFC 8803. */
export {
  Converter,
  type ConverterEvents,
  type ConverterStats,
  createConverter,
  type ListenerInfo,
} from './converter.js'
export type { Degraded } from './listener.js'
export type { ConverterOptions, CookieOptions, ListenAddress } from './options.js'
export type { Target } from './request.js'
export type { ConnectionInfo, Ignored } from './transport-session.js'
