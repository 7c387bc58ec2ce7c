/** The processor time of single threads of this process. */
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/** The threads that there are now. */
export function threads(): string[] {
  return readdirSync('/proc/self/task')
}

/** What these have used until now, in milliseconds: the first number in schedstat, in nanoseconds. */
export function cpuMs(ids: readonly string[]): number {
  return ids.reduce((sum, id) => {
    const [running] = readFileSync(`/proc/self/task/${id}/schedstat`, 'latin1').split(' ')
    return sum + Number(running) / 1e6
  }, 0)
}

/** During these seconds, in percent of one core. */
export async function cpuPercent(ids: readonly string[], seconds: number): Promise<number> {
  const [before, began] = [cpuMs(ids), performance.now()]
  await delay(seconds * 1000)
  return ((cpuMs(ids) - before) / (performance.now() - began)) * 100
}
