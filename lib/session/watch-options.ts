/** The session option `watch`: its type and its checks. */
import { invalid, OptionNames, text } from '../input/check.js'

/** Where a session can be watched, and whether watchers may replace its rules. */
export interface WatchOptions {
  /**
   * Path of the Unix socket. The socket gets mode 0600; one that a killed process has left is replaced.
   *
   * @defaultValue `PID.sock` in `$RUNTIME_DIRECTORY/atsss` (a systemd unit's), else in `$XDG_RUNTIME_DIR/atsss`, else in `/tmp/atsss-UID`
   */
  path?: string
  /**
   * Whether processes of the same user may replace the rules.
   *
   * @defaultValue false
   */
  control?: boolean
}

/** @throws ERR_ATSSS_OPTION */
export function resolveWatch(given: boolean | string | WatchOptions | undefined): WatchOptions | undefined {
  if (given === undefined || given === false) return undefined
  if (given === true) return {}
  if (typeof given === 'string') return { path: text('watch', given) }
  if (typeof given !== 'object' || given === null) throw invalid('watch', 'true, a path or an object', given)
  OPTIONS.refuseUnknown(given, 'watch.')
  if (given.path !== undefined) text('watch.path', given.path)
  if (given.control !== undefined && typeof given.control !== 'boolean')
    throw invalid('watch.control', 'true or false', given.control)
  return given
}

const OPTIONS = new OptionNames(['path', 'control'])
