/** Quantities and events in words. */
import type { Traffic, TrafficByAccess } from '../../runtime/steering/rates.js'
import { sumOf } from '../../runtime/steering/subflow-report.js'
import type { WatchEvent, WatchedConnection } from '../../runtime/watch/messages.js'

/** `12.3 Mbit/s`. */
export function rateInWords(bits: number | undefined): string {
  if (bits === undefined) return UNKNOWN
  if (bits < 1e3) return `${bits.toFixed(0)} bit/s`
  if (bits < 1e6) return `${(bits / 1e3).toFixed(1)} kbit/s`
  return bits < 1e9 ? `${(bits / 1e6).toFixed(1)} Mbit/s` : `${(bits / 1e9).toFixed(2)} Gbit/s`
}

/** `20.4 ms`. */
export function millisecondsInWords(ms: number | undefined): string {
  return ms === undefined ? UNKNOWN : `${ms.toFixed(1)} ms`
}

/** `1.5 %`. */
export function lossInWords(permille: number | undefined): string {
  return percentInWords(permille === undefined ? undefined : permille / 10, 1)
}

/** `20 %`. */
export function percentInWords(percent: number | undefined, digits = 0): string {
  return percent === undefined ? UNKNOWN : `${percent.toFixed(digits)} %`
}

/** A figure that is not known. */
export const UNKNOWN = '–'

/** `1.2 MB`. */
export function bytesInWords(bytes: number): string {
  if (bytes < 1e3) return `${bytes} B`
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`
}

/** `14:03:05.2`, local time. */
export function timeInWords(at: number): string {
  const date = new Date(at)
  const two = (part: number) => String(part).padStart(2, '0')
  const tenth = Math.floor(date.getMilliseconds() / 100)
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${tenth}`
}

export function happeningInWords(happening: WatchEvent): string {
  switch (happening.event) {
    case 'access':
      return `${happening.access} is ${happening.available ? 'available' : 'lost'}: ${happening.why}`
    case 'action': {
      const { connection, action, error } = happening
      const whose = connection === undefined ? '' : `#${connection} `
      return `${whose}${actionInWords(action)}: ${action.why}${error === undefined ? '' : `; the kernel refused: ${error}`}`
    }
    case 'handover': {
      const { connection, from, to, gapMs } = happening
      const whose = connection === undefined ? '' : `#${connection} `
      return `${whose}handover from ${from} to ${to}${gapMs === undefined ? '' : `, nothing arrived for ${Math.round(gapMs)} ms`}`
    }
    case 'rules':
      return `the rules are now ${happening.names.join(', ') || 'none'}`
    case 'degraded':
    case 'problem':
      return happening.message
  }
}

/** The subflows, without a destroyed first one, which the kernel keeps. */
export function openOnes({ subflows }: WatchedConnection): WatchedConnection['subflows'] {
  return subflows.filter(({ state }) => state !== 'closed')
}

/** What both accesses carry together. The shares are those of 3GPP access. */
export function together({ '3gpp': one, 'non-3gpp': other }: TrafficByAccess): Traffic {
  const sum = (a: number | undefined, b: number | undefined) => (a === undefined || b === undefined ? undefined : a + b)
  return {
    ...sumOf(one, other),
    sendRate: sum(one.sendRate, other.sendRate),
    receiveRate: sum(one.receiveRate, other.receiveRate),
    sendShare: one.sendShare,
    receiveShare: one.receiveShare,
  }
}

function actionInWords(action: (WatchEvent & { event: 'action' })['action']): string {
  if (action.do === 'create') return `new subflow over ${action.access}${action.backup ? ', as backup' : ''}`
  if (action.do === 'destroy') return `subflow ${action.subflow} closed`
  if (action.do === 'ask') return `asking the peer over subflow ${action.subflow} what has arrived`
  return `subflow ${action.subflow} ${action.backup ? 'is a backup now' : 'is in use now'}`
}
