/** What the kernel says of other processes: processor time and memory. */
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/** USER_HZ, which is in no file; it has been 100 on every architecture but Alpha. */
const TICK_MS = 10
const PAGE = 4096

/** Milliseconds of processor time that these have used until now. */
export function cpuMs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + ticks(pid, UTIME) + ticks(pid, STIME), 0) * TICK_MS
}

/** The same of the children of a process that have ended. */
export function endedChildrenMs(pid: number): number {
  return (ticks(pid, UTIME + 2) + ticks(pid, STIME + 2)) * TICK_MS
}

/** proc_pid_stat(5): fields 14 and 15, counted from behind the name, which may have spaces; those of children follow. */
const [UTIME, STIME] = [11, 12]

function ticks(pid: number, field: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[field])
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

/** Bytes that the kernel holds for all TCP connections of the machine. */
export function tcpMemory(): number {
  const [, pages] = /^TCP:.* mem (\d+)/m.exec(readFileSync('/proc/net/sockstat', 'latin1')) ?? []
  return Number(pages) * PAGE
}

/** The limits of that, in MB: beyond the second the kernel saves, beyond the last it drops. */
export const TCP_MEMORY = readFileSync('/proc/sys/net/ipv4/tcp_mem', 'latin1')
  .trim()
  .split('\t')
  .map(pages => Math.round((Number(pages) * PAGE) / 1e6))
  .join(', ')
