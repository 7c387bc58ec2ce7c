import { endianness } from 'node:os'
import { describe, expect, test } from 'vitest'
import { decodeGeneric, type GenericMessage } from '../../../lib/wire/netlink/generic.js'
import { Attributes, decodeMessages } from '../../../lib/wire/netlink/message.js'
import {
  decodeEndpoint,
  decodeEvent,
  decodeLimits,
  encodeCommand,
  PM_COMMANDS,
} from '../../../lib/wire/netlink/mptcp-pm.js'
import { seeded } from '../../support/random.js'
import { COMMANDS, ENDPOINTS, EVENTS, LIMITS } from './mptcp-pm.vectors.js'

const generic = (bytes: Uint8Array) => decodeGeneric(decodeMessages(bytes)[0]!.payload)

const asCaptured = describe.runIf(endianness() === 'LE')

asCaptured('commands', () => {
  test.each(COMMANDS)('$value.0: $name', ({ bytes, value }) => {
    expect(new Uint8Array(encodeCommand(...value))).toEqual(bytes)
  })

  test('every command has its number', () => {
    for (const [name, number] of Object.entries(PM_COMMANDS))
      expect([...encodeCommand(name as 'announce')]).toEqual([number, 1, 0, 0])
  })

  test('IPv4 on an IPv6 socket keeps its form; a zone is left out', () => {
    const bytesOf = (address: string) => {
      const { attributes } = decodeGeneric(encodeCommand('del-addr', { local: { address } }))
      return attributes.nested(1)!.list.map(({ type, payload }) => [type, Buffer.from(payload).toString('hex')])
    }
    expect(bytesOf('::ffff:10.1.0.2')).toEqual([
      [1, '0a00'],
      [4, '00000000000000000000ffff0a010002'],
    ])
    expect(bytesOf('fe80::1%wifi')).toEqual(bytesOf('fe80::1'))
  })

  test.each(['', '10.1.0', '10.1.0.2:80', 'example.com'])('%j is not an address', address => {
    expect(() => encodeCommand('del-addr', { local: { address } })).toThrow(RangeError)
  })
})

asCaptured('events', () => {
  test.each(EVENTS)('$value.type: $name', ({ bytes, value }) => {
    expect(decodeEvent(generic(bytes))).toEqual(value)
  })

  test('without an attribute: EPROTO, or a value without it', () => {
    for (const { bytes } of EVENTS) {
      const event = generic(bytes)
      for (let i = 0; i < event.attributes.list.length; i++) {
        const attributes = new Attributes(event.attributes.list.toSpliced(i, 1))
        expect(outcome(() => decodeEvent({ ...event, attributes }))).toMatch(/^(EPROTO|decoded)$/)
      }
    }
  })

  test('cut off anywhere: EPROTO, or a value without the rest', () => {
    for (const { bytes } of EVENTS) {
      const payload = decodeMessages(bytes)[0]!.payload
      for (let end = 0; end < payload.length; end++)
        expect(outcome(() => decodeEvent(decodeGeneric(payload.subarray(0, end))))).toMatch(/^(EPROTO|decoded)$/)
    }
  })

  test('what changes at random: EPROTO, or another value, but nothing else', () => {
    const random = seeded(2)
    for (let i = 0; i < 20_000; i++) {
      const { bytes } = EVENTS[Math.floor(random() * EVENTS.length)]!
      const payload = decodeMessages(bytes)[0]!.payload.slice()
      for (let k = 0; k < 3; k++) payload[Math.floor(random() * payload.length)] = Math.floor(random() * 256)
      expect(outcome(() => decodeEvent(decodeGeneric(payload)))).toMatch(/^(EPROTO|decoded)$/)
    }
  })

  test('a flag of older kernels, an attribute of newer ones, an event of newer ones', () => {
    const event = generic(EVENTS.find(({ value }) => value.type === 'created')!.bytes)
    const withMore = (...more: { type: number; payload: Uint8Array }[]): GenericMessage => ({
      ...event,
      attributes: new Attributes([...event.attributes.list, ...more]),
    })
    expect(decodeEvent(withMore({ type: 18, payload: Uint8Array.of(1) }))).toMatchObject({ serverSide: true })
    expect(decodeEvent(withMore({ type: 13, payload: Uint8Array.of(1, 0) }))).toMatchObject({ denyJoinId0: true })
    expect(decodeEvent(withMore({ type: 99, payload: Uint8Array.of(1) }))).toEqual(decodeEvent(event))
    expect(decodeEvent({ ...event, command: 99 })).toEqual({
      type: 'unknown',
      command: 99,
      attributes: event.attributes.list.map(({ type, payload }) => ({ type, payload: new Uint8Array(payload) })),
    })
  })
})

asCaptured('answers', () => {
  test.each(ENDPOINTS)('$name', ({ bytes, value }) => {
    expect(decodeEndpoint(generic(bytes))).toEqual(value)
  })

  test('limits', () => {
    expect(decodeLimits(generic(LIMITS))).toEqual({ subflows: 4, addAddrAccepted: 4 })
  })

  test('an endpoint without an address', () => {
    expect(outcome(() => decodeEndpoint(generic(LIMITS)))).toBe('EPROTO')
  })
})

function outcome(call: () => unknown): string {
  try {
    call()
    return 'decoded'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? (error as Error).message
  }
}
