/** From the errno of a failed connection to the server to the client's Error TLV. RFC 8803 §6.2.8. */
import type { ConvertErrorValue } from '../../wire/convert/error.js'

/**
 * @param code as in `error.code` of Node's system errors
 * @param family of the server's address: the codes of ICMP and ICMPv6 differ
 * @param delaySeconds the delay to suggest if the failure is the converter's
 */
export function failureOf(code: string | undefined, family: 4 | 6, delaySeconds: number): ConvertErrorValue {
  switch (code) {
    // A reset in answer to the SYN. An ICMP port unreachable looks the same to a socket, and means the same.
    case 'ECONNREFUSED':
    case 'ECONNRESET':
    case 'EPIPE':
      return { name: 'connection-reset' }
    // Nothing distinguishes a silent server from an unreachable one. Network Failure would mean that the converter is at
    // fault: the client would avoid it, also for servers that do answer.
    case 'ETIMEDOUT':
      return { name: 'destination-unreachable', icmpCode: family === 4 ? 1 : 3 }
    // "This error MUST be sent by the Transport Converter when it does not have sufficient resources".
    case 'EMFILE':
    case 'ENFILE':
    case 'ENOMEM':
    case 'ENOBUFS':
    case 'EAGAIN':
    case 'EADDRNOTAVAIL':
    case 'EADDRINUSE':
      return { name: 'resource-exceeded', delaySeconds }
  }
  const icmpCode = (family === 4 ? ICMP : ICMPV6).get(code ?? '')
  if (icmpCode !== undefined) return { name: 'destination-unreachable', icmpCode }
  return { name: 'network-failure', delaySeconds }
}

/**
 * The code of the ICMP destination unreachable (type 3) that Linux turns into this errno: icmp_err_convert in
 * net/ipv4/icmp.c. If several codes share an errno, it is the first of them.
 */
const ICMP = new Map([
  ['ENETUNREACH', 0], // network unreachable
  ['EAFNOSUPPORT', 0], // this machine does not have the family
  ['EHOSTUNREACH', 1], // host unreachable
  ['ENOPROTOOPT', 2], // protocol unreachable
  ['EMSGSIZE', 4], // fragmentation needed
  ['EOPNOTSUPP', 5], // source route failed
  ['EHOSTDOWN', 7], // destination host unknown
  ['ENONET', 8], // source host isolated
  ['EACCES', 13], // communication administratively prohibited: a local prohibit route or filter
  ['EPERM', 13],
])

/** The same for ICMPv6 (type 1): tab_unreach in net/ipv6/icmp.c. */
const ICMPV6 = new Map([
  ['ENETUNREACH', 0], // no route to destination
  ['EAFNOSUPPORT', 0],
  ['EACCES', 1], // communication administratively prohibited
  ['EPERM', 1],
  ['EHOSTUNREACH', 3], // address unreachable
])
