/** Sums of what several processes have counted. Pure. */
import type { OutgoingStats } from '../outgoing/outgoing.js'

export function sumOf(list: readonly OutgoingStats[]): OutgoingStats {
  const sum = (of: (stats: OutgoingStats) => number) => list.reduce((total, stats) => total + of(stats), 0)
  return {
    connections: sum(({ connections }) => connections),
    pending: sum(({ pending }) => pending),
    accepted: sum(({ accepted }) => accepted),
    abandoned: sum(({ abandoned }) => abandoned),
    zeroRtt: sum(({ zeroRtt }) => zeroRtt),
    mptcp: sum(({ mptcp }) => mptcp),
    established: sum(({ established }) => established),
    refused: sumByName(list.map(({ refused }) => refused)),
    clientErrors: sumByName(list.map(({ clientErrors }) => clientErrors)),
    bytes: {
      fromClients: sum(({ bytes }) => bytes.fromClients),
      fromServers: sum(({ bytes }) => bytes.fromServers),
    },
  }
}

function sumByName<Name extends string>(list: readonly Partial<Record<Name, number>>[]): Partial<Record<Name, number>> {
  const sums: Partial<Record<Name, number>> = {}
  for (const counts of list)
    for (const [name, count] of Object.entries<number | undefined>(counts))
      sums[name as Name] = (sums[name as Name] ?? 0) + (count ?? 0)
  return sums
}
