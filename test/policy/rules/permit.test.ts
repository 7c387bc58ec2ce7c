/** What becomes of a connection whose rule cannot be obeyed here. */
import { describe, expect, test } from 'vitest'
import { type AtsssRule, parseRules } from '../../../lib/policy/rules/json.js'
import { match } from '../../../lib/policy/rules/match.js'
import { type PermitPolicy, permit } from '../../../lib/policy/rules/permit.js'

type Policy = PermitPolicy['unenforceable']

function outcome(change: Partial<AtsssRule>, unenforceable: Policy): string {
  const rules = parseRules([
    {
      precedence: 1,
      trafficDescriptor: { matchAll: true },
      steeringMode: { steerModeValue: 'SMALLEST_DELAY' },
      ...change,
    },
  ])
  const policy = { unmatched: 'any', unenforceable } as const
  try {
    const { rule, degraded, unsteered } = permit(match(rules, { port: 80 }), 'to a test', policy)
    expect(rule).toBe(rules[0])
    if (degraded !== undefined) return 'degraded'
    return unsteered === undefined ? 'steered' : 'unsteered'
  } catch (error) {
    return (error as { code: string }).code
  }
}

describe('by default', () => {
  test.each<[Partial<AtsssRule>, string]>([
    [{}, 'steered'],
    [{ steeringFunctionality: 'MPTCP' }, 'steered'],
    [{ steeringFunctionality: 'ATSSS_LL' }, 'unsteered'],
    [{ steeringFunctionality: 'MPQUIC' }, 'unsteered'],
    [{ steeringFunctionality: 9 }, 'unsteered'],
    [{ steeringMode: { steerModeValue: 'REDUNDANT' } }, 'ERR_ATSSS_STEERING'],
    [{ steeringMode: { steerModeValue: 'UNKNOWN', nasCode: 9, nasInformation: '' } }, 'ERR_ATSSS_STEERING'],
    // The mode of another functionality is that functionality's matter.
    [{ steeringFunctionality: 'ATSSS_LL', steeringMode: { steerModeValue: 'REDUNDANT' } }, 'unsteered'],
  ])('%j: %s', (change, expected) => {
    expect(outcome(change, undefined)).toBe(expected)
  })
})

test.each<[Policy, string]>([
  ['refuse', 'ERR_ATSSS_STEERING'],
  ['degrade', 'degraded'],
  ['unsteered', 'unsteered'],
])('unenforceable: %j applies to functionalities and modes alike', (policy, expected) => {
  expect(outcome({ steeringFunctionality: 'ATSSS_LL' }, policy)).toBe(expected)
  expect(outcome({ steeringMode: { steerModeValue: 'REDUNDANT' } }, policy)).toBe(expected)
  expect(outcome({}, policy)).toBe('steered')
})
