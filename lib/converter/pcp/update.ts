/** Notifies PCP clients that their mappings have changed. RFC 6887 §14.2, Mapping Update. */
import type { Socket } from 'node:dgram'
import { encodePcpResponse, type PcpOption, RESULTS } from '../../wire/pcp/index.js'
import { type Mapping, type Path, remaining } from './mapping.js'
import { ERROR_LIFETIME } from './mappings.js'

export interface MappingUpdate {
  mapping: Mapping
  /** The client to notify, and the address to send from. */
  path: Path
  /** It was not moved, since the client accepts no other (PREFER_FAILURE): it has ended. */
  isRefused: boolean
}

/**
 * Milliseconds. "SHOULD transmit such packets three times […]. The interval between the first two notifications MUST be at least
 * 250 ms, and the third packet after a 500-ms interval."
 */
const INTERVALS = [0, 250, 500]

/** @param isNews "Once the PCP server has received a refreshed state for that mapping, [it] SHOULD cease". @returns ends it */
export function sendUpdates(
  sockets: readonly Socket[],
  updates: readonly MappingUpdate[],
  isNews: (update: MappingUpdate) => boolean,
  clock: { epoch(): number; now(): number },
): () => void {
  let round = 0
  let timer: NodeJS.Timeout
  const tell = () => {
    for (const update of updates.filter(isNews)) {
      const { client, server } = update.path
      // "from the unicast IP address and UDP port number on which PCP requests are received", to where answers were sent.
      const socket = sockets.find(each => each.address().address === server)
      socket?.send(encodeUpdate(update, clock.epoch(), clock.now()), client.port, client.address, () => {})
    }
    schedule()
  }
  const schedule = () => {
    const interval = INTERVALS[round++]
    if (interval !== undefined && updates.length > 0) timer = setTimeout(tell, interval).unref()
  }
  schedule()
  return () => clearTimeout(timer)
}

/** "identical to the MAP or PEER responses normally returned", as of now. */
function encodeUpdate({ mapping, path, isRefused }: MappingUpdate, epoch: number, now: number): Uint8Array {
  const { external, protocol, internalPort, nonce, filters } = mapping
  // "the THIRD_PARTY option MUST also appear", "the FILTER option is sent". An error has all options of the request (§7.3).
  const options: PcpOption[] = [
    ...(path.address === path.client.address ? [] : [{ type: 'third-party' as const, internalAddress: path.address }]),
    ...(isRefused && path.required ? [{ type: 'prefer-failure' as const }] : []),
    ...filters,
  ]
  return encodePcpResponse({
    result: RESULTS[isRefused ? 'cannot-provide-external' : 'success'],
    lifetime: isRefused ? ERROR_LIFETIME.short : remaining(path, now),
    epoch,
    operation: {
      ...{ type: 'map', nonce, protocol, internalPort },
      ...{ externalAddress: external.address, externalPort: external.port },
    },
    options,
  })
}
