/** Extended regular expressions: IEEE 1003.1 §9.4, and the engine of grep -E beside ours. */
import { spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { compileExpression, type NameTest } from '../../../lib/policy/rules/regular-expression.js'
import { seeded } from '../../support/random.js'

const compiled = (expression: string) => compileExpression(expression) as NameTest

test.each<[string, string[], string[]]>([
  ['example', ['example', 'www.example.com', 'anexamples'], ['exampl', '']],
  ['^example\\.com$', ['example.com'], ['www.example.com', 'example-com', 'example.com.au']],
  ['(^|\\.)example\\.(com|org)$', ['example.com', 'a.example.org'], ['badexample.com', 'example.net']],
  ['^[a-c]+[^x-z0]{2}$', ['abct-', 'a12'], ['at', 'abcx1', 'a1'.repeat(9)]],
  ['^(ab?c){2,3}$', ['acabc', 'acacac'], ['ac', 'acacacac']],
  ['^a{3}$', ['aaa'], ['aa', 'aaaa']],
  ['^a{2,}$', ['aa', 'aaaaa'], ['a']],
  ['^[[:digit:]x]+$', ['0x9'], ['0a']],
  ['^[]-]$', [']', '-'], ['[', 'a']],
  ['^[a-]$', ['a', '-'], ['b']],
  ['^[[.-.]a]+$', ['a-'], ['b']],
  ['^[\\d]$', ['d', '\\'], ['5']],
  ['^WWW\\.', ['www.example.com'], ['ftp.example.com']],
  ['^(a|b*)*$', ['', 'abba'], ['c']],
])('%s', (expression, yes, no) => {
  for (const name of yes) expect(compiled(expression)(name), name).toBe(true)
  for (const name of no) expect(compiled(expression)(name), name).toBe(false)
})

test.each([
  ['', 'nothing before its end'],
  ['a|', 'nothing before its end'],
  ['a||b', "nothing before '|' at 2"],
  ['()', "nothing before ')' at 1"],
  ['*a', "nothing to repeat before '*' at 0"],
  ['^*a', "nothing to repeat before '*' at 1"],
  ['a)', "unexpected ')' at 1"],
  ['(a', 'a group is not closed'],
  ['[a', 'a bracket is not closed'],
  ['[]', 'a bracket is not closed'],
  ['[z-a]', 'the range z-a is the wrong way round'],
  ['[[:letters:]]', 'there is no class [:letters:]'],
  ['\\d', "no special character 'd' at 1"],
  ['a{', "no count '{' at 1"],
  ['a{2,1}', "no count '{' at 1"],
  ['a{256}', 'it repeats more than 255 times'],
  ['((a{255}){255}){255}', 'it is too large'],
  [`${'('.repeat(200)}a${')'.repeat(200)}`, 'its groups are too deep'],
])("'%s' is none", (expression, why) => {
  expect(compileExpression(expression)).toBe(why)
})

test('what takes a backtracking engine centuries takes no time', () => {
  const started = performance.now()
  expect(compiled('^(([a-z])+.)+[A-Z]([a-z])+$')('a'.repeat(253))).toBe(true)
  expect(compiled('^(a+)+$')(`${'a'.repeat(252)}!`)).toBe(false)
  expect(compiled('(a*)*(a*)*(a*)*(a*)*b')('a'.repeat(253))).toBe(false)
  // The largest that is taken, at every place of the longest name.
  expect(compiled('((a{20}){9}){11}')('a'.repeat(253))).toBe(false)
  expect(performance.now() - started).toBeLessThan(5_000)
})

describe('random expressions', () => {
  /** Over a small alphabet, so that many match. */
  function expression(random: () => number, depth = 3): string {
    const pick = (...of: string[]) => of[Math.floor(random() * of.length)]!
    const one = (): string => {
      if (depth > 0 && random() < 0.25) return `(${expression(random, depth - 1)})`
      return pick('a', 'b', '\\.', '.', '[ab]', '[^a]', '[b-c.]', '[[:digit:]a]')
    }
    const part = () => one() + pick('', '', '', '*', '+', '?', '{2}', '{1,2}', '{0,1}')
    const row = () => Array.from({ length: 1 + Math.floor(random() * 3) }, part).join('')
    const whole = random() < 0.3 ? `${row()}|${row()}` : row()
    return depth === 3 ? pick('', '^') + whole + pick('', '$') : whole
  }

  test('60 of them mean to names what they mean to grep -E', () => {
    const random = seeded(24_526)
    const names = Array.from({ length: 60 }, () =>
      Array.from({ length: 1 + Math.floor(random() * 8) }, () => 'abc.1'[Math.floor(random() * 5)]!).join(''),
    )
    let matched = 0
    for (let i = 0; i < 60; i++) {
      const given = expression(random)
      const { stdout, status } = spawnSync('grep', ['-E', '-e', given], {
        input: `${names.join('\n')}\n`,
        encoding: 'utf8',
        env: { ...process.env, LC_ALL: 'C' },
      })
      expect(status, given).toBeLessThan(2)
      const ours = names.filter(compiled(given))
      matched += ours.length
      expect(ours, given).toEqual(stdout.split('\n').filter(Boolean))
    }
    expect(matched).toBeGreaterThan(600)
    expect(matched).toBeLessThan(3_400)
  })
})
