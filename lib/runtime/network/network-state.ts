/** Links, addresses and default routes as a value, and the difference between two such values. Pure. */
import type { DefaultRoute, LinkAddress, LinkInfo } from '../../wire/netlink/route.js'

export interface Link extends LinkInfo {
  /** In the kernel's order, including `tentative` ones, which are not usable yet, and `deprecated` ones. */
  addresses: readonly LinkAddress[]
}

export interface NetworkState {
  /** By interface index. */
  links: ReadonlyMap<number, Link>
  /** The routes of all tables, lowest metric first. */
  defaultRoutes: readonly DefaultRoute[]
}

/** A difference between two states. One link or address may have several. */
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
  /** `interface` is undefined if its link is not known. */
  | { type: 'route-added' | 'route-removed'; interface: string | undefined; index: number; family: 4 | 6 }

/** Whether packets can leave by this link: it is up, has a carrier, and the layer below is ready. */
export function isUsable(link: Pick<LinkInfo, 'up' | 'carrier' | 'operstate'>): boolean {
  return link.up && link.carrier && (link.operstate === 'up' || link.operstate === 'unknown')
}

/** The link of this name, or else of this alternative name. */
export function linkNamed({ links }: Pick<NetworkState, 'links'>, name: string): Link | undefined {
  const all = [...links.values()]
  return all.find(link => link.name === name) ?? all.find(link => link.altnames?.includes(name))
}

/** What has changed from `before` to `now`. */
export function changesBetween(before: NetworkState, now: NetworkState): ChangeReason[] {
  const indices = new Set([...before.links.keys(), ...now.links.keys()])
  const reasons = [...indices].flatMap(index => linkChanges(before.links.get(index), now.links.get(index)))
  const routes = (type: 'route-added' | 'route-removed', of: NetworkState, notIn: NetworkState) => {
    const known = new Set(notIn.defaultRoutes.map(route => JSON.stringify(route)))
    for (const route of of.defaultRoutes) {
      if (known.has(JSON.stringify(route))) continue
      const index = route.interfaceIndex
      reasons.push({ type, interface: of.links.get(index)?.name, index, family: route.family })
    }
  }
  routes('route-removed', before, now)
  routes('route-added', now, before)
  return reasons
}

function linkChanges(before: Link | undefined, now: Link | undefined): ChangeReason[] {
  const { name, index } = (now ?? before)!
  const about = { interface: name, index }
  const reasons: ChangeReason[] = []
  if (before === undefined) reasons.push({ type: 'link-added', ...about })
  else if (now === undefined) reasons.push({ type: 'link-removed', ...about })
  else {
    if (before.name !== now.name) reasons.push({ type: 'link-renamed', ...about })
    if (before.up !== now.up) reasons.push({ type: now.up ? 'link-up' : 'link-down', ...about })
    if (before.carrier !== now.carrier)
      reasons.push({ type: now.carrier ? 'carrier-gained' : 'carrier-lost', ...about })
    const renamed = before.altnames?.join() !== now.altnames?.join()
    const other = renamed || before.operstate !== now.operstate || before.mtu !== now.mtu || before.flags !== now.flags
    if (other && reasons.length === 0) reasons.push({ type: 'link-changed', ...about })
  }
  return [...reasons, ...addressChanges(before?.addresses ?? [], now?.addresses ?? [], about)]
}

function addressChanges(
  before: readonly LinkAddress[],
  now: readonly LinkAddress[],
  about: { interface: string; index: number },
): ChangeReason[] {
  const reasons: ChangeReason[] = []
  const same = (a: LinkAddress, b: LinkAddress) => a.address === b.address && a.prefixLength === b.prefixLength
  for (const old of before)
    if (!now.some(address => same(address, old)))
      reasons.push({ type: 'address-removed', ...about, address: old.address })
  for (const address of now) {
    const old = before.find(candidate => same(candidate, address))
    if (old === undefined) reasons.push({ type: 'address-added', ...about, address: address.address })
    else if (old.tentative && !address.tentative)
      reasons.push({ type: 'address-usable', ...about, address: address.address })
    else if (JSON.stringify(old) !== JSON.stringify(address))
      reasons.push({ type: 'address-changed', ...about, address: address.address })
  }
  return reasons
}
