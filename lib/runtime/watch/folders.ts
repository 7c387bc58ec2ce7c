/** Where watch sockets are: of a session that names no path, and of all that there may be on this machine. */
import { lstatSync, readdirSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { NUMBERED } from './left-overs.js'

/** Bytes of a Unix socket's name, at most: unix(7). libuv cuts off what is longer, and binds or connects to another name. */
const MOST_NAME_BYTES = 107

/** Why no Unix socket can have this name; undefined if one can. */
export function tooLong(path: string): string | undefined {
  const bytes = Buffer.byteLength(path)
  if (bytes <= MOST_NAME_BYTES) return undefined
  return `${path} has ${bytes} bytes, and the name of a Unix socket at most ${MOST_NAME_BYTES}`
}

/**
 * The folder of the sockets of this process, which only its user can use. In a systemd unit with `RuntimeDirectory=` it is in that
 * (systemd.exec(5): `$RUNTIME_DIRECTORY`), because a unit may have a /tmp that no other process sees.
 */
export function watchFolder(env: NodeJS.ProcessEnv = process.env): string {
  const unit = env.RUNTIME_DIRECTORY?.split(':')[0]
  const runtime = unit || env.XDG_RUNTIME_DIR
  if (runtime) return join(runtime, 'atsss')
  const user = process.getuid?.()
  return user === undefined ? join(homedir(), '.atsss') : join(tmpdir(), `atsss-${user}`)
}

/**
 * The sockets that sessions with `watch: true` make, of this user and, as far as they can be seen, of others; and those that units have
 * at `/run/UNIT/atsss.sock`. Each once. Sessions may also be at other paths.
 */
export function socketsOfMachine(env: NodeJS.ProcessEnv = process.env): string[] {
  const inRun = [RUN, ...(env.XDG_RUNTIME_DIR ? [env.XDG_RUNTIME_DIR] : [])].flatMap(folder =>
    namesIn(folder).map(name => join(folder, name)),
  )
  const folders = [
    watchFolder(env),
    ...inRun.map(folder => join(folder, 'atsss')),
    ...namesIn(join(RUN, 'user')).map(user => join(RUN, 'user', user, 'atsss')),
    ...namesIn(tmpdir()).flatMap(name => (OF_A_USER.test(name) ? [join(tmpdir(), name)] : [])),
  ]
  const numbered = folders.flatMap(folder =>
    namesIn(folder).flatMap(name => (NUMBERED.test(name) ? join(folder, name) : [])),
  )
  const known = new Set<string>()
  return [...numbered, ...inRun.map(folder => join(folder, 'atsss.sock'))].filter(path => {
    const id = socketId(path)
    if (id === undefined || known.has(id)) return false
    known.add(id)
    return true
  })
}

const RUN = '/run'
const OF_A_USER = /^atsss-\d+$/

/** Folders may have several names: /run/NAME of a unit with DynamicUser= is a link. */
function socketId(path: string): string | undefined {
  try {
    const found = lstatSync(path)
    return found.isSocket() ? `${found.dev} ${found.ino}` : undefined
  } catch {
    return undefined
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort()
  } catch {
    return [] // it does not exist, or belongs to another user
  }
}
