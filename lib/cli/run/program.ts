/** Whether a command is certainly no Node program, so that nothing of it uses MPTCP. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { basename, delimiter, join } from 'node:path'

/**
 * True for a machine's program that has no Node inside and is not one of those whose purpose is to start others. Scripts, and what cannot
 * be found or read, may be anything.
 */
export function isNoNode(command: string, env: NodeJS.ProcessEnv = process.env): boolean {
  const file = fileOf(command, env)
  if (
    file === undefined ||
    /^node/.test(basename(file)) ||
    STARTERS.has(basename(file)) ||
    STARTERS.has(basename(command))
  )
    return false
  try {
    const fd = openSync(file, 'r')
    try {
      const start = Buffer.alloc(4)
      readSync(fd, start, 0, 4, 0)
      return start.equals(ELF) && fstatSync(fd).size < LEAST_NODE_BYTES
    } finally {
      closeSync(fd)
    }
  } catch {
    return false
  }
}

const ELF = Buffer.from('\x7fELF', 'latin1')
/** Programs with a Node inside (node, Electron, single executables) are larger. Node with shared libraries is named node. */
const LEAST_NODE_BYTES = 20_000_000
const STARTERS = new Set(
  `sh bash dash zsh ksh fish ash busybox env sudo doas su nice ionice timeout time nohup setsid setpriv capsh chroot unshare
  nsenter ip strace ltrace gdb perf xargs find make ninja parallel watch script systemd-run start-stop-daemon tini dumb-init flock
  stdbuf runuser python3 python perl ruby`.split(/\s+/),
)

function fileOf(command: string, env: NodeJS.ProcessEnv): string | undefined {
  if (command.includes('/')) return command
  for (const folder of (env.PATH ?? '').split(delimiter)) {
    const file = join(folder || '.', command)
    try {
      closeSync(openSync(file, 'r'))
      return file
    } catch {
      // not there, or not to be read
    }
  }
  return undefined
}
