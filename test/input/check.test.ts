import { describe, expect, test } from 'vitest'
import { Checks, nearest, OptionNames, shown } from '../../lib/input/check.js'

const checks = new Checks('ERR_ATSSS_CONFIG', path => `at ${path}:`)
const refused = (message: string) => expect.objectContaining({ code: 'ERR_ATSSS_CONFIG', message })

describe('one engine: the code and the way to name the place are parameters', () => {
  test.each<[string, () => unknown, string]>([
    ['a number', () => checks.integer('a.b', 5, 0, 4), 'at a.b: must be an integer in 0…4; it is 5'],
    ['a fraction', () => checks.integer('x', 0.5, 0, 4), 'at x: must be an integer in 0…4; it is 0.5'],
    ['nothing', () => checks.text('x', undefined), 'at x: must be a non-empty string; it is missing'],
    ['a flag', () => checks.flag('x', 'yes'), "at x: must be true or false; it is 'yes'"],
    ['octets', () => checks.hexadecimal('x', '0'), "at x: must be octets in hexadecimal; it is '0'"],
    ['a list', () => checks.list('x', {}), 'at x: must be an array; it is {}'],
    ['an interface', () => checks.interfaceName('x', 'a/b'), "at x: must be the name of an interface; it is 'a/b'"],
    [
      'no word',
      () => checks.oneOf('x', 'what', ['on', 'off', 'auto']),
      "at x: must be 'on', 'off' or 'auto'; it is 'what'",
    ],
    [
      'almost a word',
      () => checks.oneOf('x', 'offf', ['on', 'off']),
      "at x: must be 'on' or 'off'; it is 'offf'; did you mean 'off'?",
    ],
    ['an inherited word', () => checks.word('x', 'toString', { a: 1 }), "at x: 'toString' — must be one of 'a'"],
    [
      'a property',
      () => checks.record('x', { porrt: 1 }, ['port']),
      "at x.porrt: unknown property — did you mean 'port'?",
    ],
    ['no object', () => checks.record('x', [], ['port']), 'at x: must be an object; it is []'],
  ])('%s', (_name, check, message) => {
    expect(check).toThrow(refused(message))
  })

  test('a fallback is for what is missing only', () => {
    expect(checks.integer('x', undefined, 0, 4, 3)).toBe(3)
    expect(checks.flag('x', undefined, true)).toBe(true)
    expect(checks.oneOf('x', undefined, ['on', 'off'], 'off')).toBe('off')
    expect(() => checks.integer('x', null, 0, 4, 3)).toThrow(refused('at x: must be an integer in 0…4; it is null'))
  })
})

test.each([
  ['conect', 'connect'],
  ['conenct', 'connect'], // neighbours swapped are one change
  ['CON-NECT', 'connect'],
  ['listen_all', undefined],
  ['xyz', undefined],
])('the word meant by %s: %s', (given, meant) => {
  expect(nearest(given, ['listen', 'connect', 'close'])).toBe(meant)
})

test('the nearest word, not the first one', () => {
  expect(nearest('closes', ['close', 'closed', 'closes2'])).toBe('close')
  expect(nearest('close2', ['closed', 'close'])).toBe('closed')
})

test('long values are cut', () => {
  expect(shown('x'.repeat(200))).toHaveLength(82)
  expect(shown(Array.from({ length: 100 }, () => 'xxxxxxxx'))).toHaveLength(80)
})

describe('names of options', () => {
  const names = new OptionNames(['converters', 'mptcp'], ['convertors'])

  test('a misspelled one is refused every time', () => {
    for (let call = 0; call < 3; call++)
      expect(() => names.refuseMisspelled({ mptpc: 1 }, 'a.')).toThrow('Misspelled option "a.mptpc" should be "mptcp"')
  })

  test('in an object that only we read, every other name is refused', () => {
    const refuse = (options: object) => () => names.refuseUnknown(options, 'a.')
    expect(refuse({ mptcp: 1, converters: 1 })).not.toThrow()
    expect(refuse({ mptpc: 1 })).toThrow('Misspelled option "a.mptpc" should be "mptcp"')
    expect(refuse({ convorterz: 1 })).toThrow('Unknown option "a.convorterz": did you mean "converters"?')
    expect(refuse({ foo: 1 })).toThrow('Unknown option "a.foo": there are converters, mptcp')
    expect(refuse({ convertors: 1 })).toThrow('convertors') // the exception is of other libraries
  })

  test('a singular is refused, and an exception is not', () => {
    expect(() => names.refuseMisspelled({ converter: 1 })).toThrow('should be "converters"')
    expect(() => names.refuseMisspelled({ convertors: 1 })).not.toThrow()
  })

  test('after thousands of other names, other names still pass, and misspelled ones do not', () => {
    for (let n = 0; n < 3_000; n++) names.refuseMisspelled({ [`other-library-${n}`]: n })
    expect(() => names.refuseMisspelled({ another: 1 })).not.toThrow()
    expect(() => names.refuseMisspelled({ mptpc: 1 })).toThrow('should be "mptcp"')
  })
})
