/**
 * The settings of a link, and the commands with which the emulator gets them. Values to words; no I/O.
 */

import { AtsssError } from '../errors.js'
import { integer, invalid, oneOf } from '../input/check.js'

/** The quality of a link, in both directions. A setting that is left out stays as it is; at first it is the default. */
export interface LinkProfile {
  /**
   * The rate in each direction, in megabits of IP packets per second. 0: no limit.
   *
   * @defaultValue 0
   */
  rateMbps?: number
  /**
   * One way, in milliseconds: the round trip takes twice as long.
   *
   * @defaultValue 0
   */
  delayMs?: number
  /**
   * How much the delay of a packet may differ from `delayMs`, in milliseconds, up or down.
   *
   * @defaultValue 0
   */
  jitterMs?: number
  /**
   * Whether jitter may let a packet overtake another.
   *
   * @defaultValue false
   */
  reorder?: boolean
  /**
   * Percent of the packets that are lost at random, in each direction separately. Range 0…100.
   *
   * @defaultValue 0
   */
  lossPercent?: number
  /**
   * How long a packet may wait for those before it, in milliseconds; a packet that would wait longer is dropped.
   * Without a rate, packets do not wait. Two full packets always fit.
   *
   * @defaultValue 100, a common depth of home routers and base stations
   */
  bufferMs?: number
  /**
   * The seed of the random numbers for loss and jitter: the same seed loses the same packets.
   *
   * @defaultValue 1
   */
  seed?: number
}

const ACTIONS = ['drop', 'strip-mptcp', 'strip-syn-data'] as const
const MATCHES = ['all', 'tcp', 'syn', 'syn-ack', 'syn-data', 'mp-capable', 'mp-join', 'data'] as const

/** What a middlebox on the link does to the packets it recognises. */
export interface Mangling {
  /**
   * - `drop`: the packet is lost
   * - `strip-mptcp`: its MPTCP options become padding
   * - `strip-syn-data`: a SYN goes on without its payload
   */
  action: (typeof ACTIONS)[number]
  /**
   * Which packets: all of them, TCP, SYN (without ACK), SYN+ACK, SYN with payload, SYN with MP_CAPABLE or MP_JOIN, payload
   * after the SYN.
   *
   * @defaultValue 'all'
   */
  match?: (typeof MATCHES)[number]
  /** For how many packets in each direction; 0, or left out: for all packets. */
  count?: number
}

/** The settings of one direction, which may change while the lab is open. */
export interface DirectionChange extends LinkProfile {
  /** A black hole: everything is lost without notice, including packets on their way. */
  down?: boolean
  /** Replaces the middlebox's rules; `[]` removes them. They apply in this order, until one drops the packet. */
  mangle?: readonly Mangling[]
}

/** The settings of a link, which may change while the lab is open: for both directions, or for one. */
export interface LinkChange extends DirectionChange {
  /** Whether the UE's interface has carrier (IFF_RUNNING). Without it nothing passes, and the UE's kernel knows. */
  carrier?: boolean
  /** From the UE to the network. */
  uplink?: DirectionChange
  /** From the network to the UE. */
  downlink?: DirectionChange
}

/** For each setting: the emulator's word, the factor to its unit, and the largest value that makes sense. */
const settings: Record<keyof LinkProfile | 'down', { word: string; factor: number; most: number }> = {
  rateMbps: { word: 'rate', factor: 1e6, most: 1e6 },
  delayMs: { word: 'delay', factor: 1000, most: 60_000 },
  jitterMs: { word: 'jitter', factor: 1000, most: 60_000 },
  reorder: { word: 'reorder', factor: 1, most: 1 },
  lossPercent: { word: 'loss', factor: 0.01, most: 100 },
  bufferMs: { word: 'buffer', factor: 1000, most: 60_000 },
  seed: { word: 'seed', factor: 1, most: 2 ** 48 },
  down: { word: 'down', factor: 1, most: 1 },
}

/** The commands that make the change, without their numbers. Throws `ERR_ATSSS_OPTION` for impossible settings. */
export function commandsFor(link: string, change: LinkChange): string[] {
  const { carrier, uplink, downlink, ...both } = change
  const commands = [
    ...directionCommands(link, 'both', both),
    ...directionCommands(link, 'uplink', uplink ?? {}),
    ...directionCommands(link, 'downlink', downlink ?? {}),
  ]
  if (carrier !== undefined) commands.push(`carrier ${link} ${carrier ? 1 : 0}`)
  return commands
}

/** Two changes, the second one later, as one. A later setting for both directions replaces an earlier one for one direction. */
export function together(first: LinkChange, second: LinkChange): LinkChange {
  const { uplink, downlink, ...before } = first
  const { uplink: up, downlink: down, ...after } = second
  const { carrier: _, ...both } = after
  const of = (direction?: DirectionChange, more?: DirectionChange) =>
    direction || more ? { ...direction, ...both, ...more } : undefined
  const [one, other] = [of(uplink, up), of(downlink, down)]
  return { ...before, ...after, ...(one && { uplink: one }), ...(other && { downlink: other }) }
}

function directionCommands(link: string, direction: string, change: DirectionChange): string[] {
  const { mangle, ...values } = change
  const words = Object.entries(values).flatMap(([name, value]) => {
    if (value === undefined) return []
    const setting = settings[name as keyof typeof settings]
    if (setting === undefined) throw new AtsssError('ERR_ATSSS_OPTION', `a link has no ${name}: ${knownNames()}`)
    const number = Number(value)
    if (!(number >= 0 && number <= setting.most)) throw invalid(name, `between 0 and ${setting.most}`, value)
    return [setting.word, String(number * setting.factor)]
  })
  const commands = words.length > 0 ? [['set', link, direction, ...words].join(' ')] : []
  if (mangle !== undefined) commands.push(['rules', link, direction, ...mangle.map(ruleWord)].join(' '))
  return commands
}

function ruleWord({ action, match, count }: Mangling): string {
  const words = [oneOf('action', action, ACTIONS, 'drop'), oneOf('match', match, MATCHES, 'all')]
  return [...words, integer('count', count, 0, Number.MAX_SAFE_INTEGER, 0)].join(':')
}

function knownNames(): string {
  return [...Object.keys(settings), 'mangle', 'carrier', 'uplink', 'downlink'].join(', ')
}
