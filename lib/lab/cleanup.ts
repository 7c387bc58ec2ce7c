/**
 * What a lab leaves in the system, and how that is removed: when the lab is closed; when its process ends in any way that
 * it can notice; and otherwise by the next lab. All synchronous, since an exiting process cannot wait.
 */
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readlinkSync, statSync } from 'node:fs'

export const NETNS_DIRECTORY = '/run/netns'

/**
 * What the names of a new lab's namespaces begin with: `atsss-PIDNS-PID-RANDOM`. The first is the process's PID namespace:
 * containers can share /run/netns, and a PID means nothing in another PID namespace.
 */
export function newLabName(): string {
  return `atsss-${pidNamespaceOf('self') ?? 0}-${process.pid}-${randomBytes(4).toString('hex')}`
}

/** Removes the labs of processes that have ended without doing it. A lab whose owner cannot be judged from here is left. */
export function removeStaleLabs(): void {
  const stale = namespaces().filter(name => {
    const [, pidNamespace, pid] = /^atsss-(\d+)-(\d+)-[0-9a-f]{8}-/.exec(name) ?? []
    return pid !== undefined && hasEnded(Number(pidNamespace), Number(pid))
  })
  if (stale.length > 0) removeNamespaces(stale)
}

function hasEnded(pidNamespace: number, pid: number): boolean {
  const own = pidNamespaceOf('self')
  if (pidNamespace === own) return !existsSync(`/proc/${pid}`)
  // The first PID namespace sees the processes of all others.
  return own === FIRST_PID_NAMESPACE && !processes().some(each => pidNamespaceOf(each) === pidNamespace)
}

/** The inode that identifies the PID namespace of a process; `undefined` if there is no such process. */
function pidNamespaceOf(pid: string): number | undefined {
  try {
    return Number(/^pid:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/ns/pid`))?.[1])
  } catch {
    return undefined
  }
}

/** include/linux/proc_ns.h, PROC_PID_INIT_INO */
const FIRST_PID_NAMESPACE = 0xeffffffc

/** Ends the programs in them, then deletes them. */
export function removeNamespaces(names: readonly string[]): void {
  for (const pid of processesIn(names)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {} // it has ended already
  }
  spawnSync('ip', ['-force', '-batch', '-'], { input: names.map(name => `netns del ${name}\n`).join('') })
}

/** Runs `remove` when this process ends, until the returned function is called. */
export function removeAtExit(remove: () => void): () => void {
  const onSignal = (signal: NodeJS.Signals): void => {
    // A program that handles the signal itself decides what happens; if it exits, that removes the lab.
    if (process.listeners(signal).some(listener => !(OURS in listener))) return
    remove()
    forget()
    // The last lab of this process, perhaps of another copy of this package: the signal ends the process, as without us.
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal)
  }
  Object.assign(onSignal, { [OURS]: true })
  const forget = (): void => {
    process.off('exit', remove)
    for (const signal of SIGNALS) process.off(signal, onSignal)
  }
  process.on('exit', remove)
  for (const signal of SIGNALS) process.on(signal, onSignal)
  return forget
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
/** Marks our signal listeners, also for another copy of this package in the process. */
const OURS = Symbol.for('atsss: removes a lab')

function namespaces(): string[] {
  return existsSync(NETNS_DIRECTORY) ? readdirSync(NETNS_DIRECTORY) : []
}

function processesIn(names: readonly string[]): number[] {
  const meant = new Set(names.map(name => identity(`${NETNS_DIRECTORY}/${name}`)))
  meant.delete(undefined)
  return processes()
    .filter(pid => meant.has(identity(`/proc/${pid}/ns/net`)))
    .map(Number)
}

function processes(): string[] {
  return readdirSync('/proc').filter(name => /^\d+$/.test(name))
}

/** Two files with the same identity are the same namespace. */
function identity(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path)
    return `${dev}:${ino}`
  } catch {
    return undefined
  }
}
