import { describe, expect, test } from 'vitest'
import { type Link, type LinkChange, PROFILES, parseScenario, playTrace, type Scenario } from '../../lib/lab/index.js'

test.each(Object.entries(PROFILES))('%s is a scenario', (_name, profile) => {
  expect(parseScenario(JSON.parse(JSON.stringify(profile)))).toEqual(profile)
})

describe('what is wrong, with its place', () => {
  const wifi = { name: 'wifi', access: 'non-3gpp', link: {} }
  test.each<[unknown, string]>([
    [[], 'the scenario: must be an object'],
    [{ acceses: [] }, "the scenario.acceses: unknown property — did you mean 'accesses'?"],
    [{ accesses: {} }, 'accesses: must be an array'],
    [{ accesses: null }, 'accesses: must be an array; it is null'],
    [{ accesses: new Array(1) }, 'accesses[0]: must be an object; it is missing'],
    [{ trace: null }, 'trace: must be an array; it is null'],
    [{ dataNetwork: null }, 'dataNetwork: must be an object; it is null'],
    [{ ipv6: 'no' }, "ipv6: must be true or false; it is 'no'"],
    [{ accesses: [{ ...wifi, name: 5 }] }, 'accesses[0].name: must be the name of an interface'],
    [{ accesses: [{ name: 'wifi', link: {} }] }, "accesses[0].access: must be '3gpp' or 'non-3gpp'; it is missing"],
    [
      { accesses: [{ ...wifi, access: '4gpp' }] },
      "accesses[0].access: must be '3gpp' or 'non-3gpp'; it is '4gpp'; did you mean '3gpp'?",
    ],
    [{ accesses: [{ ...wifi, link: { rate: 5 } }] }, 'accesses[0].link: a link has no rate: rateMbps, '],
    [{ accesses: [wifi, wifi] }, 'each with a name of its own'],
    [{ dataNetwork: { lossPercent: 101 } }, 'dataNetwork: Option "lossPercent" must be between 0 and 100'],
    [{ trace: [{ at: 1, link: 'lan', set: {} }] }, "trace[0].link: must be 'wifi', 'cell' or 'data'; it is 'lan'"],
    [
      {
        trace: [
          { at: 2, link: 'wifi', set: {} },
          { at: 1, link: 'wifi', set: {} },
        ],
      },
      'trace[1].at: must be a number of seconds, 2 or later; it is 1',
    ],
    [{ trace: [{ at: 0, link: 'wifi', set: { up: true } }] }, 'trace[0].set: a link has no up'],
    [{ trace: [{ at: 9, link: 'wifi', set: {} }], period: 5 }, 'period: must be a number of seconds, 9 or more'],
  ])('%j', (json, message) => {
    expect(() => parseScenario(json)).toThrow(
      expect.objectContaining({ code: 'ERR_ATSSS_OPTION', message: expect.stringContaining(message) }),
    )
  })
})

describe('playing a trace', () => {
  const trace: Scenario['trace'] = [
    { at: 0, link: 'wifi', set: { lossPercent: 1 } },
    { at: 0.02, link: 'cell', set: { down: true } },
  ]
  const changes: [string, LinkChange][] = []
  const link = (name: string) =>
    ({ name, set: async (change: LinkChange) => void changes.push([name, change]) }) as unknown as Link

  test('once, in order, and then it ends', async () => {
    changes.length = 0
    const told: string[] = []
    await playTrace({ trace }, link, new AbortController().signal, step => told.push(step.link))
    expect(changes).toEqual([
      ['wifi', { lossPercent: 1 }],
      ['cell', { down: true }],
    ])
    expect(told).toEqual(['wifi', 'cell'])
  })

  test('again and again, until it is aborted', async () => {
    changes.length = 0
    const end = new AbortController()
    await playTrace({ trace, period: 0.04 }, link, end.signal, () => changes.length === 5 && end.abort())
    expect(changes.map(([name]) => name)).toEqual(['wifi', 'cell', 'wifi', 'cell', 'wifi'])
  })

  test('a link that refuses a change rejects the trace', async () => {
    const refusing = () => ({ set: () => Promise.reject(new Error('gone')) }) as unknown as Link
    await expect(playTrace({ trace }, refusing, new AbortController().signal)).rejects.toThrow('gone')
  })
})
