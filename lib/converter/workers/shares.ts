/** What the processes of one converter hold together of each client, so that limits are those of the converter. Pure. */
import type { Share } from '../relay/clients.js'

/** What each process has to learn. */
export type News<Process> = Map<Process, Share[]>

export class Shares<Process> {
  readonly #processes = new Set<Process>()
  /** By client, then by process. Nothing is kept of a client that holds nothing. */
  readonly #held = new Map<string, Map<Process, Share>>()

  /** @returns what the other processes hold */
  join(process: Process): Share[] {
    this.#processes.add(process)
    return [...this.#held.keys()].map(client => this.#elsewhere(client, process))
  }

  /** Takes what a process holds now of some clients. @returns what that is news for */
  report(process: Process, shares: readonly Share[]): News<Process> {
    for (const share of shares) {
      const [client, connections] = share
      const held = this.#held.get(client) ?? new Map<Process, Share>()
      if (connections > 0) this.#held.set(client, held.set(process, share))
      else if (held.delete(process) && held.size === 0) this.#held.delete(client)
    }
    const clients = shares.map(([client]) => client)
    const others = [...this.#processes].filter(each => each !== process)
    return new Map(others.map(other => [other, clients.map(client => this.#elsewhere(client, other))]))
  }

  /** A process has ended, with all its connections. */
  leave(process: Process): News<Process> {
    this.#processes.delete(process)
    const lost = [...this.#held].filter(([, held]) => held.has(process))
    return this.report(
      process,
      lost.map(([client]) => [client, 0, 0]),
    )
  }

  #elsewhere(client: string, process: Process): Share {
    let [connections, pending] = [0, 0]
    for (const [holder, [, open, waiting]] of this.#held.get(client) ?? [])
      if (holder !== process) [connections, pending] = [connections + open, pending + waiting]
    return [client, connections, pending]
  }
}
