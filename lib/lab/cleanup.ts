/**
 * What a lab leaves in the system, and how it goes: when the lab is closed, when the process ends in whatever way it
 * can notice, and by the next lab when it could not. All synchronous, since an exiting process cannot wait.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'

export const NETNS_DIRECTORY = '/run/netns'

let labs = 0

/** What the names of a new lab's namespaces begin with: `atsss-PID-N`. Other threads, and a past life of the PID, count too. */
export function newLabName(): string {
  for (;;) {
    const name = `atsss-${process.pid}-${++labs}`
    if (!namespaces().some(other => other.startsWith(`${name}-`))) return name
  }
}

/** Removes the labs of processes that have died without doing it. */
export function removeStaleLabs(): void {
  const stale = namespaces().filter(name => {
    const owner = /^atsss-(\d+)-\d+-/.exec(name)?.[1]
    return owner !== undefined && !existsSync(`/proc/${owner}`)
  })
  if (stale.length > 0) removeNamespaces(stale)
}

/** Ends the programs in them, then deletes them. */
export function removeNamespaces(names: readonly string[]): void {
  for (const pid of processesIn(names)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {} // it has ended by itself
  }
  spawnSync('ip', ['-force', '-batch', '-'], { input: names.map(name => `netns del ${name}\n`).join('') })
}

const openLabs = new Set<() => void>()
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Runs `remove` when this process ends, until the function returned is called. */
export function removeAtExit(remove: () => void): () => void {
  if (openLabs.size === 0) {
    process.on('exit', removeAll)
    for (const signal of signals) process.on(signal, onSignal)
  }
  openLabs.add(remove)
  return () => {
    openLabs.delete(remove)
    if (openLabs.size > 0) return
    process.off('exit', removeAll)
    for (const signal of signals) process.off(signal, onSignal)
  }
}

function removeAll(): void {
  for (const remove of openLabs) remove()
}

/** A program that listens to the signal itself decides what happens; its exit is ours. Else the signal ends it. */
function onSignal(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return
  removeAll()
  process.off(signal, onSignal)
  process.kill(process.pid, signal)
}

function namespaces(): string[] {
  return existsSync(NETNS_DIRECTORY) ? readdirSync(NETNS_DIRECTORY) : []
}

function processesIn(names: readonly string[]): number[] {
  const meant = new Set(names.map(name => identity(`${NETNS_DIRECTORY}/${name}`)))
  meant.delete(undefined)
  const pids = readdirSync('/proc').filter(name => /^\d+$/.test(name))
  return pids.filter(pid => meant.has(identity(`/proc/${pid}/ns/net`))).map(Number)
}

/** Two files of the same identity are the same namespace. */
function identity(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path)
    return `${dev}:${ino}`
  } catch {
    return undefined
  }
}
