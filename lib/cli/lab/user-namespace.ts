/** Runs the command again as root of a new user namespace. */
import { type StdioOptions, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AtsssError } from '../../errors.js'
import { IPPROTO_TCP, int, SO_REUSEADDR, SOL_SOCKET } from '../../runtime/kernel/constants.js'
import { native } from '../../runtime/kernel/native.js'
import { passSignals } from '../signals.js'

/** Set in the second run, so that it does not start a third. */
const MARK = 'ATSSS_LAB_UNSHARED'
/** Also set if the second run inherits a socket that listens in the network namespace of the first. */
const LISTENER = 'ATSSS_LAB_LISTENER'

/** Names the variables that were set to a folder of the lab's own. */
const FOLDERS = 'ATSSS_LAB_FOLDERS'

/** Whether the command has to run again in order to create namespaces. */
export function needsUserNamespace(): boolean {
  return process.geteuid?.() !== 0 && process.env[MARK] === undefined
}

/** The command by which other shells enter the namespaces of this process. */
export function entering(): string {
  if (process.env[MARK] === undefined) return process.geteuid?.() === 0 ? '' : 'sudo '
  return `nsenter --target ${process.pid} --user --net --mount --wd=. --preserve-credentials `
}

/** The folders that this run has in place of those of others, as a shell sets them. */
export function ownFolders(): string[] {
  const names = process.env[FOLDERS]?.split(' ') ?? []
  return names.map(name => `${name}=${process.env[name]}`)
}

/** The socket that the first run opened for this one: this namespace's 127.0.0.1 is not the browser's. */
export function inheritedListener(): { fd: number } | undefined {
  const fd = process.env[LISTENER]
  delete process.env[LISTENER] // the commands of the lab have no such descriptor
  return fd === undefined ? undefined : { fd: Number(fd) }
}

/**
 * Runs `atsss` with these arguments as root of a new user namespace, with its own network and mounts.
 *
 * @param port that the second run gets a listening socket for, on 127.0.0.1; 0: any port; undefined: no socket
 * @returns its exit status
 * @throws ERR_LAB_PRIVILEGE with a remedy, if the system does not allow such namespaces
 */
export async function runInUserNamespace(args: readonly string[], port?: number): Promise<number> {
  const unshare = ['--user', '--map-root-user', '--net', '--mount']
  const { status, stderr, error } = spawnSync('unshare', [...unshare, 'true'], { encoding: 'utf8' })
  if (status !== 0) {
    const why = error?.message ?? stderr.trim()
    throw new AtsssError(
      'ERR_LAB_PRIVILEGE',
      `the lab needs root (sudo), or user namespaces, which this system does not allow (${why}).\n` +
        'Where they are switched off: sysctl -w user.max_user_namespaces=15000; on Ubuntu 24.04 and later also\n' +
        'sysctl -w kernel.apparmor_restrict_unprivileged_userns=0; in a container: --privileged.',
    )
  }
  const again = [process.execPath, ...process.execArgv, process.argv[1]!, ...args]
  const listener = port === undefined ? undefined : listen(port)
  const folder = mkdtempSync(join(tmpdir(), 'atsss-lab-'))
  const env = {
    ...process.env,
    [MARK]: '1',
    ...(listener === undefined ? {} : { [LISTENER]: String(FOURTH) }),
    ...foldersIn(folder, process.env),
  }
  const stdio: StdioOptions = ['inherit', 'inherit', 'inherit', ...(listener === undefined ? [] : [listener])]
  const child = spawn('unshare', [...unshare, ...again], { stdio, env })
  if (listener !== undefined) native().close(listener)
  // This process waits until the other has cleaned up.
  passSignals(signal => child.kill(signal))
  try {
    const [code] = await once(child, 'close')
    return code ?? 1
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * Root of the new namespace is the user outside: a folder such as /tmp/atsss-0 or /tmp/tsx-0 belongs to the real root, and cannot be used.
 * Where the environment names no folder of this user's own, the second run gets one.
 */
function foldersIn(folder: string, env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const missing = ['XDG_RUNTIME_DIR', 'TMPDIR'].filter(name => !env[name])
  return {
    ...Object.fromEntries(missing.map(name => [name, folder])),
    ...(missing.length > 0 && { [FOLDERS]: missing.join(' ') }),
  }
}

/** The first descriptor after standard input, output and error. */
const FOURTH = 3

/** Throws EADDRINUSE, EACCES. */
function listen(port: number): number {
  const fd = native().socket(4, IPPROTO_TCP)
  native().setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, int(1))
  native().bind(fd, '127.0.0.1', port)
  native().listen(fd, 16)
  return fd
}
