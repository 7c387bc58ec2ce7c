import { describe, expect, test } from 'vitest'
import { byPriority } from '../../../lib/policy/connect/srv.js'
import { seeded } from '../../support/random.js'

interface Named {
  name: string
  priority: number
  weight: number
}

/** "name:priority:weight …" */
const records = (text: string): Named[] =>
  text
    .split(' ')
    .filter(Boolean)
    .map(part => {
      const [name, priority, weight] = part.split(':')
      return { name: name!, priority: Number(priority), weight: Number(weight) }
    })

const names = (list: Named[]) => list.map(({ name }) => name).join('')

describe('SRV records (RFC 2782): lower priorities first', () => {
  test.each([
    ['', ''],
    ['a:0:0', 'a'],
    ['c:30:1 a:10:1 b:20:1', 'abc'],
    ['a:65535:65535 b:0:0', 'ba'],
    ['weights do not reach over priorities: a:2:65535 b:1:0', 'ba'],
  ])('%s', (text, expected) => {
    const list = records(text.replace(/^.*: /, ''))
    for (const random of [() => 0, () => 0.5, () => 0.999999]) expect(names(byPriority(list, random))).toBe(expected)
  })
})

describe('within a priority a draw by weight decides', () => {
  test.each([
    // The running sums are 10, 40, 100.
    ['a:1:10 b:1:30 c:1:60', [0, 0, 0], 'abc'],
    ['a:1:10 b:1:30 c:1:60', [0.1, 0, 0], 'abc'],
    ['a:1:10 b:1:30 c:1:60', [0.11, 0, 0], 'bac'],
    ['a:1:10 b:1:30 c:1:60', [0.41, 0.9, 0], 'cba'],
    ['a:1:10 b:1:30 c:1:60', [1, 1, 1], 'cba'],
    ['no weights: any order will do, and it ends: a:1:0 b:1:0', [0.7, 0.7], 'ab'],
  ])('%s, drawing %s', (text, draws, expected) => {
    const left = [...draws]
    expect(names(byPriority(records(text.replace(/^.*: /, '')), () => left.shift() ?? 0))).toBe(expected)
  })

  test('in proportion', () => {
    const random = seeded(8803)
    const list = records('a:1:10 b:1:30 c:1:60')
    const first = { a: 0, b: 0, c: 0 } as Record<string, number>
    for (let i = 0; i < 10_000; i++) first[byPriority(list, random)[0]!.name]!++
    expect(first.a! / 10_000).toBeCloseTo(0.1, 1)
    expect(first.b! / 10_000).toBeCloseTo(0.3, 1)
    expect(first.c! / 10_000).toBeCloseTo(0.6, 1)
  })

  test('a weight of 0 beside others is hardly ever chosen first', () => {
    const random = seeded(2782)
    const list = records('zero:1:0 one:1:1')
    let zeros = 0
    for (let i = 0; i < 1_000; i++) if (byPriority(list, random)[0]?.name === 'zero') zeros++
    expect(zeros).toBeLessThan(5)
  })
})

test('every record comes once, and the list given is not touched', () => {
  const random = seeded(1)
  const list = records('a:1:5 b:1:0 c:2:7 d:2:7 e:1:5 f:0:0')
  const before = names(list)
  for (let i = 0; i < 100; i++) {
    expect([...names(byPriority(list, random))].sort().join('')).toBe('abcdef')
    expect(names(list)).toBe(before)
  }
})
