/**
 * What an ATSSS container is made of. TS 24.193 §6.1; the container is the information element 0x77 of TS 24.501
 * §9.11.4.22, without its own type and length.
 *
 *   +----------------+--------------------+-----------+
 *   | id (1 octet)   |  length (2 octets) | contents  |    one parameter; a container is a row of them
 *   +----------------+--------------------+-----------+
 *   The length excludes itself. All numbers are in network order.
 *
 * The layouts below are those that open implementations of Release 16 agree on. Where they differ, both readings are
 * here, and what later releases have added is kept as it came.
 */
import type { TrafficComponent } from './traffic-descriptor.js'

/** TS 24.193 §6.1.2. */
export type AtsssParameter = RulesParameter | NetworkSteering | IpMeasurement | EthernetMeasurement | RawParameter

/** Name to number, for both directions. TS 24.193 table 6.1.2-1. */
export const PARAMETER_CODES = { rules: 0x01, 'network-steering': 0x02, measurement: 0x03 } as const

/** Two layouts have been published, and lengths of rules are read in two ways. */
export interface RuleFraming {
  /** `g00`: V16.0.0, without identifier and operation. `rule-id`: since then. */
  layout: 'g00' | 'rule-id'
  /** Whether the length of a rule counts its own two octets. */
  ruleLength: 'exclusive' | 'inclusive'
}

/**
 * A row of rules. TS 24.193 §6.1.3.2.
 *
 *   +---------------------------------------+
 *   |  length of rule (2)                   |    with or without itself
 *   +---------------------------------------+
 *   |  rule identifier (1)                  |    layout `rule-id` only
 *   |  operation (1)                        |    layout `rule-id` only: 1 create or replace, 2 delete
 *   +---------------------------------------+
 *   |  precedence (1)                       |
 *   |  length of traffic descriptor (2)     |    without itself
 *   //  traffic descriptor                 //    TS 24.526 §5.2
 *   +---------------------------------------+
 *   |  length of access selection (1)       |    with itself: 3 for smallest delay, otherwise 4 in Release 16
 *   |  steering functionality (1)           |
 *   |  steering mode (1)                    |
 *   |  steering mode information (1)        |    not for smallest delay
 *   //  later releases                     //
 *   +---------------------------------------+
 */
export interface RulesParameter extends RuleFraming {
  type: 'rules'
  rules: RuleEntry[]
  /** The framings under which the rules can be read just as well: with any, `layout` and `ruleLength` are a guess. */
  otherwise: RuleFraming[]
}

export type RuleEntry =
  /** To be created, or to replace the one with this identifier, which layout `g00` does not have. */
  | { type: 'rule'; id: number | undefined; precedence: number; traffic: TrafficComponent[]; access: AccessSelection }
  /** What stands behind the operation, if anything, says nothing. */
  | { type: 'delete'; id: number; rest: Uint8Array }
  | { type: 'unknown-operation'; id: number; operation: number; rest: Uint8Array }
  /** Whole, with its length; or everything up to the end of the parameter, when the length is wrong. */
  | { type: 'unreadable'; bytes: Uint8Array; why: string }

export const OPERATIONS = { 'create-or-replace': 1, delete: 2 } as const

export interface AccessSelection {
  /** `supported`: whichever the device has. A number is one not known here. */
  functionality: keyof typeof FUNCTIONALITY_CODES | number
  mode: WireSteeringMode
  /** Behind the steering mode information. Since Release 17 an indicator and thresholds, in a layout not known here. */
  trailing: Uint8Array
  /** More of that kind, which the descriptor's length does not count, up to the end of the rule. */
  uncounted?: Uint8Array
}

/** Name to number, for both directions. */
export const FUNCTIONALITY_CODES = { supported: 1, mptcp: 2, 'atsss-ll': 3 } as const

export type WireAccess = '3gpp' | 'non-3gpp'

export type WireSteeringMode =
  | { mode: 'active-standby'; active: WireAccess; standby: WireAccess | undefined }
  | { mode: 'smallest-delay' }
  /** 0…100 in steps of 10. */
  | { mode: 'load-balancing'; percent3gpp: number }
  | { mode: 'priority-based'; high: WireAccess }
  /** A mode, or information of a known mode, that is not known here, with everything that follows it. */
  | { mode: 'unknown'; code: number; information: Uint8Array }

/** Name to number, for both directions. Those of PFCP begin at 0 (TS 29.244 §8.2.125); these do not. */
export const MODE_CODES = {
  'active-standby': 1,
  'smallest-delay': 2,
  'load-balancing': 3,
  'priority-based': 4,
} as const

/** One or both. */
export interface NetworkAddress {
  ipv4?: string
  ipv6?: string
}

/**
 * Network steering functionalities information: where MPTCP proxies are, and which addresses reach them. TS 24.193 §6.1.4.
 *
 *   +---------------------------------------+
 *   |  address of the UE over 3GPP          |    type (1), then 4, 16 or 4+16 octets
 *   |  address of the UE over non-3GPP      |    likewise
 *   +---------------------------------------+
 *   |  length of proxy information (1)      |
 *   +---------------------------------------+
 *   |  address of the proxy                 |    type (1), then 4, 16 or 4+16 octets; repeated
 *   |  port (2), proxy type (1)             |
 *   +---------------------------------------+
 *   //  later releases                     //
 */
export interface NetworkSteering {
  type: 'network-steering'
  /** The link-specific multipath addresses, used by MPTCP alone (TS 23.501 §5.32.6.2.1). */
  ue3gpp: NetworkAddress
  ueNon3gpp: NetworkAddress
  proxies: MptcpProxy[]
  trailing: Uint8Array
}

export interface MptcpProxy {
  address: NetworkAddress
  port: number
  /** A number is one not known here. */
  proxyType: 'transport-converter' | number
}

/** RFC 8803. */
export const TRANSPORT_CONVERTER = 1

/** Types of addresses. */
export const ADDRESS_TYPES = { ipv4: 1, ipv6: 2, ipv4v6: 3 } as const

/**
 * Measurement assistance information of an IP session: where the network's measurement function is. TS 24.193 §6.1.5.
 *
 *   +---------------------------------------+
 *   |  address                              |    type (1), then 4, 16 or 4+16 octets
 *   |  port over 3GPP (2)                   |
 *   |  port over non-3GPP (2)               |
 *   |  spare, AARI (1)                      |    AARI: bit 1
 *   //  later releases                     //
 *   +---------------------------------------+
 */
export interface IpMeasurement extends MeasurementFlags {
  type: 'measurement'
  protocol: 'ip'
  address: NetworkAddress
  port3gpp: number
  portNon3gpp: number
}

/**
 * The same of an Ethernet session: MAC address over 3GPP (6), over non-3GPP (6), spare and AARI (1). Nothing says which of
 * the two it is: 13 octets or more that do not begin as an IP one are this.
 */
export interface EthernetMeasurement extends MeasurementFlags {
  type: 'measurement'
  protocol: 'ethernet'
  /** `02:00:5e:00:00:01` */
  mac3gpp: string
  macNon3gpp: string
}

export interface MeasurementFlags {
  /** Access availability reporting indicator. */
  aari: boolean
  /** The other seven bits of its octet, as they came. */
  spare: number
  trailing: Uint8Array
}

/** A parameter of an unknown type or, then with `why`, one that cannot be read. */
export interface RawParameter {
  type: 'raw'
  code: number
  value: Uint8Array
  why?: string
}
