/** `atsss/preload`: the connections of libraries that let nobody choose their sockets. `atsss/register` is this from a file. */
export { type Config, parseConfig } from './config.js'
export { type PreloadOptions, preload, type Via } from './preload.js'
