import { describe, expect, test } from 'vitest'
import {
  byProspect,
  type Candidate,
  candidates,
  directCandidates,
  type Endpoint,
  interleave,
  LIFE_OF_SYN,
  nextBeside,
  probeBeside,
  type Reach,
  synPause,
  type ViaConverter,
  type WayIn,
  without,
} from '../../../lib/policy/connect/candidates.js'
import { endpoint, via, way } from '../../support/candidates.js'

const server4 = endpoint('192.0.2.1')
const server6 = endpoint('2001:db8::1')
const first = via('198.51.100.1')
const second = via('198.51.100.2')

/** A way in short: "converter>server". */
/** Over the routing table's choice of interface. */
const waysIn = (vias: ViaConverter[]): WayIn[] => vias.map(via => ({ via, interface: undefined }))
/** All of them over the same interfaces. */
const reached = (to: Endpoint[], interfaces: (string | undefined)[] = [undefined]): Reach[] =>
  to.map(endpoint => ({ to: endpoint, interfaces }))
const short = ({ via, destination }: Candidate) => `${via?.endpoint.address ?? ''}>${destination.address}`

describe('all ways, best first', () => {
  test.each([
    ['no converters', [], [server4], []],
    ['no destinations', [first], [], []],
    ['one of each', [first], [server4], ['198.51.100.1>192.0.2.1']],
    [
      'destinations vary fastest',
      [first, second],
      [server6, server4],
      ['198.51.100.1>2001:db8::1', '198.51.100.1>192.0.2.1', '198.51.100.2>2001:db8::1', '198.51.100.2>192.0.2.1'],
    ],
  ])('%s', (_, vias, destinations, expected) => {
    expect(candidates(waysIn(vias), reached(destinations)).map(short)).toEqual(expected)
  })

  test('direct ones keep the order of the destinations', () => {
    expect(directCandidates(reached([server6, server4])).map(short)).toEqual(['>2001:db8::1', '>192.0.2.1'])
  })

  test('each destination over its own interfaces, in their order', () => {
    const ways = [first, second].flatMap(via => ['wifi', 'cell'].map(name => ({ via, interface: name })))
    const reaches = [
      { to: server6, interfaces: ['cell', 'wifi'] },
      { to: server4, interfaces: ['wifi'] },
    ]
    const shown = (way: Candidate) => `${way.interface} ${short(way)}`
    expect(candidates(ways, reaches).map(shown)).toEqual([
      'cell 198.51.100.1>2001:db8::1',
      'wifi 198.51.100.1>192.0.2.1',
      'wifi 198.51.100.1>2001:db8::1',
      'cell 198.51.100.2>2001:db8::1',
      'wifi 198.51.100.2>192.0.2.1',
      'wifi 198.51.100.2>2001:db8::1',
    ])
    expect(directCandidates(reaches).map(shown)).toEqual(['cell >2001:db8::1', 'wifi >2001:db8::1', 'wifi >192.0.2.1'])
    expect(candidates(ways, [{ to: server4, interfaces: [] }])).toEqual([])
  })

  test('none has been tried', () => {
    for (const fresh of [...candidates(waysIn([first]), reached([server4])), ...directCandidates(reached([server4]))])
      expect(fresh).toMatchObject({ unanswered: 0, retriedAfter: [] })
  })
})

describe('address families alternate (RFC 8305 §4)', () => {
  test.each([
    ['nothing', '', ''],
    ['one', 'a4', 'a4'],
    ['one family keeps its order', 'c4 a4 b4', 'c4 a4 b4'],
    ['alternating stays', 'a6 b4 c6', 'a6 b4 c6'],
    ['the first one decides who begins', 'a4 b6', 'a4 b6'],
    ['blocks are mixed', 'a6 b6 c4 d4', 'a6 c4 b6 d4'],
    ['what is left of the longer one comes last', 'a6 b6 c6 d4', 'a6 d4 b6 c6'],
    ['what is left of the other one, too', 'a4 b6 c6 d6', 'a4 b6 c6 d6'],
  ])('%s: %s', (_, given, expected) => {
    const list = given.split(' ').filter(Boolean)
    const addresses = list.map(name => ({ name, family: Number(name[1]) as 4 | 6 }))
    expect(interleave(addresses).map(({ name }) => name)).toEqual(expected.split(' ').filter(Boolean))
  })

  test('leaves what it was given alone', () => {
    const given = [server6, server6, server4]
    interleave(given)
    expect(given).toEqual([server6, server6, server4])
  })
})

describe('what to try beside a way that is slow', () => {
  const queue = candidates(waysIn([first, second]), reached([server6, server4])).slice(1)
  const current = way(server6, first)

  test.each([
    ['a silent converter: another converter', queue, current, false, '198.51.100.2>2001:db8::1'],
    ['a converter that is there: another address of the server', queue, current, true, '198.51.100.1>192.0.2.1'],
    ['a silent converter, none other left: what there is', queue.slice(0, 1), current, false, '198.51.100.1>192.0.2.1'],
    [
      'a converter that is there, no other address: another converter',
      queue.slice(1, 2),
      current,
      true,
      '198.51.100.2>2001:db8::1',
    ],
    ['a direct way: the next one', directCandidates(reached([server4])), way(server6), false, '>192.0.2.1'],
    [
      'a silent converter whose form has been changed is still the same converter',
      queue,
      way(server6, { ...first, form: '1rtt' }),
      false,
      '198.51.100.2>2001:db8::1',
    ],
  ])('%s', (_, left, slow, converterIsThere, expected) => {
    const next = nextBeside(left, slow, converterIsThere)
    expect(next && short(next)).toBe(expected)
  })

  test('nothing, when nothing is left', () => {
    expect(nextBeside([], current, false)).toBeUndefined()
    expect(nextBeside([], current, true)).toBeUndefined()
  })
})

describe('what a failure leaves', () => {
  const all = candidates(waysIn([first, second]), reached([server6, server4]))

  test.each([
    ['attempt', ['198.51.100.1>192.0.2.1', '198.51.100.2>2001:db8::1', '198.51.100.2>192.0.2.1']],
    ['pair', ['198.51.100.1>192.0.2.1', '198.51.100.2>2001:db8::1', '198.51.100.2>192.0.2.1']],
    ['way', ['198.51.100.2>2001:db8::1', '198.51.100.2>192.0.2.1']],
    ['destination', ['198.51.100.1>192.0.2.1', '198.51.100.2>192.0.2.1']],
    ['all', []],
  ] as const)('%s', (scope, expected) => {
    expect(without(all.slice(1), all[0]!, scope).map(short)).toEqual(expected)
  })

  test('a pair is ruled out over its interface only', () => {
    const ways = ['wifi', 'cell'].map(name => ({ via: first, interface: name }))
    const over = reached([server6, server4], ['wifi', 'cell'])
    const [failed, ...queue] = candidates(ways, over) as [Candidate, ...Candidate[]]
    expect(without(queue, failed, 'pair').map(way => `${way.interface} ${way.destination.address}`)).toEqual([
      'wifi 192.0.2.1',
      'cell 2001:db8::1',
      'cell 192.0.2.1',
    ])
  })

  test('a converter in another form, or with a cookie, is the same converter', () => {
    const changed = way(server6, { ...first, form: '1rtt', cookie: Uint8Array.of(1) })
    expect(without(all, changed, 'way').map(short)).toEqual(['198.51.100.2>2001:db8::1', '198.51.100.2>192.0.2.1'])
  })

  test('a destination that a converter reports as dead is dead directly, too', () => {
    expect(without(directCandidates(reached([server6, server4])), all[0]!, 'destination').map(short)).toEqual([
      '>192.0.2.1',
    ])
  })

  test('leaves the queue itself alone', () => {
    const queue = [...all]
    const left = without(queue, all[0]!, 'attempt')
    left.pop()
    expect(queue).toEqual(all)
  })
})

describe('how long to wait for a SYN+ACK', () => {
  test.each([
    ['0-RTT: before the kernel repeats the SYN, empty', way(server4, first), [900, 1_800, 3_600, 7_200]],
    [
      '1-RTT: the kernel repeats it as well as we',
      way(server4, { ...first, form: '1rtt' }),
      [LIFE_OF_SYN, 2 * LIFE_OF_SYN, 4 * LIFE_OF_SYN],
    ],
    ['direct: the same', way(server4), [LIFE_OF_SYN, 2 * LIFE_OF_SYN, 4 * LIFE_OF_SYN]],
  ])('%s; doubling', (_, candidate, expected) => {
    const pauses = expected.map((_, unanswered) => synPause({ ...candidate, unanswered }, 900))
    expect(pauses).toEqual(expected)
  })

  test('a socket lives shorter than until the SYN that would switch MPTCP off', () => {
    expect(LIFE_OF_SYN).toBeGreaterThan(1_000)
    expect(LIFE_OF_SYN).toBeLessThan(2_000)
  })
})

describe('what is known of the ways', () => {
  const ways = [
    { via: first, interface: 'wifi', prospect: 'poor' as const },
    { via: first, interface: 'cell' },
    { via: second, interface: 'wifi', prospect: 'none' as const },
    { via: second, interface: 'cell' },
  ]
  const over = reached([server6, server4], ['wifi', 'cell'])
  const shown = (way: Candidate) => `${way.interface} ${short(way)}`

  test('good ones are tried first, then poor ones, and those that cannot work last', () => {
    expect(byProspect(candidates(ways, over)).map(shown)).toEqual([
      'cell 198.51.100.1>2001:db8::1',
      'cell 198.51.100.1>192.0.2.1',
      'cell 198.51.100.2>2001:db8::1',
      'cell 198.51.100.2>192.0.2.1',
      'wifi 198.51.100.1>2001:db8::1',
      'wifi 198.51.100.1>192.0.2.1',
      'wifi 198.51.100.2>2001:db8::1',
      'wifi 198.51.100.2>192.0.2.1',
    ])
  })

  test('the same without a converter', () => {
    const prospectOf = ({ family }: Endpoint, name: string | undefined) =>
      family === 6 && name === 'wifi' ? ('none' as const) : ('good' as const)
    expect(byProspect(directCandidates(over, prospectOf)).map(shown)).toEqual([
      'wifi >192.0.2.1',
      'cell >2001:db8::1',
      'cell >192.0.2.1',
      'wifi >2001:db8::1',
    ])
  })

  test("the rule's access comes first, though the converter's first address has not its family", () => {
    const mixed = [
      { via: first, interface: 'wifi', prospect: 'none' as const },
      { via: first, interface: 'cell' },
      { via: second, interface: 'wifi' },
      { via: second, interface: 'cell', prospect: 'none' as const },
    ]
    expect(candidates(mixed, reached([server4], ['wifi', 'cell'])).map(shown)).toEqual([
      'wifi 198.51.100.2>192.0.2.1',
      'cell 198.51.100.1>192.0.2.1',
      'wifi 198.51.100.1>192.0.2.1',
      'cell 198.51.100.2>192.0.2.1',
    ])
  })

  test('addresses of the other family are kept for further subflows, unless the rules forbid connections to them', () => {
    const [one, two] = directCandidates(reached([server4, server6], ['wifi']))
    expect([one!.others, two!.others]).toEqual([[server6], [server4]])
    const forbidden = [...reached([server4], ['wifi']), ...reached([server6], [])]
    expect(directCandidates(forbidden).map(({ others }) => others)).toEqual([undefined])
  })

  test('a silent converter is asked for the same destination over another access, and nothing is sent there', () => {
    const silent = candidates(ways, over)[0]!
    const queue = candidates(ways, over).slice(1)
    expect(shown(probeBeside(queue, silent)!)).toBe('cell 198.51.100.1>2001:db8::1')
    expect(probeBeside(queue, silent)!.via?.pipelining).toBe(false)
    const sameAccess = queue.filter(way => way.interface === 'wifi')
    expect(probeBeside(sameAccess, silent)).toBeUndefined()
    expect(probeBeside(directCandidates(over), directCandidates(over)[0]!)).toBeUndefined()
    expect(probeBeside([{ ...silent, interface: 'cell', prospect: 'none' }], silent)).toBeUndefined()
  })
})

test('over two interfaces: silence calls for the other one, and failures of one leave the other', () => {
  const ways = [
    { via: first, interface: 'wifi' },
    { via: first, interface: 'cell' },
    { via: second, interface: 'wifi' },
  ]
  const over = reached([server6, server4], ['wifi', 'cell'])
  const [current, ...queue] = candidates(ways, over) as [Candidate, ...Candidate[]]
  const shown = (way: Candidate) => `${way.interface} ${short(way)}`
  expect(shown(nextBeside(queue, current, false)!)).toBe('cell 198.51.100.1>2001:db8::1')
  expect(shown(nextBeside(queue, current, true)!)).toBe('wifi 198.51.100.1>192.0.2.1')
  expect(without(queue, current, 'way').map(way => way.interface)).toEqual(['cell', 'cell', 'wifi', 'wifi'])
  expect(directCandidates(over).map(way => way.interface)).toEqual(['wifi', 'cell', 'wifi', 'cell'])
})
