/** Whether a request is served: the operator's policy over RFC 8803's rules, in the order of its sections. Pure. */
import { isIPv4 } from 'node:net'
import { embeddedAddresses, PrefixSet } from '../../input/addresses.js'
import type { ConvertErrorValue } from '../../wire/convert/error.js'
import { forbiddenTarget } from '../../wire/convert/index.js'
import type { Settings } from '../options/settings.js'
import { bakeCookie, isCookieValid } from './cookies.js'
import { malformed, type Request, type Target } from './request.js'
import { unsupportedKinds } from './tcp-options.js'

type Policy = Pick<
  Settings,
  'allow' | 'allowedTargets' | 'forbiddenTargets' | 'hairpinning' | 'allowLoopback' | 'cookies'
>

/** What the converter is on this machine. */
export interface Place {
  /** The kinds that the kernel puts into a SYN. */
  tcpOptions: ReadonlySet<number>
  /** Whether the converter itself listens there. */
  isSelf(target: Target): boolean
}

/** Why the request of the client at `address` is refused, or `undefined`. */
export function refusal(
  request: Request,
  address: string,
  policy: Policy,
  place: Place,
  now: number,
): ConvertErrorValue | undefined {
  if (!policy.allow.has(address)) return NOT_AUTHORIZED
  if (policy.cookies) {
    // §6.2.7: "If the received SYN did not contain a Cookie TLV, and cookie validation is required, the Transport
    // Converter MAY compute a Cookie bound to this Client address."
    if (!request.cookie) return { name: 'missing-cookie', cookie: bakeCookie(policy.cookies, address, now) }
    // "Otherwise, the Transport Converter MUST return an Error TLV set to "Not Authorized"".
    if (!isCookieValid(policy.cookies, request.cookie, address, now)) return NOT_AUTHORIZED
  }
  const { target } = request
  if (!target) return undefined
  // §6.2.5: "If a Converter receives a Connect TLV with such invalid addresses, it MUST reply with a Malformed
  // Message Error TLV". Nothing can be reached at port 0, either.
  const forbidden = forbiddenTarget(target.address)
  if ((forbidden && !(forbidden === 'loopback' && policy.allowLoopback)) || target.port === 0)
    return malformed(request.message)
  // RFC 3927 §7, RFC 4291 §2.5.6: such an address is valid on one link only, and the client is on another.
  if (LINK_LOCAL.has(target.address))
    return { name: 'destination-unreachable', icmpCode: isIPv4(target.address) ? HOST_UNREACHABLE : BEYOND_SCOPE }
  const kinds = unsupportedKinds(request.tcpOptions, place.tcpOptions)
  if (kinds.length > 0) return { name: 'unsupported-tcp-option', kinds }
  if (policy.allowedTargets ? !policy.allowedTargets.has(target.address) : METADATA.has(target.address))
    return NOT_AUTHORIZED
  if (isForbidden(target, policy, place)) return NOT_AUTHORIZED
  // A translator or a tunnel between the converter and the server would take these out of the address.
  for (const address of embeddedAddresses(target.address))
    if (!isRoutable(address) || isForbidden({ ...target, address }, policy, place)) return NOT_AUTHORIZED
  return undefined
}

function isForbidden(target: Target, policy: Policy, place: Place): boolean {
  if (policy.forbiddenTargets.has(target.address)) return true
  // §9.2: "Hairpinned connections are thus rejected by the Transport Converter by returning an Error TLV set to "Not
  // Authorized"."
  if (!policy.hairpinning && policy.allow.has(target.address)) return true
  return place.isSelf(target)
}

/** Whether the address may be a server's on the Internet or in a private network. */
function isRoutable(address: string): boolean {
  return forbiddenTarget(address) === undefined && !LINK_LOCAL.has(address) && !METADATA.has(address)
}

/**
 * Where clouds tell a machine its credentials, apart from 169.254.169.254, which is link-local: they answer the converter, and
 * mean its operator. Those of Amazon, Alibaba, Azure and Oracle.
 */
const METADATA = new PrefixSet(['fd00:ec2::254', '100.100.100.200', '168.63.129.16', '192.0.0.192'], '')
const LINK_LOCAL = new PrefixSet(['169.254.0.0/16', 'fe80::/10'], '')
/** RFC 792, destination unreachable. */
const HOST_UNREACHABLE = 1
/** RFC 4443 §3.1, destination unreachable: beyond scope of source address. */
const BEYOND_SCOPE = 2
const NOT_AUTHORIZED: ConvertErrorValue = { name: 'not-authorized' }
