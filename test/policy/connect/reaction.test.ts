import { constants } from 'node:os'
import { describe, expect, test } from 'vitest'
import { systemError, WireError } from '../../../lib/errors.js'
import type { Scope } from '../../../lib/policy/connect/candidates.js'
import { type Failure, react, wasUnderstood } from '../../../lib/policy/connect/reaction.js'
import type { ConvertErrorValue } from '../../../lib/wire/convert/error.js'
import { endpoint, errorTlv as tlv, via, way } from '../../support/candidates.js'

const server = endpoint('192.0.2.1')
const converter = via('198.51.100.1')
const cookie = Uint8Array.of(1, 2, 3, 4)
const echo = new Uint8Array(0)

/** What has been sent to the converter, in words. */
const bare = converter
const withCookie = { ...converter, cookie }
const withInfo = { ...converter, info: true }
const withOptions = {
  ...converter,
  tcpOptions: [
    { kind: 30, value: new Uint8Array(0) },
    { kind: 34, value: new Uint8Array(0) },
  ],
}
const withAll = { ...withOptions, cookie, info: true }

/** What a row expects: the code told, the scope, the lesson, and what of the converter changes in the retry. */
type Row = [
  detail: ConvertErrorValue,
  sent: typeof withAll | typeof bare,
  code: string,
  scope: string,
  lesson?: object | undefined,
  retry?: object,
]

const rows: Record<string, Row[]> = {
  'the converter speaks no version of ours: not to be used for now': [
    [
      { name: 'unsupported-version', versions: [2, 3] },
      withAll,
      'ERR_CONVERT_UNSUPPORTED_VERSION',
      'way',
      { learn: 'unusable', code: 0 },
    ],
  ],
  'our message was not understood: no blind repetition': [
    [{ name: 'malformed-message', echo }, bare, 'ERR_CONVERT_MALFORMED_MESSAGE', 'pair'],
    [{ name: 'malformed-message', echo }, withAll, 'ERR_CONVERT_MALFORMED_MESSAGE', 'pair'],
  ],
  'a TLV was not understood: without Info, if that was there': [
    [{ name: 'unsupported-message', echo }, bare, 'ERR_CONVERT_UNSUPPORTED_MESSAGE', 'way'],
    [{ name: 'unsupported-message', echo }, withCookie, 'ERR_CONVERT_UNSUPPORTED_MESSAGE', 'way'],
    [
      { name: 'unsupported-message', echo },
      withAll,
      'ERR_CONVERT_UNSUPPORTED_MESSAGE',
      'way',
      { learn: 'no-info' },
      { info: false },
    ],
  ],
  'a cookie is wanted: with it, if it came': [
    [{ name: 'missing-cookie', cookie: echo }, bare, 'ERR_CONVERT_MISSING_COOKIE', 'way'],
    [
      { name: 'missing-cookie', cookie },
      bare,
      'ERR_CONVERT_MISSING_COOKIE',
      'way',
      { learn: 'cookie', cookie },
      { cookie },
    ],
    [
      { name: 'missing-cookie', cookie: Uint8Array.of(9) },
      withAll,
      'ERR_CONVERT_MISSING_COOKIE',
      'way',
      { learn: 'cookie', cookie: Uint8Array.of(9) },
      { cookie: Uint8Array.of(9) },
    ],
  ],
  'not authorized: without the cookie, if one was sent': [
    [{ name: 'not-authorized' }, bare, 'ERR_CONVERT_NOT_AUTHORIZED', 'pair'],
    [{ name: 'not-authorized' }, withInfo, 'ERR_CONVERT_NOT_AUTHORIZED', 'pair'],
    [
      { name: 'not-authorized' },
      withAll,
      'ERR_CONVERT_NOT_AUTHORIZED',
      'pair',
      { learn: 'forget-cookie', cookie },
      { cookie: undefined },
    ],
  ],
  'an option is not supported: without it, if it was sent': [
    [{ name: 'unsupported-tcp-option', kinds: [34] }, bare, 'ERR_CONVERT_UNSUPPORTED_TCP_OPTION', 'way'],
    [{ name: 'unsupported-tcp-option', kinds: [8] }, withOptions, 'ERR_CONVERT_UNSUPPORTED_TCP_OPTION', 'way'],
    [{ name: 'unsupported-tcp-option', kinds: [] }, withOptions, 'ERR_CONVERT_UNSUPPORTED_TCP_OPTION', 'way'],
    [
      { name: 'unsupported-tcp-option', kinds: [34, 8] },
      withOptions,
      'ERR_CONVERT_UNSUPPORTED_TCP_OPTION',
      'way',
      { learn: 'no-tcp-options', kinds: [34, 8] },
      { tcpOptions: withOptions.tcpOptions.slice(0, 1) },
    ],
    [
      { name: 'unsupported-tcp-option', kinds: [30, 34] },
      withAll,
      'ERR_CONVERT_UNSUPPORTED_TCP_OPTION',
      'way',
      { learn: 'no-tcp-options', kinds: [30, 34] },
      { tcpOptions: [] },
    ],
  ],
  'the converter wants to be left alone': [
    [
      { name: 'resource-exceeded', delaySeconds: 5 },
      bare,
      'ERR_CONVERT_RESOURCE_EXCEEDED',
      'way',
      { learn: 'back-off', seconds: 5, code: 64 },
    ],
    [
      { name: 'network-failure', delaySeconds: 0 },
      withAll,
      'ERR_CONVERT_NETWORK_FAILURE',
      'way',
      { learn: 'back-off', seconds: 0, code: 65 },
    ],
  ],
  'the server refuses, or cannot be reached: no converter would help': [
    [{ name: 'connection-reset' }, withAll, 'ECONNREFUSED', 'destination'],
    [{ name: 'destination-unreachable', icmpCode: 1 }, withAll, 'EHOSTUNREACH', 'destination'],
  ],
  'codes not known count by their range (RFC 8803 §10.2.3)': [
    [{ name: 'unknown', code: 4, value: echo }, bare, 'ERR_CONVERT_UNKNOWN', 'way'],
    [{ name: 'unknown', code: 95, value: echo }, bare, 'ERR_CONVERT_UNKNOWN', 'way'],
    [{ name: 'unknown', code: 98, value: echo }, bare, 'ERR_CONVERT_UNKNOWN', 'destination'],
    [{ name: 'unknown', code: 127, value: echo }, bare, 'ERR_CONVERT_UNKNOWN', 'destination'],
    [{ name: 'unknown', code: 128, value: echo }, bare, 'ERR_CONVERT_UNKNOWN', 'way'],
    [{ name: 'unknown', code: 255, value: echo }, withAll, 'ERR_CONVERT_UNKNOWN', 'way'],
  ],
}

for (const [title, group] of Object.entries(rows))
  describe(title, () => {
    for (const [detail, sent, code, scope, lesson, retry] of group) {
      const given =
        sent === withAll
          ? 'all'
          : [sent.cookie && 'cookie', sent.info && 'info', ...sent.tcpOptions.map(({ kind }) => kind)].filter(Boolean)
      const candidate = way(server, sent)

      test(`${JSON.stringify(detail)} to ${given.length ? given : 'a bare Connect'}`, () => {
        const reaction = react(tlv(detail), candidate, 'nothing')
        expect(reaction.lesson).toEqual(lesson)
        expect(reaction.scope).toBe(scope)
        expect(reaction.error).toMatchObject({ code })
        const number = tlv(detail).code
        expect(reaction.retry).toEqual(retry && { ...candidate, via: { ...sent, ...retry }, retriedAfter: [number] })
      })

      if (retry)
        test(`${JSON.stringify(detail)} a second time: no more retries, but the lesson`, () => {
          const again = react(tlv(detail), react(tlv(detail), candidate, 'nothing').retry!, 'nothing')
          expect(again.retry).toBeUndefined()
          expect(again.error).toMatchObject({ code })
        })

      test(`${JSON.stringify(detail)} after bytes have left: the same, for none has reached the server`, () => {
        if (detail.name === 'malformed-message') return
        expect(react(tlv(detail), candidate, 'once')).toEqual(react(tlv(detail), candidate, 'nothing'))
      })
    }
  })

test('errors of different codes may each lead to one retry: expired cookie, new cookie', () => {
  const expired = react(tlv({ name: 'not-authorized' }), way(server, withCookie), 'nothing')
  const fresh = react(tlv({ name: 'missing-cookie', cookie: Uint8Array.of(9) }), expired.retry!, 'nothing')
  expect(fresh.retry).toMatchObject({ via: { cookie: Uint8Array.of(9) }, retriedAfter: [32, 3] })
  expect(react(tlv({ name: 'not-authorized' }), fresh.retry!, 'nothing').retry).toBeUndefined()
})

describe('failures without an Error TLV', () => {
  const wireError = new WireError('no Magic Number', 2, 'magic')
  const refused = systemError(constants.errno.ECONNREFUSED, 'connect', '198.51.100.1', 5124)
  const unreachable = systemError(constants.errno.ENETUNREACH, 'connect', '198.51.100.1', 5124)
  const reset = systemError(constants.errno.ECONNRESET, 'read')
  // What one access does says nothing about the other, not even a refusal: a firewall may have answered.
  const failures: [failure: Failure, code: string, scope: Scope, direct?: Scope][] = [
    [{ kind: 'system', error: refused }, 'ECONNREFUSED', 'way', 'way'],
    [{ kind: 'system', error: reset }, 'ECONNRESET', 'way', 'way'],
    [{ kind: 'system', error: unreachable }, 'ENETUNREACH', 'way', 'way'],
    [{ kind: 'unanswered' }, 'ETIMEDOUT', 'way', 'way'],
    [{ kind: 'tcp' }, 'ERR_MPTCP_FALLBACK', 'way', 'attempt'],
    [{ kind: 'malformed', error: wireError, received: Buffer.from('HTTP') }, 'ERR_CONVERT_MALFORMED', 'way'],
    [{ kind: 'closed' }, 'ERR_CONVERT_CLOSED', 'way'],
    [{ kind: 'answer-timeout', after: 15_000 }, 'ERR_CONVERT_TIMEOUT', 'way'],
    [{ kind: 'access-lost', after: 1_500 }, 'ERR_CONVERT_TIMEOUT', 'way'],
  ]

  test.each(failures)('through a converter: $kind', (failure, code, scope) => {
    const { lesson: _, ...reaction } = react(failure, way(server, converter), 'nothing')
    expect(reaction).toEqual({ scope, error: expect.objectContaining({ code }) })
  })

  test.each([
    [{ kind: 'system', error: refused }, 'refused'],
    [{ kind: 'system', error: reset }, 'refused'],
    [{ kind: 'malformed', error: wireError, received: Buffer.from('HTTP') }, 'unusable'],
    [{ kind: 'closed' }, 'unusable'],
    [{ kind: 'access-lost', after: 1_500 }, 'silent'],
  ] as [Failure, string][])('the path is tried after the others for a while: %o', (failure, trouble) => {
    const lesson = { learn: 'trouble', trouble }
    expect(react(failure, way(server, converter), 'nothing').lesson).toEqual(lesson)
    if (failure.kind === 'system') expect(react(failure, way(server), 'nothing').lesson).toBeUndefined()
  })

  test.each([
    { kind: 'system', error: unreachable },
    { kind: 'unanswered' },
    { kind: 'tcp' },
    // The server may be silent, and not the path.
    { kind: 'answer-timeout', after: 15_000 },
  ] as Failure[])('nothing is learned from it alone: $kind', failure => {
    expect(react(failure, way(server, converter), 'nothing').lesson).toBeUndefined()
  })

  describe('a converter that reads more than the Convert message is asked again without what follows it', () => {
    const candidate = way(server, converter)
    const retry = { ...candidate, via: { ...converter, pipelining: false } }
    const lesson = { learn: 'no-pipelining' }

    test.each([{ kind: 'system', error: reset }, { kind: 'closed' }] as Failure[])('$kind', failure => {
      // A ClientHello may be sent again at once; other bytes may not.
      expect(react(failure, candidate, 'again')).toMatchObject({ lesson, retry })
      expect(react(failure, candidate, 'once')).toMatchObject({ lesson, scope: 'all' })
      expect(react(failure, candidate, 'once').retry).toBeUndefined()
      // It was not because of the bytes.
      expect(react(failure, retry, 'again').retry).toBeUndefined()
      expect(react(failure, retry, 'nothing').lesson).toMatchObject({ learn: 'trouble' })
    })

    test('an Error TLV "malformed message": other bytes, too, since none has reached the server', () => {
      const failure = tlv({ name: 'malformed-message', echo })
      for (const sent of ['again', 'once'] as const) {
        const reaction = react(failure, candidate, sent)
        expect(reaction.retry).toEqual({ ...retry, retriedAfter: [1] })
        // It may be the message that was not understood: the lesson comes when the retry succeeds.
        expect(reaction.lesson).toBeUndefined()
        expect(wasUnderstood(reaction.retry!)).toEqual(lesson)
      }
      expect(react(failure, candidate, 'nothing').retry).toBeUndefined()
      expect(wasUnderstood(candidate)).toBeUndefined()
    })

    test.each([
      { kind: 'system', error: unreachable },
      { kind: 'answer-timeout', after: 15_000 },
    ] as Failure[])('not after $kind: the bytes are not the reason', failure => {
      expect(react(failure, candidate, 'again').retry).toBeUndefined()
    })
  })

  test.each(failures)('$kind after bytes have left: nothing may be tried any more', (failure, code) => {
    const { lesson: _, ...reaction } = react(failure, way(server, converter), 'once')
    expect(reaction).toEqual({ scope: 'all', error: expect.objectContaining({ code }) })
  })

  test('no answer to the SYN after bytes have left: the next connection asks in the 1-RTT form', () => {
    const silence: Failure = { kind: 'answer-timeout', after: 15_000 }
    const lesson = { learn: 'one-rtt', why: 'no-answer-to-syn-data' }
    expect(react(silence, way(server, converter), 'once').lesson).toEqual(lesson)
    expect(react(silence, way(server, converter), 'nothing').lesson).toBeUndefined()
    expect(react(silence, way(server, { ...converter, form: '1rtt' }), 'once').lesson).toBeUndefined()
  })

  test.each(failures.filter(row => row[3]))('direct: $kind', (failure, code, _, scope) => {
    const { lesson: _lesson, ...reaction } = react(failure, way(server), 'nothing')
    expect(reaction).toEqual({ scope, error: expect.objectContaining({ code }) })
  })

  test('unanswered SYNs: the error has the address they were sent to, the converter’s or the server’s', () => {
    const { error } = react({ kind: 'unanswered' }, way(server, converter), 'nothing')
    expect(error).toMatchObject({ address: '198.51.100.1', port: 5124, syscall: 'connect' })
    expect(error.message).toBe('connect ETIMEDOUT 198.51.100.1:5124: this is the converter, and it does not answer')
    expect(react({ kind: 'unanswered' }, way(server), 'nothing').error).toMatchObject({
      address: '192.0.2.1',
      port: 443,
    })
  })

  test('an answer in another protocol: the error shows how it begins, and has the decoding error as its cause', () => {
    const errorOf = (received: Buffer) =>
      react({ kind: 'malformed', error: wireError, received }, way(server, converter), 'nothing').error
    const { message, cause } = errorOf(Buffer.from('HTTP'))
    expect(cause).toBe(wireError)
    expect(message).toBe(
      'Converter 198.51.100.1:5124 did not answer in the Convert protocol but with "HTTP": ' +
        'check its port, another service may listen there (no Magic Number)',
    )
    expect(errorOf(Buffer.of(0x16, 3, 1, 2)).message).toContain('but with the bytes 16030102:')
  })

  test('an answer that begins as a Convert message and is malformed: the error says what is wrong with it', () => {
    const tlvLength = new WireError('TLV 1 of length 0', 5, 'tlv-length')
    const failure = { kind: 'malformed', error: tlvLength, received: Buffer.of(1, 2, 0x22, 0x63) } as const
    expect(react(failure, way(server, converter), 'nothing').error.message).toBe(
      'Converter 198.51.100.1:5124 sent a malformed Convert message: TLV 1 of length 0',
    )
  })

  test('a converter that refuses this client or its destination: the error names the destination and the options', () => {
    const { error } = react(tlv({ name: 'not-authorized' }), way(server, converter), 'nothing')
    expect(error.message).toContain('refused to connect this client to 192.0.2.1:443;')
    expect(error.message).toContain('--allow-target')
  })

  test("the SYN's data was not taken: the same way in the 1-RTT form, and the lesson", () => {
    const candidate = way(server, withAll, { unanswered: 1, retriedAfter: [3] })
    expect(react({ kind: 'syn-data-not-acknowledged' }, candidate, 'nothing')).toEqual({
      lesson: { learn: 'one-rtt', why: 'syn-data-not-acknowledged' },
      retry: { ...candidate, via: { ...withAll, form: '1rtt' } },
      scope: 'way',
      error: expect.objectContaining({ code: 'ERR_CONVERT_CLOSED' }),
    })
  })

  test('this end has turned to TCP, the other perhaps not: the 1-RTT form, unless it is the user’s or bytes have left', () => {
    const half: Failure = { kind: 'half-fallback' }
    const error = expect.objectContaining({ code: 'ERR_MPTCP_HALF_FALLBACK' })
    const lesson = { learn: 'one-rtt', why: 'turned-to-tcp' }
    const candidate = way(server, { ...converter, adaptive: true })
    const retry = { ...candidate, via: { ...candidate.via, form: '1rtt' } }
    expect(react(half, candidate, 'nothing')).toEqual({ lesson, retry, scope: 'way', error })
    expect(react(half, candidate, 'once')).toEqual({ lesson, scope: 'all', error })
    expect(react(half, way(server, { ...converter, adaptive: false }), 'nothing').retry).toBeUndefined()
  })

  test('what only a converter can do is not expected of a direct way', () => {
    expect(() => react({ kind: 'closed' }, way(server), 'nothing')).toThrow(TypeError)
  })
})
