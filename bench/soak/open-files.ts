/** How many sockets a process has open. */
import { readdirSync, readlinkSync } from 'node:fs'

export function openSockets(process: number | 'self'): number {
  return readdirSync(`/proc/${process}/fd`).filter(fd => {
    try {
      return readlinkSync(`/proc/${process}/fd/${fd}`).startsWith('socket:')
    } catch {
      return false // the one that readdir had open
    }
  }).length
}
