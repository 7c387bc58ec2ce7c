/** What CI tries on other kernels, and what is noted of it. */
import { describe, expect, test } from 'vitest'
import { codeNow, lastTried, noted, untried } from '../../scripts/kernels/tried.js'

const now = codeNow('.') ?? Object.fromEntries(Object.keys(lastTried('.').code).map(path => [path, 'a']))
const [path] = Object.keys(now) as [string]
const changed = { ...now, [path]: 'another' }
const last = { code: now, kernels: { '6.1': '6.1.0-57-amd64' } }

describe('kernels to try', () => {
  test('those that are not noted, for the code as it is', () => {
    expect(untried(['6.1', '6.12'], now, last)).toEqual(['6.12'])
  })

  test('all: the code has changed, or is not committed', () => {
    expect(untried(['6.1', '6.12'], changed, last)).toEqual(['6.1', '6.12'])
    expect(untried(['6.1'], undefined, last)).toEqual(['6.1'])
  })

  test('after a trial: more kernels for the same code; only these for another', () => {
    const releases = { '6.12': '6.12.118+deb13-amd64' }
    expect(noted(now, releases, last)).toEqual({ code: now, kernels: { ...last.kernels, ...releases } })
    expect(noted(changed, releases, last)).toEqual({ code: changed, kernels: releases })
  })

  test('the note in this checkout names the same paths', () => {
    expect(Object.keys(lastTried('.').code)).toEqual(Object.keys(now))
  })
})
