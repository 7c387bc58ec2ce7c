/** net.BlockList, whose addresses are not connected to. */
import type { BlockList } from 'node:net'
import type { Endpoint } from '../../policy/connect/candidates.js'

/** Why a destination is not connected to, as Node says it; undefined: it may be. */
export type Refusal = (destination: Endpoint) => Error | undefined

/** @param list what is none is for Node to complain of */
export function refusalBy(list: BlockList | undefined): Refusal {
  return ({ address, family }) => {
    if (!list?.check?.(address, family === 6 ? 'ipv6' : 'ipv4')) return undefined
    return Object.assign(new Error(`IP(${address}) is blocked by net.BlockList`), { code: 'ERR_IP_BLOCKED' })
  }
}
