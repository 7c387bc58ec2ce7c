/** What the kernel says of other processes: processor time and memory. */
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/** USER_HZ, which is in no file; it has been 100 on every architecture but Alpha. */
const TICK_MS = 10

/** Milliseconds of processor time that these have used until now. */
export function cpuMs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // utime and stime: proc_pid_stat(5), fields 14 and 15; the name before them may have spaces.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return sum + (Number(fields[11]) + Number(fields[12])) * TICK_MS
  }, 0)
}

/** Percent of one core, during these seconds. */
export async function cpuPercent(pids: readonly number[], seconds: number): Promise<number> {
  const [before, began] = [cpuMs(pids), performance.now()]
  await delay(seconds * 1000)
  return ((cpuMs(pids) - before) / (performance.now() - began)) * 100
}

/** Resident bytes of these together. */
export function resident(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const [, kilobytes] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? []
    return sum + Number(kilobytes ?? 0) * 1024
  }, 0)
}
