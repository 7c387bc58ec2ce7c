/**
 * The generic netlink family `mptcp_pm`: include/uapi/linux/{mptcp,mptcp_pm}.h, Documentation/netlink/specs/mptcp_pm.yaml.
 * Commands to bytes, endpoints and events from bytes.
 */
import { ADDRESS_LENGTH, formatAddress, parseAddress } from '../bytes/address.js'
import { encodeGeneric, type GenericMessage } from './generic.js'
import {
  AF_INET,
  AF_INET6,
  type Attributes,
  attribute,
  malformed,
  nestedAttribute,
  s32,
  u8,
  u16,
  u32,
} from './message.js'

export const MPTCP_PM_FAMILY = 'mptcp_pm'
/** Needs CAP_NET_ADMIN to join. */
export const MPTCP_PM_EVENTS = 'mptcp_pm_events'

export interface AddressPort {
  /** A literal; `::ffff:192.0.2.1` for IPv4 on an IPv6 socket. */
  address: string
  family: 4 | 6
  port: number
}

/** `laminar` since Linux 6.18. */
export type MptcpEndpointFlag = (typeof FLAGS)[number]

/** In the order of their bits: MPTCP_PM_ADDR_FLAG_*. */
const FLAGS = ['signal', 'subflow', 'backup', 'fullmesh', 'implicit', 'laminar'] as const

export interface MptcpEndpoint {
  /** 1…255; 0 is the address of a connection's first subflow. */
  id: number
  address: string
  flags: readonly MptcpEndpointFlag[]
  /** 0, or left out: none, subflows may leave by any interface. */
  interfaceIndex?: number
  /** 0, or left out: none. */
  port?: number
}

export interface MptcpLimits {
  /** Subflows beside the first one, for each connection. */
  subflows: number
  /** Announced addresses that are accepted, for each connection. */
  addAddrAccepted: number
}

/** MPTCP_PM_CMD_*. */
export const PM_COMMANDS = {
  'add-addr': 1,
  'del-addr': 2,
  'get-addr': 3,
  'flush-addrs': 4,
  'set-limits': 5,
  'get-limits': 6,
  'set-flags': 7,
  announce: 8,
  remove: 9,
  'subflow-create': 10,
  'subflow-destroy': 11,
} as const

export type PmCommand = keyof typeof PM_COMMANDS

/** What a command may carry; each command asks for some of it. */
export interface PmArguments {
  token?: number
  local?: Partial<MptcpEndpoint>
  remote?: { address: string; port: number }
  /** Of `remove`. */
  localId?: number
  limits?: MptcpLimits
}

const VERSION = 1
/** MPTCP_PM_ATTR_*. */
const ATTRIBUTE = { local: 1, addAddrAccepted: 2, subflows: 3, token: 4, localId: 5, remote: 6 } as const
/** MPTCP_PM_ADDR_ATTR_*, of the two addresses. The port is in the host's order. */
const ADDRESS = { family: 1, id: 2, v4: 3, v6: 4, port: 5, flags: 6, interfaceIndex: 7 } as const

/** The payload of a netlink message whose type is the family's id. Throws RangeError for what is not an address. */
export function encodeCommand(command: PmCommand, given: PmArguments = {}): Uint8Array {
  const { token, local, remote, localId, limits } = given
  return encodeGeneric(PM_COMMANDS[command], VERSION, [
    ...(token === undefined ? [] : [attribute(ATTRIBUTE.token, u32(token))]),
    ...(local === undefined ? [] : [nestedAttribute(ATTRIBUTE.local, addressAttributes(local))]),
    ...(remote === undefined ? [] : [nestedAttribute(ATTRIBUTE.remote, addressAttributes(remote))]),
    ...(localId === undefined ? [] : [attribute(ATTRIBUTE.localId, u8(localId))]),
    ...(limits === undefined
      ? []
      : [
          attribute(ATTRIBUTE.addAddrAccepted, u32(limits.addAddrAccepted)),
          attribute(ATTRIBUTE.subflows, u32(limits.subflows)),
        ]),
  ])
}

function addressAttributes({ address, id, port, flags, interfaceIndex }: Partial<MptcpEndpoint>): Uint8Array[] {
  const attributes: Uint8Array[] = []
  // In the order of iproute2.
  if (id !== undefined) attributes.push(attribute(ADDRESS.id, u8(id)))
  if (flags !== undefined) attributes.push(attribute(ADDRESS.flags, u32(flagBits(flags))))
  if (interfaceIndex !== undefined && interfaceIndex !== 0)
    attributes.push(attribute(ADDRESS.interfaceIndex, s32(interfaceIndex)))
  if (port !== undefined && port !== 0) attributes.push(attribute(ADDRESS.port, u16(port)))
  if (address !== undefined) {
    const { family, bytes } = addressBytes(address)
    attributes.push(attribute(ADDRESS.family, u16(family)))
    attributes.push(attribute(family === AF_INET ? ADDRESS.v4 : ADDRESS.v6, bytes))
  }
  return attributes
}

export function flagBits(flags: readonly MptcpEndpointFlag[]): number {
  return flags.reduce((sum, flag) => sum | (1 << FLAGS.indexOf(flag)), 0)
}

function addressBytes(text: string): { family: number; bytes: Uint8Array } {
  const bytes = new Uint8Array(ADDRESS_LENGTH)
  // The kernel knows the link of a subflow by other means than the zone.
  if (!parseAddress(text.replace(/%.*$/, ''), bytes, 0)) throw new RangeError(`"${text}" is not an IP address`)
  return text.includes(':') ? { family: AF_INET6, bytes } : { family: AF_INET, bytes: bytes.subarray(12) }
}

/** Of the answers to `get-addr`. */
export function decodeEndpoint({ attributes }: GenericMessage): MptcpEndpoint {
  const address = attributes.nested(ATTRIBUTE.local)
  const bytes = address?.bytes(ADDRESS.v4) ?? address?.bytes(ADDRESS.v6)
  if (address === undefined || bytes === undefined) throw malformed(0, 'an endpoint without an address')
  const bits = address.u32(ADDRESS.flags) ?? 0
  return {
    id: address.u8(ADDRESS.id) ?? 0,
    address: literal(bytes),
    flags: FLAGS.filter((_, bit) => (bits & (1 << bit)) !== 0),
    interfaceIndex: address.s32(ADDRESS.interfaceIndex) ?? 0,
    port: address.u16(ADDRESS.port) ?? 0,
  }
}

/** Of the answer to `get-limits`. */
export function decodeLimits({ attributes }: GenericMessage): MptcpLimits {
  return {
    subflows: attributes.u32(ATTRIBUTE.subflows) ?? 0,
    addAddrAccepted: attributes.u32(ATTRIBUTE.addAddrAccepted) ?? 0,
  }
}

interface ConnectionEvent {
  token: number
  local: AddressPort
  remote: AddressPort
  /** This is the side that accepted the connection. */
  serverSide: boolean
  /** The peer takes no more subflows to the address and port of the first one: RFC 8684 §3.1, the C bit. */
  denyJoinId0: boolean
}

interface SubflowEvent {
  token: number
  local: AddressPort
  remote: AddressPort
  localId: number | undefined
  remoteId: number | undefined
  /** The peer, or we, asked that it be used only when nothing else is left. */
  backup: boolean | undefined
  /** Of the interface that it is bound to, if it is. */
  interfaceIndex: number | undefined
  /** A positive errno: why it closed, or could not be made. */
  error: number | undefined
  /** Of the MP_TCPRST that closed it: RFC 8684 §3.6. */
  resetReason: number | undefined
  resetFlags: number | undefined
}

/** The events of the group `mptcp_pm_events`; each kind with the fields that the kernel gives it. */
export type MptcpEvent =
  /** A connection has begun; more subflows cannot be made yet. */
  | ({ type: 'created' } & ConnectionEvent)
  /** More subflows can be made: the connection's first data was acknowledged. */
  | ({ type: 'established' } & ConnectionEvent)
  | { type: 'closed'; token: number }
  /** The peer has announced an address. The port is the connection's where it announced none. */
  | { type: 'announced'; token: number; remoteId: number; address: string; family: 4 | 6; port: number | undefined }
  /** The peer has withdrawn an address. */
  | { type: 'removed'; token: number; remoteId: number }
  | ({ type: 'subflow-established' } & SubflowEvent)
  | ({ type: 'subflow-closed' } & SubflowEvent)
  /** The peer has changed the backup flag. */
  | ({ type: 'subflow-priority' } & SubflowEvent)
  | { type: 'listener-created'; local: AddressPort }
  | { type: 'listener-closed'; local: AddressPort }
  /** An event that is newer than this. */
  | { type: 'unknown'; command: number; attributes: { type: number; payload: Uint8Array }[] }

/** MPTCP_EVENT_*. */
const CONNECTION_EVENTS = new Map([
  [1, 'created'],
  [2, 'established'],
] as const)
const CLOSED = 3
const ANNOUNCED = 6
const REMOVED = 7
const SUBFLOW_EVENTS = new Map([
  [10, 'subflow-established'],
  [11, 'subflow-closed'],
  [13, 'subflow-priority'],
] as const)
const LISTENER_EVENTS = new Map([
  [15, 'listener-created'],
  [16, 'listener-closed'],
] as const)

/** MPTCP_ATTR_*. Ports are in network order. */
const EVENT = {
  token: 1,
  family: 2,
  localId: 3,
  remoteId: 4,
  local4: 5,
  local6: 6,
  remote4: 7,
  remote6: 8,
  localPort: 9,
  remotePort: 10,
  backup: 11,
  error: 12,
  flags: 13,
  interfaceIndex: 15,
  resetReason: 16,
  resetFlags: 17,
  serverSide: 18,
} as const
/** MPTCP_PM_EV_FLAG_*. */
const EVENT_FLAG = { denyJoinId0: 0x1, serverSide: 0x2 } as const

/** Throws EPROTO for an event that lacks a field. */
export function decodeEvent({ command, attributes }: GenericMessage): MptcpEvent {
  const token = () => attributes.u32(EVENT.token) ?? missing('a token')
  const remoteId = () => attributes.u8(EVENT.remoteId) ?? missing('an id')
  const connection = CONNECTION_EVENTS.get(command as 1)
  if (connection) {
    const flags = attributes.u16(EVENT.flags) ?? 0
    return {
      type: connection,
      token: token(),
      local: endOf(attributes, 'local'),
      remote: endOf(attributes, 'remote'),
      // The attribute is the older of the two, and may go.
      serverSide: (flags & EVENT_FLAG.serverSide) !== 0 || attributes.u8(EVENT.serverSide) === 1,
      denyJoinId0: (flags & EVENT_FLAG.denyJoinId0) !== 0,
    }
  }
  const subflow = SUBFLOW_EVENTS.get(command as 10)
  if (subflow) {
    const backup = attributes.u8(EVENT.backup)
    return {
      type: subflow,
      token: token(),
      local: endOf(attributes, 'local'),
      remote: endOf(attributes, 'remote'),
      localId: attributes.u8(EVENT.localId),
      remoteId: attributes.u8(EVENT.remoteId),
      backup: backup === undefined ? undefined : backup !== 0,
      interfaceIndex: attributes.s32(EVENT.interfaceIndex),
      error: attributes.u8(EVENT.error),
      resetReason: attributes.u32(EVENT.resetReason),
      resetFlags: attributes.u32(EVENT.resetFlags),
    }
  }
  const listener = LISTENER_EVENTS.get(command as 15)
  if (listener) return { type: listener, local: endOf(attributes, 'local') }
  if (command === CLOSED) return { type: 'closed', token: token() }
  if (command === REMOVED) return { type: 'removed', token: token(), remoteId: remoteId() }
  if (command === ANNOUNCED) {
    const { port, ...remote } = endOf(attributes, 'remote')
    return { type: 'announced', token: token(), remoteId: remoteId(), ...remote, port: port === 0 ? undefined : port }
  }
  const kept = attributes.list.map(({ type, payload }) => ({ type, payload: new Uint8Array(payload) }))
  return { type: 'unknown', command, attributes: kept }
}

function endOf(attributes: Attributes, end: 'local' | 'remote'): AddressPort {
  const bytes = attributes.bytes(EVENT[`${end}4`]) ?? attributes.bytes(EVENT[`${end}6`]) ?? missing('an address')
  return {
    address: literal(bytes),
    family: bytes.length === 4 ? 4 : 6,
    port: attributes.be16(EVENT[`${end}Port`]) ?? 0,
  }
}

/** As inet_ntop(3) writes it. */
function literal(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.')
  if (bytes.length !== ADDRESS_LENGTH) throw malformed(0, `an address of ${bytes.length} bytes`)
  const text = formatAddress(bytes, 0)
  return text.includes(':') ? text : `::ffff:${text}`
}

function missing(what: string): never {
  throw malformed(0, `an event without ${what}`)
}
