/** System errors in words. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { systemErrorInWords } from '../../lib/cli/system-errors.js'

const error = (message: string, about: object) => Object.assign(new Error(message), about)

test('of a file: as Node reports it', () => {
  const missing = (() => {
    try {
      return readFileSync('/no/such')
    } catch (error) {
      return error as Error
    }
  })()
  expect(systemErrorInWords(missing as Error)).toBe('/no/such: there is no such file or folder (ENOENT)')
  // What has words already keeps them.
  const said = error('--ca /no/such: there is no such file', { code: 'ENOENT', syscall: 'open', path: '/no/such' })
  expect(systemErrorInWords(said)).toBe(said.message)
})

test.each([
  [{ code: 'EACCES', port: 80 }, /: a port below 1024 needs root \(sudo\)/],
  [{ code: 'EADDRNOTAVAIL', port: 5124 }, /: no interface of this machine has this address$/],
  [{ code: 'EADDRINUSE', port: 5124 }, /: another program listens there/],
  [{ code: 'EMFILE', port: 5124 }, /^listen EMFILE$/],
])('of a listener: %j', (about, words) => {
  expect(systemErrorInWords(error(`listen ${about.code}`, { ...about, syscall: 'listen' }))).toMatch(words)
})
