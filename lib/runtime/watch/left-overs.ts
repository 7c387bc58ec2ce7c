/** Sockets that processes have left: those that a signal has ended could not remove theirs. */
import { linkSync, lstatSync, readdirSync, renameSync, type Stats, unlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'

/** The names in the folders of sockets: `PID.sock`, and `PID-2.sock` for a process's second session. */
export const NUMBERED = /^\d+(-\d+)?\.sock$/

/** Removes from a folder the numbered sockets on which no process listens. @returns their paths */
export async function removeLeftOvers(folder: string): Promise<string[]> {
  const removed = await Promise.all(
    readdirSync(folder).map(async name => {
      const path = join(folder, name)
      return NUMBERED.test(name) && (await removeLeftOver(path)) ? [path] : []
    }),
  )
  return removed.flat()
}

/** Removes the socket if no process listens on it. @returns whether it did */
export async function removeLeftOver(path: string): Promise<boolean> {
  const found = statOf(path)
  if (!found?.isSocket() || !(await isLeftOver(path))) return false
  return takeAway(path, found, `${path}-old-${process.pid}`)
}

/** Whether it is the socket of a process that has ended: no process listens there. */
export function isLeftOver(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(false)
    })
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'ECONNREFUSED'))
  })
}

/**
 * Removes the file that was found at the path, but not one that another process has put there since.
 *
 * @returns whether it was removed
 */
export function takeAway(path: string, found: Stats, aside: string): boolean {
  try {
    renameSync(path, aside)
  } catch {
    return false // another process was faster, or this one may not
  }
  const isFound = isSameFile(statOf(aside), found)
  try {
    if (!isFound) linkSync(aside, path)
  } catch {
    // A third process has taken the path.
  }
  remove(aside)
  return isFound
}

export function statOf(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false })
}

export function isSameFile(a: Stats | undefined, b: Stats | undefined): boolean {
  return a !== undefined && b !== undefined && a.ino === b.ino && a.dev === b.dev
}

export function remove(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // It does not exist any more.
  }
}
