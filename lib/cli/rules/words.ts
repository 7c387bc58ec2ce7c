/** Rules in words. */

import { trafficToJson } from '../../policy/rules/json-traffic.js'
import type { Rule, Steering, Thresholds } from '../../policy/rules/rule.js'

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

/** How the connections of a rule are steered, in a table of rules. */
export function handlingInWords({
  steering,
  unsteered,
}: {
  steering: Steering | undefined
  unsteered?: string | undefined
}): string {
  if (unsteered !== undefined) return 'left to the system, as plain TCP'
  return steering ? steeringInWords(steering) : 'not steered'
}

export function steeringInWords(steering: Steering): string {
  switch (steering.mode) {
    case 'active-standby': {
      const { active, standby } = steering
      return `active-standby: ${active}, ${standby === undefined ? 'and never the other' : `and ${standby} while it is unavailable`}`
    }
    case 'smallest-delay':
      return 'smallest-delay: whichever access has the smaller round-trip time'
    case 'load-balancing': {
      const { percent3gpp, indicator, thresholds } = steering
      if (percent3gpp === undefined || indicator === 'autonomous') return 'load-balancing: as the device chooses'
      const shares = `load-balancing: ${percent3gpp} % over 3gpp, ${100 - percent3gpp} % over non-3gpp`
      return `${shares}${indicator === undefined ? '' : ', or as the device asks'}${limits(thresholds)}`
    }
    case 'priority-based':
      return `priority-based: ${steering.high}, and both while it is congested${limits(steering.thresholds)}`
    case 'redundant':
      return `redundant: everything on both${limits(steering.thresholds)}`
    case 'unknown':
      return `steering mode ${steering.code}, which is not known`
  }
}

function limits(thresholds: Thresholds | undefined): string {
  const { rttMs, lossPermille } = thresholds ?? {}
  const parts = [
    ...(rttMs === undefined ? [] : [`a round trip of ${rttMs} ms`]),
    ...(lossPermille === undefined ? [] : [`a loss of ${lossPermille / 10} %`]),
  ]
  return parts.length === 0 ? '' : `; congested is over ${parts.join(' or ')}`
}
