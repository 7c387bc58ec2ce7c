import { describe, expect, test } from 'vitest'
import type { AccessType, Steering } from '../../../lib/policy/rules/rule.js'
import { reuseBlockedBy } from '../../../lib/policy/steering/pooling.js'
import type { Accesses } from '../../../lib/policy/steering/snapshot.js'

const state = (available: boolean) => ({
  ...{ available, suspected: false, why: available ? 'up' : 'no carrier', lostAt: 0, rttMs: 20, rttAt: 0 },
  lossPermille: undefined,
  receiveRttMs: undefined,
  receiveRttAt: Number.NEGATIVE_INFINITY,
  receiveLossPermille: undefined,
  bytesPerSecond: 0,
})
const both: Accesses = { '3gpp': state(true), 'non-3gpp': state(true) }
const wifiLost: Accesses = { ...both, 'non-3gpp': state(false) }
const standby = (active: AccessType, other?: AccessType): Steering => ({
  mode: 'active-standby',
  active,
  standby: other,
})
const balanced: Steering = { mode: 'load-balancing', percent3gpp: 50 }

const CASES: [string, AccessType | undefined, Steering | undefined, Accesses, RegExp | undefined][] = [
  ['where the rule wants it', 'non-3gpp', standby('non-3gpp', '3gpp'), both, undefined],
  [
    'on the standby, and the active access is there',
    '3gpp',
    standby('non-3gpp', '3gpp'),
    both,
    /non-3gpp is the active/,
  ],
  ['on the standby, and the active access is lost', '3gpp', standby('non-3gpp', '3gpp'), wifiLost, undefined],
  ['on an access that is lost', 'non-3gpp', standby('non-3gpp', '3gpp'), wifiLost, /not available: no carrier/],
  ['on an access that is lost, under no rule', 'non-3gpp', undefined, wifiLost, /not available/],
  ['on an access that the rule does not allow', 'non-3gpp', standby('3gpp'), both, /does not allow non-3gpp/],
  ['balanced over both', 'non-3gpp', balanced, both, undefined],
  ['under no rule', 'non-3gpp', undefined, both, undefined],
  ['where the routing table wanted it', undefined, standby('3gpp'), wifiLost, undefined],
]

describe('a connection at rest that cannot be moved', () => {
  test.each(CASES)('%s', (_, access, steering, accesses, why) => {
    const found = reuseBlockedBy({ access, movable: false }, steering, accesses, 0)
    if (why) expect(found).toMatch(why)
    else expect(found).toBeUndefined()
    expect(reuseBlockedBy({ access, movable: true }, steering, accesses, 0)).toBeUndefined()
  })
})
