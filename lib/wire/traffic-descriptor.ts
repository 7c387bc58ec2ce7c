/** What traffic a rule is about: the components of a traffic descriptor. TS 24.526 table 5.2.1. */

export type TrafficComponent =
  /** Everything. */
  | { type: 'match-all' }
  /** An application of one operating system: a UUID (RFC 9562) in lower case, and the name it has there. */
  | { type: 'os-app'; osId: string; appId: string }
  /** An application, of whatever operating system. */
  | { type: 'app'; appId: string }
  | { type: 'remote-ipv4'; address: string; mask: string }
  | { type: 'remote-ipv6'; address: string; prefixLength: number }
  /** An IP protocol number: 6 is TCP. */
  | { type: 'protocol'; protocol: number }
  | { type: 'remote-port'; port: number }
  | { type: 'remote-port-range'; low: number; high: number }
  | IpTuple
  | { type: 'fqdn'; fqdn: string; coding: FqdnCoding }
  /** Of a known length, about something that nobody who opens a TCP connection can see or choose. */
  | { type: OpaqueComponentType; value: Uint8Array }
  /** Of a known type, with a value that cannot be. */
  | { type: 'invalid'; code: number; value: Uint8Array; why: string }
  /** Of an unknown type, and so of unknown length: with everything that follows it. */
  | { type: 'unknown'; code: number; value: Uint8Array }

/** What it names must all be so; of an IPv4 and an IPv6 address, one. */
export interface IpTuple {
  type: 'ip-tuple'
  ipv4?: { address: string; mask: string | undefined }
  ipv6?: { address: string; prefixLength: number }
  protocol?: number
  port?: number
  ports?: { low: number; high: number }
}

/** How a name stands in the bytes: DNS labels with their lengths, the same with the root's zero, or with dots. */
export type FqdnCoding = 'labels' | 'labels-and-root' | 'text'

export type OpaqueComponentType =
  | 'local-ipv4'
  | 'local-ipv6'
  | 'local-port'
  | 'local-port-range'
  | 'security-parameter-index'
  | 'type-of-service'
  | 'flow-label'
  | 'destination-mac'
  | 'source-mac'
  | 'c-tag-vid'
  | 's-tag-vid'
  | 'c-tag-pcp'
  | 's-tag-pcp'
  | 'ethertype'
  | 'dnn'
  | 'connection-capabilities'
  | 'regular-expression'
  | 'destination-mac-range'
