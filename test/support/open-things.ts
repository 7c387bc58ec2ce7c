/** What a process holds open, for tests that must leave nothing behind. */
import { readdirSync, readlinkSync } from 'node:fs'
import { afterEach, beforeEach, expect } from 'vitest'
import { native } from '../../lib/runtime/kernel/native.js'

interface Open {
  sockets: number
  descriptors: number
  waits: number
}

/** Sockets of the process, and what of them the addon owns and waits for. */
export function open(): Open {
  return { sockets: sockets(), ...native().counts() }
}

/** Every test of the file leaves as many open as it found, within five seconds. */
export function leavesNothingOpen(): void {
  let before: Open
  beforeEach(() => {
    before = open()
  })
  afterEach(async () => {
    await settles(before)
  })
}

/** Waits until no more is open than `before`; fails when that takes longer than five seconds. */
export async function settles(before: Open): Promise<void> {
  const end = Date.now() + 5_000
  while (Date.now() < end) {
    const now = open()
    if (now.sockets <= before.sockets && now.descriptors <= before.descriptors && now.waits <= before.waits) return
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  expect(open()).toEqual(before)
}

function sockets(): number {
  let count = 0
  for (const fd of readdirSync('/proc/self/fd'))
    try {
      if (readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:')) count++
    } catch {
      // The one that readdir itself had open.
    }
  return count
}
