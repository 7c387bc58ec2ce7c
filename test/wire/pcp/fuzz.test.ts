/** Random datagrams throw nothing but `WireError`, and always end. */
import { expect, test } from 'vitest'
import { WireError } from '../../../lib/errors.js'
import {
  decodePcpRequest,
  decodePcpResponse,
  encodePcpError,
  encodePcpRequest,
  encodePcpResponse,
} from '../../../lib/wire/pcp/index.js'
import { seeded } from '../../support/random.js'
import { REQUESTS, RESPONSES } from './vectors.js'

const ROUNDS = 10_000

test('random datagrams', () => {
  const random = seeded(6887)
  const outcomes = count(() => randomBytes(random, Math.floor(random() * 120)))
  expect(outcomes.malformed).toBeGreaterThan(100)
})

test('random options behind a right MAP', () => {
  const random = seeded(1)
  const outcomes = count(() => {
    const options = randomBytes(random, 4 * Math.floor(random() * 20))
    // Small codes and lengths, so that some hold.
    for (let at = 0; at + 4 <= options.length; at += 4) {
      if (random() < 0.8) options.set([Math.floor(random() * 5), 0, 0, [0, 4, 16, 20][Math.floor(random() * 4)]!], at)
    }
    return new Uint8Array([...REQUESTS[1]!.bytes, ...options])
  })
  expect(outcomes.message).toBeGreaterThan(100)
  expect(outcomes.malformed).toBeGreaterThan(100)
})

test('mutated messages', () => {
  const random = seeded(2)
  const vectors = [...REQUESTS, ...RESPONSES]
  const outcomes = count(() => {
    const bytes = vectors[Math.floor(random() * vectors.length)]!.bytes.slice()
    for (let i = 1 + Math.floor(random() * 3); i > 0; i--)
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256)
    return random() < 0.8 ? bytes : bytes.subarray(0, Math.floor(random() * bytes.length))
  })
  expect(outcomes.message).toBeGreaterThan(1000)
  expect(outcomes.malformed).toBeGreaterThan(100)
})

function count(datagram: () => Uint8Array): { message: number; malformed: number } {
  const outcomes = { message: 0, malformed: 0 }
  for (let i = 0; i < ROUNDS; i++) outcomes[tryBoth(datagram())]++
  return outcomes
}

/** What decodes is refused by the encoder, or comes back the same. */
function tryBoth(bytes: Uint8Array): 'message' | 'malformed' {
  const decoded = [
    attempt(bytes, 'ERR_PCP_MALFORMED', () => back(decodePcpRequest(bytes), encodePcpRequest, decodePcpRequest)),
    attempt(bytes, 'ERR_PCP_MALFORMED', () => back(decodePcpResponse(bytes), encodePcpResponse, decodeVersion2)),
  ]
  const error = encodePcpError(bytes.length < 2 ? new Uint8Array(2) : bytes, {
    result: 3,
    lifetime: 1,
    epoch: 1,
    parsed: false,
  })
  expect(error.length % 4).toBe(0)
  return decoded.includes(true) ? 'message' : 'malformed'
}

function decodeVersion2(bytes: Uint8Array) {
  const response = decodePcpResponse(bytes)
  expect(response.version).toBe(2)
  return response
}

function back<Message extends object>(
  message: Message,
  encode: (message: Message) => Uint8Array,
  decode: (bytes: Uint8Array) => Message,
): void {
  const version = (message as { version?: number }).version
  if (version !== undefined && version !== 2) return
  let bytes: Uint8Array | undefined
  attempt(undefined, 'ERR_PCP_ENCODE', () => {
    bytes = encode(message)
  })
  if (bytes) expect(decode(bytes)).toStrictEqual(message)
}

function attempt(bytes: Uint8Array | undefined, code: string, act: () => void): boolean {
  try {
    act()
    return true
  } catch (error) {
    expect(error).toBeInstanceOf(WireError)
    expect(error).toMatchObject({ code })
    if (bytes) expect((error as WireError).offset).toBeLessThanOrEqual(bytes.length)
    return false
  }
}

function randomBytes(random: () => number, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => Math.floor(random() * 256))
}
