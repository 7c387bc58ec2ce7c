import { describe, expect, test } from 'vitest'
import { commandsFor, type LinkChange, together } from '../../lib/lab/profile.js'

describe('a change of a link becomes commands', () => {
  const cases: [string, LinkChange, string[]][] = [
    ['nothing', {}, []],
    ['units', { rateMbps: 50, delayMs: 10, bufferMs: 0.5 }, ['set wifi both rate 50000000 delay 10000 buffer 500']],
    [
      'fractions',
      { rateMbps: 1.5, lossPercent: 0.1, jitterMs: 2 },
      ['set wifi both rate 1500000 loss 0.001 jitter 2000'],
    ],
    ['flags', { down: true, reorder: false, seed: 7 }, ['set wifi both down 1 reorder 0 seed 7']],
    ['carrier', { carrier: false }, ['carrier wifi 0']],
    [
      'one direction after both',
      { delayMs: 1, uplink: { delayMs: 2 }, downlink: { down: false } },
      ['set wifi both delay 1000', 'set wifi uplink delay 2000', 'set wifi downlink down 0'],
    ],
    [
      'mangling, in its order',
      { mangle: [{ action: 'drop', match: 'syn', count: 3 }, { action: 'strip-mptcp' }] },
      ['rules wifi both drop:syn:3 strip-mptcp:all:0'],
    ],
    ['no more mangling', { uplink: { mangle: [] } }, ['rules wifi uplink']],
    ['what is undefined stays', { delayMs: undefined } as unknown as LinkChange, []],
  ]
  test.each(cases)('%s', (_, change, commands) => expect(commandsFor('wifi', change)).toEqual(commands))
})

describe('what cannot be is refused', () => {
  const cases: [string, object, RegExp][] = [
    ['a name it does not know', { rate: 5 }, /no rate.*rateMbps/],
    ['one that belongs to the whole link', { uplink: { carrier: false } }, /no carrier/],
    ['a negative value', { delayMs: -1 }, /"delayMs".*between 0 and 60000/],
    ['no number', { rateMbps: Number.NaN }, /"rateMbps"/],
    ['more loss than there is', { lossPercent: 101 }, /"lossPercent".*100/],
    ['words of another command', { delayMs: '1 down 1' }, /"delayMs"/],
    ['an unknown action', { mangle: [{ action: 'burn' }] }, /"action".*'strip-mptcp'/],
    ['an unknown match', { mangle: [{ action: 'drop', match: 'udp' }] }, /"match".*'mp-join'/],
    ['half a packet', { mangle: [{ action: 'drop', count: 0.5 }] }, /"count"/],
  ]
  test.each(cases)('%s', (_, change, message) => {
    const attempt = () => commandsFor('wifi', change)
    expect(attempt).toThrow(message)
    expect(attempt).toThrow(expect.objectContaining({ code: 'ERR_ATSSS_OPTION' }))
  })
})

describe('what a link is like after two changes', () => {
  const cases: [string, LinkChange, LinkChange, LinkChange][] = [
    ['what is not said stays', { rateMbps: 5, delayMs: 1 }, { delayMs: 2 }, { rateMbps: 5, delayMs: 2 }],
    [
      'both directions after one: that one too',
      { delayMs: 1, uplink: { delayMs: 2, lossPercent: 3 } },
      { delayMs: 4, carrier: false },
      { delayMs: 4, carrier: false, uplink: { delayMs: 4, lossPercent: 3 } },
    ],
    ['one after both', { delayMs: 1 }, { downlink: { delayMs: 9 } }, { delayMs: 1, downlink: { delayMs: 9 } }],
    [
      'both and one at once',
      {},
      { rateMbps: 1, uplink: { down: true } },
      { rateMbps: 1, uplink: { rateMbps: 1, down: true } },
    ],
  ]
  test.each(cases)('%s', (_, first, second, all) => expect(together(first, second)).toEqual(all))
})
