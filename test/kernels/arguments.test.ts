import { describe, expect, test } from 'vitest'
import { readArguments, UsageError } from '../../scripts/kernels/arguments.js'

const KNOWN = ['6.1', '6.12', '7.3']
const read = (...args: string[]) => readArguments(args, KNOWN)

describe('npm run kernels: what was asked for', () => {
  test('without arguments: the whole trial on all known kernels', () => {
    expect(read()).toEqual({
      versions: KNOWN,
      parts: ['trial'],
      tests: [],
      brief: false,
      ifChanged: false,
      record: false,
    })
  })

  test('as CI asks: a brief trial on some, if something has changed', () => {
    const { versions, parts, brief, ifChanged } = read('--brief', '--if-changed', '6.1', '6.12', 'newest')
    expect({ versions, parts, brief, ifChanged }).toEqual({
      versions: ['6.1', '6.12', '7.3'],
      parts: ['trial'],
      brief: true,
      ifChanged: true,
    })
  })

  test('a kernel is tried once, however often it is named: two guests would share a folder for results', () => {
    expect(read('7.3', '6.6', 'newest', '6.6').versions).toEqual(['7.3', '6.6'])
  })

  test('--test selects the tests, --only the parts', () => {
    expect(read('--test', 'test/a.test.ts')).toMatchObject({ parts: ['tests'], tests: ['test/a.test.ts'] })
    expect(read('--only', 'tests', '--only', 'trial', '--only', 'tests').parts).toEqual(['tests', 'trial'])
  })

  test.each([
    [['--only', 'bench'], /'bench'.*trial, tests/],
    [['--brief', '--only', 'tests'], /--brief.*remove/],
    [['--brief', '--test', 'test/a.test.ts'], /--brief.*remove/],
    [['--quick'], /--quick/],
  ])('%j is a mistake of the user', (args, message) => {
    expect(() => read(...args)).toThrow(UsageError)
    expect(() => read(...args)).toThrow(message)
  })
})
