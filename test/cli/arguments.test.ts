import { describe, expect, test } from 'vitest'
import { HelpWanted, type OptionTable, optionLines, parseArguments, UsageError } from '../../lib/cli/arguments.js'

const TABLE = {
  listen: { type: 'string', multiple: true, value: 'ADDRESS:PORT', help: 'where to listen', unset: '127.0.0.1:0' },
  verbose: { type: 'boolean', short: 'v', help: 'print more' },
  'a-very-long-name': { type: 'string', value: 'tcp|mptcp', help: 'one of the two', unset: 0 },
  long: { type: 'boolean', help: 'word '.repeat(30).trim() },
} as const satisfies OptionTable

test('help: a line for each option, with its default; long texts in several', () => {
  const lines = optionLines(TABLE).split('\n')
  expect(lines.slice(0, 4)).toEqual([
    '  --listen ADDRESS:PORT      where to listen [may be repeated; default: 127.0.0.1:0]',
    '  -v, --verbose              print more',
    '  --a-very-long-name tcp|mptcp',
    '                             one of the two [default: 0]',
  ])
  expect(lines.slice(4).map(line => line.slice(29).split(' ').length)).toEqual([18, 12])
  expect(lines.every(line => line.length <= 118)).toBe(true)
})

test('the same table parses, and a default of the help is not a value', () => {
  const { values, positionals } = parseArguments(['--listen', 'a', '-v', 'word', '--listen=b'], TABLE, true)
  expect(values).toEqual({ __proto__: null, listen: ['a', 'b'], verbose: true })
  expect(positionals).toEqual(['word'])
})

describe('wrong command lines', () => {
  test.each([
    [['--lisen', 'a'], 'unknown option --lisen; did you mean --listen?'],
    [['--listen'], "Option '--listen <value>' argument missing"],
    [['--verbose=x'], "Option '-v, --verbose' does not take an argument"],
    [['word'], "Unexpected argument 'word'"],
  ])('%j', (args, message) => {
    expect(() => parseArguments(args, TABLE)).toThrow(new UsageError(message))
  })

  test('--help wins over a mistake, not over another program', () => {
    expect(() => parseArguments(['--nonsense', '--help'], TABLE)).toThrow(HelpWanted)
    expect(parseArguments(['--', '--help'], TABLE, true).positionals).toEqual(['--help'])
  })
})
