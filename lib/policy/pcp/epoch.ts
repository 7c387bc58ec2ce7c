/** Whether a PCP server may have lost its state since its last response. RFC 6887 §8.5. */

/** When a response arrived, on the client's own clock, and its Epoch Time: whole seconds. */
export interface EpochSeen {
  client: number
  server: number
}

/** @param before the previous response of the same server; `undefined` for the first */
export function isEpochValid(before: EpochSeen | undefined, now: EpochSeen): boolean {
  // "If this is the first PCP response the client has received from this PCP server, the Epoch Time value is treated as
  // necessarily valid".
  if (!before) return true
  // "less than the previously received PCP server Epoch time by more than one second": "time should not go backwards".
  if (now.server < before.server - 1) return false
  const clientDelta = now.client - before.client
  // "constructed to allow client_delta and server_delta to be computed as unsigned": a second back counts as none.
  const serverDelta = Math.max(now.server - before.server, 0)
  return !(clientDelta + 2 < lessSixteenth(serverDelta) || serverDelta + 2 < lessSixteenth(clientDelta))
}

/** In integer arithmetic. */
function lessSixteenth(delta: number): number {
  return delta - Math.floor(delta / 16)
}

/** Milliseconds. §14.1.3: "it MUST wait a random amount of time between 0 and 5 seconds". @param random 0…1 */
export function recreationDelay(random: number): number {
  return random * 5_000
}
