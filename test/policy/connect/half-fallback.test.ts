import { expect, test } from 'vitest'
import { otherEnd } from '../../../lib/policy/connect/half-fallback.js'
import { decodeTcpInfo, TCP_STATES, type TcpInfo } from '../../../lib/wire/kernel/tcp-info.js'

/** Of a connection whose SYN had 24 bytes, all acknowledged. */
const info = (changes: Partial<TcpInfo>): TcpInfo => ({
  ...decodeTcpInfo(new Uint8Array(0)),
  state: TCP_STATES.established,
  bytesAcked: 25,
  bytesRetrans: 0,
  ...changes,
})

test.each([
  ['nothing sent behind the SYN: its ACK was in order', info({}), 0, 'turned'],
  ['what was sent has arrived, at once', info({ bytesAcked: 29 }), 4, 'turned'],
  ['the first of it has arrived', info({ bytesAcked: 26 }), 60_000, 'turned'],
  ['it is under way', info({}), 4, 'soon'],
  ['it was sent again, and has not arrived', info({ bytesRetrans: 4 }), 4, 'not-known'],
  ['it was sent again, and has arrived', info({ bytesRetrans: 4, bytesAcked: 29 }), 4, 'not-known'],
  ['the peer has reset it', info({ state: TCP_STATES.close }), 4, 'not-known'],
  ['a kernel that does not tell', info({ bytesRetrans: undefined, bytesAcked: undefined }), 4, 'not-known'],
] as const)('%s', (_, told, behind, expected) => {
  expect(otherEnd(told, 24, behind)).toBe(expected)
})
