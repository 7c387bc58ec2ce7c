/** `atsss/preload`: for libraries that open their own sockets. `atsss/register` does the same, configured by a file. */
export { type Config, parseConfig } from './config.js'
export { type PreloadOptions, type PreloadSource, preload } from './preload.js'
