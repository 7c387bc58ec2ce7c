/** Routing netlink: links, addresses and routes. include/uapi/linux/{rtnetlink,if_link,if_addr}.h. */

/** RFC 2863 `ifOperStatus`, in the kernel's words. */
export type Operstate = 'unknown' | 'notpresent' | 'down' | 'lowerlayerdown' | 'testing' | 'dormant' | 'up'

export interface LinkAddress {
  family: 4 | 6
  address: string
  prefixLength: number
  scope: 'global' | 'site' | 'link' | 'host' | 'nowhere' | number
  /** Duplicate address detection is not done, or has failed: not to be used. */
  tentative: boolean
  /** Not for new connections. */
  deprecated: boolean
  /** IPv4 only. */
  label: string | undefined
  /** All bits: IFA_F_* of if_addr.h. */
  flags: number
}

export interface DefaultRoute {
  family: 4 | 6
  /** The interface's index. */
  interfaceIndex: number
  /** Undefined when the destination is on the link. May be IPv6 for an IPv4 route (RFC 5549). */
  gateway: string | undefined
  /** The lowest is preferred. */
  metric: number
  /** 254: main. */
  table: number
}
