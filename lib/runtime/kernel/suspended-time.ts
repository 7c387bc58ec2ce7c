/** How long the machine has been suspended: the monotonic clock, and with it every timer, stands still meanwhile. */
import { uptime } from 'node:os'

/** Milliseconds since the start of the machine, to a few of them, and to a constant in a container: compare two values. */
export function suspendedMs(): number {
  // CLOCK_BOOTTIME, which goes on in a suspended machine, less CLOCK_MONOTONIC.
  return uptime() * 1_000 - Number(process.hrtime.bigint()) / 1e6
}
