/** The rows of the table kernel × capability: what is tried, and what is expected. */

/** The result of a row, as it is printed. `good`: it is as documented. */
export interface Found {
  row: RowName
  shown: string
  good: boolean
}

export const ROWS = {
  support: 'MPTCP sockets',
  zeroRtt: '0-RTT (Convert message in the SYN)',
  doctor: 'doctor says the same of 0-RTT',
  oneRtt: '1-RTT over MPTCP',
  ipv6: 'over IPv6',
  level: "the session's level",
  interface: 'a further subflow leaves by its own interface',
  backup: 'a standby is made as backup (MP_JOIN, B)',
  prio: 'a flag is changed (MP_PRIO)',
  standbyDown: 'Active-Standby, bulk down: over the standby',
  standbyUp: 'Active-Standby, bulk up: over the standby',
  aggregateDown: 'both accesses, bulk down',
  aggregateUp: 'both accesses, bulk up',
  balanceUp: 'load balancing 30 %, up',
  carrierSparseDown: 'carrier lost, sparse down: longest gap',
  carrierSparseUp: 'carrier lost, sparse up: longest gap',
  carrierBulkDown: 'carrier lost, bulk down: longest gap',
  carrierBulkUp: 'carrier lost, bulk up: longest gap',
  holeSparseDown: 'black hole, sparse down: longest gap',
  holeSparseUp: 'black hole, sparse up: longest gap',
  holeBulkDown: 'black hole, bulk down: longest gap',
  holeBulkUp: 'black hole, bulk up: longest gap',
  incoming: 'incoming connection',
  incomingJoin: 'incoming connection: second subflow',
  incomingJoin6: 'incoming connection over IPv6: second subflow',
  kernelLevel: 'path manager of the kernel: carrier lost, sparse up',
  reports: 'unexpected reports',
} as const

export type RowName = keyof typeof ROWS

/** What a brief trial leaves out: a guest takes the processor five seconds for each megabyte. */
const BULK: readonly RowName[] = [
  ...(['aggregateDown', 'aggregateUp'] as const),
  ...(['carrierBulkDown', 'carrierBulkUp', 'holeBulkDown', 'holeBulkUp'] as const),
]

/** The rows of a trial, in the table's order. */
export function rowsOf(trial: { brief: boolean }): RowName[] {
  return (Object.keys(ROWS) as RowName[]).filter(row => !(trial.brief && BULK.includes(row)))
}
