/**
 * Network steering functionalities information, and measurement assistance information. TS 24.193 §6.1.4, §6.1.5; drawn in
 * message.ts. The readers throw `WireError` for what they cannot read.
 */

import type { Reader } from '../bytes/cursor.js'
import { LATER_RELEASES, readIPv4, readIPv6, writeIPv4, writeIPv6 } from './fields.js'
import {
  ADDRESS_TYPES,
  type EthernetMeasurement,
  type IpMeasurement,
  type MeasurementFlags,
  type MptcpProxy,
  type NetworkAddress,
  type NetworkSteering,
  TRANSPORT_CONVERTER,
} from './message.js'
import { malformedContainer, type OctetWriter, refusal } from './octets.js'

export function readNetworkSteering(from: Reader): NetworkSteering {
  const ue3gpp = readAddress(from, 'Address of the UE over 3GPP')
  const ueNon3gpp = readAddress(from, 'Address of the UE over non-3GPP')
  const list = from.window(from.u8('Length of proxy information'), 'MPTCP proxies')
  const proxies: MptcpProxy[] = []
  while (list.left > 0) {
    const address = readAddress(list, 'Address of the proxy')
    const port = list.u16('Port')
    const proxyType = list.u8('Type of proxy', showProxyType)
    proxies.push({ address, port, proxyType: proxyType === TRANSPORT_CONVERTER ? 'transport-converter' : proxyType })
  }
  return { type: 'network-steering', ue3gpp, ueNon3gpp, proxies, trailing: from.rest(LATER_RELEASES) }
}

export function writeNetworkSteering(to: OctetWriter, { ue3gpp, ueNon3gpp, proxies, trailing }: NetworkSteering): void {
  writeAddress(to, ue3gpp)
  writeAddress(to, ueNon3gpp)
  to.counted(1, 'proxy information', () => {
    for (const { address, port, proxyType } of proxies) {
      writeAddress(to, address)
      to.u16(port, 'port')
      if (proxyType === TRANSPORT_CONVERTER) throw refusal(`proxy type ${proxyType} is not unknown`, to.offset)
      to.u8(proxyType === 'transport-converter' ? TRANSPORT_CONVERTER : proxyType, 'proxy type')
    }
  })
  to.put(trailing, 'trailing')
}

export function readMeasurement(from: Reader): IpMeasurement | EthernetMeasurement {
  if (isIpMeasurement(from)) {
    const address = readAddress(from, 'Address of the measurement function')
    const port3gpp = from.u16('Port over 3GPP')
    const portNon3gpp = from.u16('Port over non-3GPP')
    return { type: 'measurement', protocol: 'ip', address, port3gpp, portNon3gpp, ...readFlags(from) }
  }
  if (from.left < 2 * MAC_LENGTH + 1)
    throw malformedContainer(`${from.left} octets are neither an IP nor an Ethernet measurement function`, from.offset)
  const mac3gpp = readMac(from, 'MAC address over 3GPP')
  const macNon3gpp = readMac(from, 'MAC address over non-3GPP')
  return { type: 'measurement', protocol: 'ethernet', mac3gpp, macNon3gpp, ...readFlags(from) }
}

export function writeMeasurement(to: OctetWriter, information: IpMeasurement | EthernetMeasurement): void {
  if (information.protocol === 'ip') {
    writeAddress(to, information.address)
    to.u16(information.port3gpp, 'port')
    to.u16(information.portNon3gpp, 'port')
  } else {
    writeMac(to, information.mac3gpp)
    writeMac(to, information.macNon3gpp)
  }
  if (!Number.isInteger(information.spare) || information.spare < 0 || information.spare > 0x7f)
    throw refusal(`spare bits ${information.spare}`, to.offset)
  to.u8((information.spare << 1) | (information.aari ? 1 : 0), 'AARI')
  to.put(information.trailing, 'trailing')
}

const MAC_LENGTH = 6
/** Bit of the flags: access availability reporting indicator. */
const AARI = 1
/** Octets behind the address: two ports, and the flags. */
const IP_REST = 5

/**
 * Nothing says which of the two it is. The first octet is the type of an address, 1 to 3, or the beginning of a MAC address,
 * where 1 and 3 would be a group's. With 2 it can be both: then it is an Ethernet session's unless the address behind is one
 * that a host can have.
 */
function isIpMeasurement({ bytes, offset, left }: Reader): boolean {
  const length = addressLength(bytes[offset])
  if (length === undefined || left < 1 + length + IP_REST) return false
  return bytes[offset] !== ADDRESS_TYPES.ipv6 || isUnicast(bytes[offset + 1]!, bytes[offset + 2]!)
}

/** Global unicast (2000::/3), unique local (fc00::/7) and link-local (fe80::/10) IPv6 addresses. RFC 4291 §2.4, RFC 4193. */
function isUnicast(first: number, second: number): boolean {
  return first >> 5 === 1 || first >> 1 === 0x7e || (first === 0xfe && second >> 6 === 2)
}

function readFlags(from: Reader): MeasurementFlags {
  const octet = from.u8('Flags', showFlags)
  return { aari: (octet & AARI) !== 0, spare: octet >>> 1, trailing: from.rest(LATER_RELEASES) }
}

function addressLength(type: number | undefined): number | undefined {
  switch (type) {
    case ADDRESS_TYPES.ipv4:
      return 4
    case ADDRESS_TYPES.ipv6:
      return 16
    case ADDRESS_TYPES.ipv4v6:
      return 20
    default:
      return undefined
  }
}

function readAddress(from: Reader, name: string): NetworkAddress {
  const part = from.part(name)
  const at = part.offset
  const type = part.u8('Type', showAddressType)
  const address: NetworkAddress = {}
  const length = addressLength(type)
  if (length === undefined) throw malformedContainer(`unknown type of address ${type}`, at)
  part.limit(length)
  if (type !== ADDRESS_TYPES.ipv6) address.ipv4 = readIPv4(part, 'IPv4 address')
  if (type !== ADDRESS_TYPES.ipv4) address.ipv6 = readIPv6(part, 'IPv6 address')
  if (part.trace !== undefined) part.trace.title(name, Object.values(address).join(' and '))
  from.offset = part.end
  return address
}

function writeAddress(to: OctetWriter, { ipv4, ipv6 }: NetworkAddress): void {
  if (ipv4 === undefined && ipv6 === undefined) throw refusal('an address without IPv4 and IPv6', to.offset)
  const type = ipv6 === undefined ? 'ipv4' : ipv4 === undefined ? 'ipv6' : 'ipv4v6'
  to.u8(ADDRESS_TYPES[type], 'type of address')
  if (ipv4 !== undefined) writeIPv4(to, ipv4, 'address')
  if (ipv6 !== undefined) writeIPv6(to, ipv6, 'address')
}

function readMac(from: Reader, name: string): string {
  return macInWords(from.take(MAC_LENGTH, name, macInWords))
}

function macInWords(bytes: Uint8Array): string {
  return [...bytes].map(octet => octet.toString(16).padStart(2, '0')).join(':')
}

function writeMac(to: OctetWriter, text: string): void {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(text))
    throw refusal(`${JSON.stringify(text)} is no MAC address`, to.offset)
  to.put(Uint8Array.from(Buffer.from(text.replaceAll(':', ''), 'hex')), 'MAC address')
}

function showAddressType(type: number): string {
  const name = Object.entries(ADDRESS_TYPES).find(([, code]) => code === type)?.[0]
  return `${type} (${name ?? 'unknown'})`
}

function showProxyType(type: number): string {
  return `${type} (${type === TRANSPORT_CONVERTER ? 'Transport Converter' : 'unknown'})`
}

function showFlags(octet: number): string {
  return `${octet} (access availability reports ${octet & AARI ? 'wanted' : 'not wanted'})`
}
