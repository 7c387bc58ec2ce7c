/** Random bytes throw nothing but `WireError`, and always end. */
import { describe, expect, test } from 'vitest'
import { WireError } from '../../../lib/errors.js'
import { decodeErrorValue, encodeErrorValue } from '../../../lib/wire/convert/error.js'
import { decode, decodeTcpOptions, encode, forbiddenTarget, type Tlv } from '../../../lib/wire/convert/index.js'
import { seeded } from '../../support/random.js'
import { VECTORS } from './vectors.js'

const ROUNDS = 10_000

test('random buffers', () => {
  const random = seeded(8803)
  const outcomes = count(ROUNDS, () => tryDecode(randomBytes(random, 64)))
  expect(outcomes.malformed).toBeGreaterThan(0)
})

test('random TLVs behind a right header', () => {
  const random = seeded(1)
  const outcomes = count(ROUNDS, () => {
    const words = 1 + Math.floor(random() * 12)
    const bytes = randomBytes(random, words * 4, words * 4)
    bytes.set([1, words, 0x22, 0x63].slice(0, bytes.length))
    for (let at = 4; at < bytes.length; at += 4) {
      // Small types and lengths, so that some messages hold.
      if (random() < 0.5) bytes[at] = [0, 1, 10, 20, 21, 22, 30, 200][Math.floor(random() * 8)]!
      if (random() < 0.8) bytes[at + 1] = Math.floor(random() * 7)
    }
    return tryDecode(bytes)
  })
  expect(outcomes).toEqual({ message: expect.any(Number), malformed: expect.any(Number), more: 0 })
  expect(outcomes.message).toBeGreaterThan(100)
})

test('mutated messages', () => {
  const random = seeded(2)
  const outcomes = count(ROUNDS, () => {
    const bytes = VECTORS[Math.floor(random() * VECTORS.length)]!.bytes.slice()
    for (let i = 1 + Math.floor(random() * 3); i > 0; i--)
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256)
    return tryDecode(random() < 0.8 ? bytes : bytes.subarray(0, Math.floor(random() * bytes.length)))
  })
  for (const outcome of Object.values(outcomes)) expect(outcome).toBeGreaterThan(100)
})

describe('random values', () => {
  test('errors: what is decoded can be encoded, and decodes to the same', () => {
    const random = seeded(3)
    for (let i = 0; i < ROUNDS; i++) {
      const value = decodeErrorValue({ code: Math.floor(random() * 256), value: randomBytes(random, 12) })
      expect(decodeErrorValue(encodeErrorValue(value))).toStrictEqual(value)
    }
  })

  test('TCP options of a header never throw', () => {
    const random = seeded(4)
    for (let i = 0; i < ROUNDS; i++) decodeTcpOptions(randomBytes(random, 40))
  })

  test('text for an address never throws', () => {
    const random = seeded(5)
    const letters = '0123456789abcdefF:::...%[]xg '
    for (let i = 0; i < ROUNDS; i++) {
      let text = ''
      while (random() < 0.9) text += letters[Math.floor(random() * letters.length)]
      forbiddenTarget(text)
    }
  })
})

type Outcome = 'message' | 'malformed' | 'more'

function tryDecode(bytes: Uint8Array): Outcome {
  let message: ReturnType<typeof decode>
  try {
    message = decode(bytes)
  } catch (error) {
    expect(error).toBeInstanceOf(WireError)
    const { offset } = error as WireError
    expect(offset >= 0 && offset < bytes.length, `offset ${offset} of ${bytes.length}`).toBe(true)
    return 'malformed'
  }
  if (message === undefined) return 'more'
  expect(message.length % 4).toBe(0)
  expect(message.length).toBeLessThanOrEqual(bytes.length)
  checkBack(message.tlvs, message.length)
  return 'message'
}

/** What was decoded is either refused by the encoder, or makes a message, no longer, that decodes to the same. */
function checkBack(tlvs: Tlv[], length: number): void {
  let again: Uint8Array
  try {
    again = encode(tlvs, { allowLoopback: true })
  } catch (error) {
    expect(error).toMatchObject({ name: 'WireError', code: 'ERR_CONVERT_ENCODE' })
    return
  }
  expect(again.length).toBeLessThanOrEqual(length)
  expect(decode(again)).toStrictEqual({ tlvs, length: again.length })
}

function randomBytes(random: () => number, most: number, least = 0): Uint8Array {
  const length = least + Math.floor(random() * (most - least + 1))
  return Uint8Array.from({ length }, () => Math.floor(random() * 256))
}

function count(rounds: number, round: () => Outcome): Record<Outcome, number> {
  const outcomes = { message: 0, malformed: 0, more: 0 }
  for (let i = 0; i < rounds; i++) outcomes[round()]++
  return outcomes
}
