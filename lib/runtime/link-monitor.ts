/**
 * The links, addresses and default routes of this network namespace, as one value that is read anew whenever the kernel
 * says that something has changed. Needs no privilege.
 */
import { EventEmitter } from 'eventemitter3'
import type { DefaultRoute, LinkAddress, Operstate } from '../wire/rtnetlink.js'

export type { DefaultRoute, LinkAddress, Operstate } from '../wire/rtnetlink.js'

export interface Link {
  index: number
  name: string
  /** Administratively up: IFF_UP. */
  up: boolean
  /** The medium is there: IFLA_CARRIER. */
  carrier: boolean
  /** RFC 2863; `unknown` for devices that do not say, which counts as up. */
  operstate: Operstate
  /** All bits, as in net/if.h. */
  flags: number
  mtu: number
  /** In the kernel's order. Not yet usable ones (`tentative`) and the ones on their way out (`deprecated`) included. */
  addresses: readonly LinkAddress[]
}

export interface NetworkState {
  /** By interface index. */
  links: ReadonlyMap<number, Link>
  /** Of all tables; the lowest metric first. */
  defaultRoutes: readonly DefaultRoute[]
}

/** Why a state is not like the one before. One link or address may have several. */
export type ChangeReason =
  | {
      type:
        | 'link-added'
        | 'link-removed'
        | 'link-renamed'
        | 'link-up'
        | 'link-down'
        | 'carrier-gained'
        | 'carrier-lost'
        | 'link-changed'
      interface: string
      index: number
    }
  | {
      type: 'address-added' | 'address-removed' | 'address-usable' | 'address-changed'
      interface: string
      index: number
      address: string
    }
  /** `interface` is undefined when it has vanished with the route. */
  | { type: 'route-added' | 'route-removed'; interface: string | undefined; index: number; family: 4 | 6 }

export interface LinkMonitorEvents {
  change: [before: NetworkState, now: NetworkState, reasons: ChangeReason[]]
  /** Reading failed, or the doorbell does: the state is as old as it is, until the next successful `refresh`. */
  error: [error: Error]
}

export abstract class LinkMonitor extends EventEmitter<LinkMonitorEvents> {
  /** The last state read. Values, never changed: a change makes new ones. */
  abstract readonly state: NetworkState
  /** Reads now; resolves with what is there, after `change` if there was one. */
  abstract refresh(): Promise<NetworkState>
  abstract close(): void
}

/** Resolves when the first state has been read. An open monitor does not keep the event loop alive. */
export async function openLinkMonitor(): Promise<LinkMonitor> {
  throw new Error('not written yet')
}

/** Whether packets can leave by this link: up, with carrier, and not held down by what is below it. */
export function isUsable(link: Pick<Link, 'up' | 'carrier' | 'operstate'>): boolean {
  return link.up && link.carrier && (link.operstate === 'up' || link.operstate === 'unknown')
}

/** What has changed, in words. Pure. */
export function changesBetween(_before: NetworkState, _now: NetworkState): ChangeReason[] {
  throw new Error('not written yet')
}
