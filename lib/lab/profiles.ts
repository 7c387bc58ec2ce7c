/** Ready-made scenarios. Rates and delays are ordinary ones of such networks, not anyone's measurements. */
import type { Scenario } from './scenario.js'

export const PROFILES = {
  'wifi+lte': {
    description: 'home Wi-Fi and LTE',
    accesses: [
      { name: 'wifi', access: 'non-3gpp', link: { rateMbps: 50, delayMs: 10, jitterMs: 2 } },
      { name: 'cell', access: '3gpp', link: { rateMbps: 20, delayMs: 30, jitterMs: 5 } },
    ],
    dataNetwork: { delayMs: 5 },
  },
  'wifi+5g': {
    description: 'a crowded Wi-Fi and 5G, which is faster',
    accesses: [
      { name: 'wifi', access: 'non-3gpp', link: { rateMbps: 30, delayMs: 12, jitterMs: 6, lossPercent: 0.3 } },
      { name: 'cell', access: '3gpp', link: { rateMbps: 150, delayMs: 8, jitterMs: 2 } },
    ],
    dataNetwork: { delayMs: 5 },
  },
  train: {
    description: 'on a train: LTE with holes in its coverage, and Wi-Fi at the stations; a minute, again and again',
    accesses: [
      { name: 'wifi', access: 'non-3gpp', link: { rateMbps: 25, delayMs: 15, jitterMs: 5 } },
      { name: 'cell', access: '3gpp', link: { rateMbps: 30, delayMs: 30, jitterMs: 8 } },
    ],
    dataNetwork: { delayMs: 5 },
    period: 60,
    trace: [
      { at: 0, link: 'wifi', set: { carrier: true, lossPercent: 0, down: false }, note: 'in the station' },
      { at: 0, link: 'cell', set: { rateMbps: 30, delayMs: 30, down: false }, note: 'LTE is good' },
      { at: 8, link: 'wifi', set: { lossPercent: 8 }, note: 'leaving the station' },
      { at: 11, link: 'wifi', set: { carrier: false }, note: 'the Wi-Fi is gone' },
      { at: 18, link: 'cell', set: { rateMbps: 6, delayMs: 60 }, note: 'open country' },
      { at: 26, link: 'cell', set: { down: true }, note: 'into the tunnel: LTE is silent' },
      { at: 30, link: 'cell', set: { down: false, rateMbps: 15, delayMs: 45 }, note: 'out of the tunnel' },
      { at: 38, link: 'cell', set: { rateMbps: 2, delayMs: 90 }, note: 'the edge of a cell' },
      { at: 41, link: 'cell', set: { down: true }, note: 'handed over to the next cell' },
      { at: 41.6, link: 'cell', set: { down: false, rateMbps: 30, delayMs: 30 }, note: 'in the next cell' },
      { at: 50, link: 'wifi', set: { carrier: true, lossPercent: 5 }, note: 'the next station comes near' },
      { at: 54, link: 'wifi', set: { lossPercent: 0 }, note: 'in the station' },
    ],
  },
} as const satisfies Record<string, Scenario>

export type ProfileName = keyof typeof PROFILES
