/** Which level endpoints of others give to a program that may not change anything. */
import { expect, test } from 'vitest'
import type { MptcpEndpoint } from '../../../lib/runtime/network/path-manager.js'
import { levelByEndpoints } from '../../../lib/runtime/steering/level.js'
import { state } from '../../support/controlled-world.js'

const WIFI: MptcpEndpoint = { id: 1, address: '10.1.0.2', flags: ['subflow'], interfaceIndex: 2 }
const CELL: MptcpEndpoint = { id: 2, address: '10.2.0.2', flags: ['subflow'], interfaceIndex: 3 }
const ACCESSES = { '3gpp': { interface: 'cell' }, 'non-3gpp': { interface: 'wifi' } }

test.each([
  [
    'of both accesses',
    [WIFI, CELL],
    'shared',
    /left to the kernel: it makes the subflows from endpoints that others have set up, and/,
  ],
  ['of one access', [CELL], 'shared', /but none for non-3gpp yet/],
  ['without an interface, by its address', [{ ...CELL, interfaceIndex: 0 }], 'shared', /none for non-3gpp/],
  ['fullmesh', [{ ...CELL, flags: ['fullmesh'] }], 'shared', /none for non-3gpp/],
  ['that only announce', [{ ...CELL, flags: ['signal'] }], 'none', /CAP_NET_ADMIN/],
  ['of other interfaces', [{ ...CELL, address: '10.9.0.2', interfaceIndex: 9 }], 'none', /CAP_NET_ADMIN/],
  ['none', [], 'none', /CAP_NET_ADMIN/],
] as [string, MptcpEndpoint[], string, RegExp][])('endpoints %s', (_, endpoints, level, why) =>
  expect(levelByEndpoints(endpoints, state({ '3gpp': true, 'non-3gpp': true }), ACCESSES)).toEqual({
    level,
    why: expect.stringMatching(why),
  }),
)
