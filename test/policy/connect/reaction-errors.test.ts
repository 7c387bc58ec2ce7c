import { constants } from 'node:os'
import { describe, expect, test } from 'vitest'
import { ConvertError } from '../../../lib/policy/connect/convert-error.js'
import { backedOff, react, unreachableErrno } from '../../../lib/policy/connect/reaction.js'
import { endpoint, errorTlv as tlv, via, way } from '../../support/candidates.js'

const server = endpoint('192.0.2.1')
const converter = via('198.51.100.1')

describe('errors for the user', () => {
  test("a server's refusal looks like net.connect's, with the converter's word as cause", () => {
    const { error } = react(tlv({ name: 'connection-reset' }), way(server, converter), 'nothing')
    expect(error).toMatchObject({
      message: 'connect ECONNREFUSED 192.0.2.1:443',
      code: 'ECONNREFUSED',
      errno: -constants.errno.ECONNREFUSED,
      syscall: 'connect',
      address: '192.0.2.1',
      port: 443,
    })
    expect(error.cause).toBeInstanceOf(ConvertError)
  })

  test('names the converter with its address, and the converter’s reason', () => {
    const named = { ...converter, name: 'converter.example:5124' }
    const { error } = react(tlv({ name: 'resource-exceeded', delaySeconds: 0 }), way(server, named), 'nothing')
    expect(error).toMatchObject({
      converter: 'converter.example:5124 (198.51.100.1:5124)',
      detail: { name: 'resource-exceeded', delaySeconds: 0 },
      retryAfter: 30_000,
    })
    expect(error.message).toContain('30 s')
  })

  test('an address of IPv6 in brackets', () => {
    const { error } = react(tlv({ name: 'not-authorized' }), way(server, via('2001:db8::5', { name: 'c' })), 'nothing')
    expect(error.message).toContain('c ([2001:db8::5]:5124)')
  })

  test.each([
    [0, 'ERR_CONVERT_UNSUPPORTED_VERSION'],
    [64, 'ERR_CONVERT_RESOURCE_EXCEEDED'],
    [65, 'ERR_CONVERT_NETWORK_FAILURE'],
  ])('coming too early after error %i', (number, code) => {
    const error = backedOff(converter, number, 1_500)
    expect(error).toMatchObject({ code, retryAfter: 1_500, converter: '198.51.100.1:5124' })
    expect(error.message).toContain('for another 2 s')
  })
})

describe('codes of ICMP destination unreachable, as Linux maps them', () => {
  const names = (family: 4 | 6, count: number) =>
    Array.from({ length: count }, (_, code) => {
      const errno = unreachableErrno(code, family)
      return Object.entries(constants.errno).find(([, number]) => number === errno)?.[0]
    })

  test('IPv4 (RFC 792, RFC 1812 §5.2.7.1)', () => {
    expect(names(4, 17)).toEqual([
      'ENETUNREACH', // network unreachable
      'EHOSTUNREACH', // host
      'ENOPROTOOPT', // protocol
      'ECONNREFUSED', // port
      'EMSGSIZE', // fragmentation needed
      expect.stringMatching(/^(EOPNOTSUPP|ENOTSUP)$/), // source route failed: two names of one number
      'ENETUNREACH', // network unknown
      'EHOSTUNREACH', // host unknown
      'EHOSTUNREACH', // host isolated, which Node has no name for
      'ENETUNREACH', // network prohibited
      'EHOSTUNREACH', // host prohibited
      'ENETUNREACH', // network, for this type of service
      'EHOSTUNREACH', // host, for this type of service
      'EHOSTUNREACH', // filtered
      'EHOSTUNREACH', // precedence violation
      'EHOSTUNREACH', // precedence cut-off
      'EHOSTUNREACH', // not assigned
    ])
  })

  test('IPv6 (RFC 4443 §3.1)', () => {
    expect(names(6, 8)).toEqual([
      'ENETUNREACH', // no route
      'EACCES', // prohibited
      'EHOSTUNREACH', // beyond the scope of the source
      'EHOSTUNREACH', // address
      'ECONNREFUSED', // port
      'EACCES', // failed ingress or egress policy
      'EACCES', // reject route
      'EHOSTUNREACH', // not assigned
    ])
  })
})
