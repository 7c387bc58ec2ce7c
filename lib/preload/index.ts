/** `atsss/preload`: for the connections of libraries whose sockets cannot be chosen. `atsss/register` is this, from a file. */
export { type Config, parseConfig } from './config.js'
export { type PreloadOptions, type PreloadSource, preload } from './preload.js'
