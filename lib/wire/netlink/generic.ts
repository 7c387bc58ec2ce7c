/**
 * Generic netlink, whose families have names, and the family that knows the others: include/uapi/linux/genetlink.h.
 *
 *   +---------------+---------------+-------------------------------+
 *   |    Command    |    Version    |           Reserved            |   then attributes
 *   +---------------+---------------+-------------------------------+
 */
import { Attributes, attribute, fixedPart, malformed, text } from './message.js'

export interface GenericMessage {
  command: number
  version: number
  attributes: Attributes
}

const HEADER_LENGTH = 4

/** The payload of a netlink message whose type is the family's id. */
export function encodeGeneric(command: number, version: number, attributes: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat([Uint8Array.of(command, version, 0, 0), ...attributes])
}

export function decodeGeneric(payload: Uint8Array): GenericMessage {
  const header = fixedPart(payload, HEADER_LENGTH)
  return { command: header.u8(0), version: header.u8(1), attributes: Attributes.read(payload, HEADER_LENGTH) }
}

/** `nlctrl`. */
export const GENL_ID_CTRL = 0x10
const CTRL_CMD_GETFAMILY = 3
const CTRL_VERSION = 2
/** CTRL_ATTR_*. */
const FAMILY = { id: 1, name: 2, version: 3, groups: 7 } as const
/** CTRL_ATTR_MCAST_GRP_*. */
const GROUP = { name: 1, id: 2 } as const

export interface Family {
  id: number
  name: string
  version: number
  /** Multicast groups: names to numbers. */
  groups: ReadonlyMap<string, number>
}

/** To GENL_ID_CTRL; ENOENT: there is no such family here. */
export function encodeGetFamily(name: string): Uint8Array {
  return encodeGeneric(CTRL_CMD_GETFAMILY, CTRL_VERSION, [attribute(FAMILY.name, text(name))])
}

export function decodeFamily(payload: Uint8Array): Family {
  const { attributes } = decodeGeneric(payload)
  const id = attributes.u16(FAMILY.id)
  const name = attributes.text(FAMILY.name)
  if (id === undefined || name === undefined) throw malformed(0, 'a family without id or name')
  const groups = new Map<string, number>()
  for (const { payload: bytes } of attributes.nested(FAMILY.groups)?.list ?? []) {
    const group = Attributes.read(bytes)
    const groupName = group.text(GROUP.name)
    const number = group.u32(GROUP.id)
    if (groupName !== undefined && number !== undefined) groups.set(groupName, number)
  }
  return { id, name, version: attributes.u32(FAMILY.version) ?? 1, groups }
}
