/**
 * What traffic a rule is about: what the components of a traffic descriptor say. TS 24.526 §5.2, table 5.2.1.
 *
 *   +----------------+---------------------------+
 *   | type (1 octet) |  value, as the type says  |    one component; a descriptor is a row of them
 *   +----------------+---------------------------+
 *   There is no length: a component of an unknown type hides everything that follows it.
 */
import type { FqdnCoding } from './fields.js'

export type { FqdnCoding }

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
  /** Names, by an extended regular expression of POSIX; as it came, whether it is one or not. */
  | { type: 'regular-expression'; expression: string }
  /** About something that a program which opens a TCP connection can neither see nor choose. Without its count octet, if any. */
  | { type: OpaqueComponentType; value: Uint8Array }
  /** Of a known type, with a value that cannot be. */
  | { type: 'invalid'; code: number; value: Uint8Array; why: string }
  /** Of an unknown type, and so of unknown length: with everything that follows it. */
  | { type: 'unknown'; code: number; value: Uint8Array }

/** Several things at once, all of which must be so; of an IPv4 and an IPv6 address, one. */
export interface IpTuple {
  type: 'ip-tuple'
  ipv4?: { address: string; mask: string }
  ipv6?: { address: string; prefixLength: number }
  protocol?: number
  port?: number
  ports?: { low: number; high: number }
}

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
  | 'destination-mac-range'
  | 'pin-id'
  | 'connectivity-group-id'

/** Name to number, for both directions. TS 24.526 table 5.2.1. */
export const COMPONENT_CODES = {
  'match-all': 0x01,
  'os-app': 0x08,
  'remote-ipv4': 0x10,
  'local-ipv4': 0x11,
  'remote-ipv6': 0x21,
  'local-ipv6': 0x23,
  protocol: 0x30,
  'local-port': 0x40,
  'local-port-range': 0x41,
  'remote-port': 0x50,
  'remote-port-range': 0x51,
  'ip-tuple': 0x52,
  'security-parameter-index': 0x60,
  'type-of-service': 0x70,
  'flow-label': 0x80,
  'destination-mac': 0x81,
  'source-mac': 0x82,
  'c-tag-vid': 0x83,
  's-tag-vid': 0x84,
  'c-tag-pcp': 0x85,
  's-tag-pcp': 0x86,
  ethertype: 0x87,
  dnn: 0x88,
  'connection-capabilities': 0x90,
  fqdn: 0x91,
  'regular-expression': 0x92,
  app: 0xa0,
  'destination-mac-range': 0xa1,
  'pin-id': 0xa2,
  'connectivity-group-id': 0xa3,
} as const

export type ComponentType = keyof typeof COMPONENT_CODES
