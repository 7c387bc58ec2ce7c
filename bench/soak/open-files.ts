/** How many descriptors a process has open, and how many of them are sockets. */
import { readdirSync, readlinkSync } from 'node:fs'

export interface OpenFiles {
  files: number
  sockets: number
}

export function openFiles(process: number | 'self'): OpenFiles {
  const folder = `/proc/${process}/fd`
  const open = readdirSync(folder).flatMap(fd => {
    try {
      return readlinkSync(`${folder}/${fd}`)
    } catch {
      return [] // the one that readdir had open
    }
  })
  return { files: open.length, sockets: open.filter(what => what.startsWith('socket:')).length }
}
