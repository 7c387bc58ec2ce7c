/** Rules in words. */

import { trafficToJson } from '../../policy/rules/json-traffic.js'
import type { AccessType, Rule, Steering, Thresholds } from '../../policy/rules/rule.js'

/** `rule 'web', precedence 10`. */
export function titleOf({ id, precedence }: Rule): string {
  return id === undefined ? `the rule of precedence ${precedence}` : `rule '${id}', precedence ${precedence}`
}

/** The rule's traffic descriptor: criteria that must all match, each with its alternatives. */
export function trafficInWords({ traffic }: Pick<Rule, 'traffic'>): string {
  const { matchAll, ...lists } = trafficToJson(traffic) as { matchAll?: true } & Record<string, unknown[]>
  const parts = Object.entries(lists).map(([kind, items]) => `${KINDS[kind]} ${items.map(shown).join(' or ')}`)
  if (matchAll) parts.unshift('everything')
  return parts.join(', and ') || 'nothing'
}

const KINDS: Readonly<Record<string, string>> = {
  remoteAddresses: 'to',
  remotePorts: 'port',
  protocols: 'IP protocol',
  fqdns: 'name',
  regularExpressions: 'name by expression',
  applications: 'application',
  ipTuples: 'to',
  opaque: 'components that are not evaluated here:',
}

function shown(item: unknown): string {
  if (typeof item !== 'object' || item === null) return String(item)
  const { remoteAddress, protocol, remotePort, osId, osAppId } = item as Record<string, unknown>
  if (osAppId !== undefined) return osId === undefined ? `'${osAppId}'` : `'${osAppId}' of OS ${osId}`
  const parts = [
    ...(remoteAddress === undefined ? [] : [String(remoteAddress)]),
    ...(protocol === undefined ? [] : [`IP protocol ${protocol}`]),
    ...(remotePort === undefined ? [] : [`port ${remotePort}`]),
  ]
  return `(${parts.join(', ')})`
}

/** How the connections of a rule are steered, in a table of rules. @param names of both accesses */
export function handlingInWords(
  { steering, unsteered }: { steering: Steering | undefined; unsteered?: string | undefined },
  names?: Readonly<Record<AccessType, string>>,
): string {
  if (unsteered !== undefined) return 'left to the system, as plain TCP'
  return steering ? steeringInWords(steering, names) : 'not steered'
}

/** @param names of both accesses, by default those of 3GPP */
export function steeringInWords(steering: Steering, names = NAMES): string {
  switch (steering.mode) {
    case 'active-standby': {
      const { active, standby } = steering
      const rest = standby === undefined ? 'and never the other' : `and ${names[standby]} while it is unavailable`
      return `active-standby: ${names[active]}, ${rest}`
    }
    case 'smallest-delay':
      return 'smallest-delay: whichever access has the smaller round-trip time'
    case 'load-balancing': {
      const { percent3gpp, indicator, thresholds } = steering
      if (percent3gpp === undefined || indicator === 'autonomous') return 'load-balancing: as the device chooses'
      const shares = `load-balancing: ${percent3gpp} % over ${names['3gpp']}, ${100 - percent3gpp} % over ${names['non-3gpp']}`
      return `${shares}${indicator === undefined ? '' : ', or as the device asks'}${limits(thresholds)}`
    }
    case 'priority-based':
      return `priority-based: ${names[steering.high]}, and both while it is congested${limits(steering.thresholds)}`
    case 'redundant':
      return `redundant: everything on both${limits(steering.thresholds)}`
    case 'unknown':
      return `steering mode ${steering.code}, which is not known`
  }
}

const NAMES: Readonly<Record<AccessType, string>> = { '3gpp': '3gpp', 'non-3gpp': 'non-3gpp' }

function limits(thresholds: Thresholds | undefined): string {
  const { rttMs, lossPermille } = thresholds ?? {}
  const parts = [
    ...(rttMs === undefined ? [] : [`a round trip of ${rttMs} ms`]),
    ...(lossPermille === undefined ? [] : [`a loss of ${lossPermille / 10} %`]),
  ]
  return parts.length === 0 ? '' : `; congested is over ${parts.join(' or ')}`
}
