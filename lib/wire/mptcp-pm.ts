/** The generic netlink family `mptcp_pm`: include/uapi/linux/{mptcp,mptcp_pm}.h. */

export interface AddressPort {
  address: string
  family: 4 | 6
  port: number
}

/** `laminar` since Linux 6.18. */
export type MptcpEndpointFlag = 'signal' | 'subflow' | 'backup' | 'fullmesh' | 'implicit' | 'laminar'

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
  interfaceIndex: number | undefined
  /** A positive errno: why it closed, or could not be made. */
  error: number | undefined
  /** Of the MP_TCPRST that closed it: RFC 8684 §3.6. */
  resetReason: number | undefined
  resetFlags: number | undefined
}

/** What the group `mptcp_pm_events` says; each kind with the fields that the kernel gives it. */
export type MptcpEvent =
  /** A connection has begun: the SYN was answered, more subflows cannot be made yet. */
  | ({ type: 'created' } & ConnectionEvent)
  /** More subflows can be made. */
  | ({ type: 'established' } & ConnectionEvent)
  | { type: 'closed'; token: number }
  /** The peer has announced an address; without a port, the one of the connection. */
  | { type: 'announced'; token: number; remoteId: number; address: string; family: 4 | 6; port: number | undefined }
  /** The peer has taken an address back. */
  | { type: 'removed'; token: number; remoteId: number }
  | ({ type: 'subflow-established' } & SubflowEvent)
  | ({ type: 'subflow-closed' } & SubflowEvent)
  /** The backup flag has changed at the peer's wish. */
  | ({ type: 'subflow-priority' } & SubflowEvent)
  | { type: 'listener-created'; local: AddressPort }
  | { type: 'listener-closed'; local: AddressPort }
  /** An event that is newer than this. */
  | { type: 'unknown'; command: number; attributes: { type: number; payload: Uint8Array }[] }
