import { describe, expect, test } from 'vitest'
import { ConverterMemory, type ConverterPath, type Lesson } from '../../../lib/policy/connect/converter-memory.js'

const HOUR = 3_600_000
const NOW = 1_700_000_000_000

const wifi: ConverterPath = { converter: '192.0.2.1|5124', access: 'wlan0' }
const cellular: ConverterPath = { converter: '192.0.2.1|5124', access: 'wwan0' }
const other: ConverterPath = { converter: '192.0.2.2|5124', access: 'wlan0' }

function taught(...lessons: Lesson[]): ConverterMemory {
  const memory = new ConverterMemory()
  for (const lesson of lessons) memory.learn(wifi, lesson, NOW)
  return memory
}

test('nothing is known at first', () => {
  const memory = new ConverterMemory()
  expect(memory.oneRtt(wifi, NOW)).toBeUndefined()
  expect(memory.backOff(wifi, NOW)).toBeUndefined()
  expect(memory.cookie(wifi)).toBeUndefined()
  expect(memory.understandsInfo(wifi)).toBe(true)
})

describe('1-RTT, for one path and ten minutes', () => {
  test.each(['syn-data-not-acknowledged', 'no-answer-to-syn-data'] as const)('%s', why => {
    const memory = taught({ learn: 'one-rtt', why })
    expect(memory.oneRtt(wifi, NOW)).toBe(why)
    expect(memory.oneRtt(wifi, NOW + 599_999)).toBe(why)
    expect(memory.oneRtt(wifi, NOW + 600_000)).toBeUndefined()
    expect(memory.oneRtt(cellular, NOW)).toBeUndefined()
    expect(memory.oneRtt(other, NOW)).toBeUndefined()
  })

  test('suspected, it holds at the second time within ten minutes', () => {
    const suspicion = { learn: 'one-rtt', why: 'no-answer-to-syn-data', suspected: true } as const
    const memory = taught(suspicion)
    expect(memory.oneRtt(wifi, NOW)).toBeUndefined()
    memory.learn(cellular, suspicion, NOW)
    memory.learn(wifi, suspicion, NOW + 600_000)
    expect(memory.oneRtt(wifi, NOW + 600_000)).toBeUndefined()
    memory.learn(wifi, suspicion, NOW + 700_000)
    expect(memory.oneRtt(wifi, NOW + 700_000)).toBe('no-answer-to-syn-data')
    expect(memory.oneRtt(cellular, NOW + 700_000)).toBeUndefined()
  })

  test('learned again, it holds from then on', () => {
    const memory = taught({ learn: 'one-rtt', why: 'no-answer-to-syn-data' })
    memory.learn(wifi, { learn: 'one-rtt', why: 'syn-data-not-acknowledged' }, NOW + 500_000)
    expect(memory.oneRtt(wifi, NOW + 1_099_999)).toBe('syn-data-not-acknowledged')
    expect(memory.oneRtt(wifi, NOW + 1_100_000)).toBeUndefined()
  })
})

describe('not to be asked again over this access', () => {
  test.each([
    ['as long as it said', { learn: 'back-off', seconds: 7, code: 64 }, 7_000],
    ['65 as well', { learn: 'back-off', seconds: 1, code: 65 }, 1_000],
    ['0 is 30 seconds (RFC 8803 §6.2.8)', { learn: 'back-off', seconds: 0, code: 64 }, 30_000],
    ['an hour at most', { learn: 'back-off', seconds: 0xffffffff, code: 64 }, HOUR],
    ['no version in common: an hour', { learn: 'unusable', code: 0 }, HOUR],
  ] as const)('%s', (_, lesson, milliseconds) => {
    const memory = taught(lesson)
    const known = { until: NOW + milliseconds, code: lesson.code }
    expect(memory.backOff(wifi, NOW)).toEqual(known)
    expect(memory.backOff(wifi, NOW + milliseconds - 1)).toEqual(known)
    expect(memory.backOff(cellular, NOW)).toBeUndefined()
    expect(memory.backOff(wifi, NOW + milliseconds)).toBeUndefined()
    expect(memory.backOff(other, NOW)).toBeUndefined()
  })

  test('the latest word counts, also when it is a shorter delay', () => {
    const memory = taught({ learn: 'back-off', seconds: 100, code: 64 }, { learn: 'back-off', seconds: 2, code: 65 })
    expect(memory.backOff(wifi, NOW)).toEqual({ until: NOW + 2_000, code: 65 })
  })
})

describe('trouble: to be tried after the others', () => {
  const silence: Lesson = { learn: 'trouble', trouble: 'silent' }

  test('for one path and half a minute, then twice as long each time, up to ten minutes', () => {
    const memory = new ConverterMemory()
    let now = NOW
    for (const seconds of [30, 60, 120, 240, 480, 600, 600]) {
      memory.learn(wifi, silence, now)
      expect(memory.trouble(wifi, now + seconds * 1000 - 1)).toBe('silent')
      expect(memory.trouble(wifi, now + seconds * 1000)).toBeUndefined()
      expect(memory.trouble(cellular, now)).toBeUndefined()
      expect(memory.trouble(other, now)).toBeUndefined()
      now += seconds * 1000
    }
  })

  test('connections that fail together count once', () => {
    const memory = taught(silence, silence, { learn: 'trouble', trouble: 'refused' })
    expect(memory.trouble(wifi, NOW + 29_999)).toBeDefined()
    expect(memory.trouble(wifi, NOW + 30_000)).toBeUndefined()
  })

  test('a connection over the path ends it', () => {
    const memory = taught(silence, { learn: 'works' })
    expect(memory.trouble(wifi, NOW)).toBeUndefined()
    memory.learn(wifi, silence, NOW + 40_000)
    expect(memory.trouble(wifi, NOW + 70_000)).toBeUndefined()
  })

  test('another network has come since: what was learned before does not hold', () => {
    const memory = taught(silence)
    expect(memory.trouble(wifi, NOW + 1_000, NOW)).toBe('silent')
    expect(memory.trouble(wifi, NOW + 1_000, NOW + 1)).toBeUndefined()
    memory.learn(wifi, silence, NOW + 2_000)
    expect(memory.trouble(wifi, NOW + 3_000, NOW + 1)).toBe('silent')
  })
})

test('what follows the Convert message is held back on one path for ten minutes', () => {
  const memory = taught({ learn: 'no-pipelining' })
  expect(memory.takesPipelining(wifi, NOW + 599_999)).toBe(false)
  expect(memory.takesPipelining(wifi, NOW + 600_000)).toBe(true)
  expect(memory.takesPipelining(cellular, NOW)).toBe(true)
  expect(memory.takesPipelining(other, NOW)).toBe(true)
})

test('a few second ways at a time show whether a converter is silent, at each converter', () => {
  const { hedges } = new ConverterMemory()
  const begun = Array.from({ length: 8 }, () => hedges.begin(wifi.converter))
  expect(begun.every(Boolean)).toBe(true)
  expect(hedges.begin(wifi.converter)).toBeUndefined()
  expect(hedges.begin(other.converter)).toBeDefined()
  begun[0]!()
  expect(hedges.begin(wifi.converter)).toBeDefined()
  expect(hedges.begin(wifi.converter)).toBeUndefined()
})

describe('cookies, one for each path', () => {
  const cookie = Uint8Array.of(1, 2, 3, 4)

  test('learned, and forgotten', () => {
    const memory = taught({ learn: 'cookie', cookie })
    expect(memory.cookie(wifi)).toEqual(cookie)
    expect(memory.cookie(cellular)).toBeUndefined()
    expect(memory.cookie(other)).toBeUndefined()
    memory.learn(wifi, { learn: 'forget-cookie', cookie }, NOW)
    expect(memory.cookie(wifi)).toBeUndefined()
  })

  test('a configured one holds until the converter gives another, and is not offered again once refused', () => {
    const configured = Uint8Array.of(9, 9, 9, 9)
    const memory = taught({ learn: 'cookie', cookie })
    expect(memory.cookie(wifi, configured)).toEqual(cookie)
    expect(memory.cookie(cellular, configured)).toEqual(configured)
    memory.learn(wifi, { learn: 'forget-cookie', cookie }, NOW)
    expect(memory.cookie(wifi, configured)).toEqual(configured)
    memory.learn(wifi, { learn: 'forget-cookie', cookie: configured }, NOW)
    expect(memory.cookie(wifi, configured)).toBeUndefined()
    expect(memory.cookie(wifi, Uint8Array.of(8, 8, 8, 8))).toBeDefined()
    expect(memory.cookie(cellular, configured)).toEqual(configured)
  })

  test.each([
    ['a promise', Promise.resolve(undefined), /a Uint8Array of 4…988 bytes.*; it returned Promise/],
    ['text', 'c00c1e', /it returned 'c00c1e'/],
    ['bytes that fill no words', Uint8Array.of(1, 2, 3), /it returned 3 bytes/],
    ['more bytes than fit', new Uint8Array(992), /it returned 992 bytes/],
  ])('a store that returns %s is refused', (_, value, message) => {
    const store = { get: () => value as never, set: () => {}, delete: () => {} }
    const refused = expect.objectContaining({ code: 'ERR_ATSSS_OPTION', message: expect.stringMatching(message) })
    expect(() => new ConverterMemory(store).cookie(wifi)).toThrow(refused)
  })

  test('they live in the store given, and outlive the memory', () => {
    const store = new Map<string, Uint8Array>()
    const memory = new ConverterMemory(store)
    memory.learn(wifi, { learn: 'cookie', cookie }, NOW)
    expect([...store.values()]).toEqual([cookie])
    expect(new ConverterMemory(store).cookie(wifi)).toEqual(cookie)
    memory.learn(wifi, { learn: 'forget-cookie', cookie }, NOW)
    expect(store.size).toBe(0)
  })
})

test('TCP options that a converter cannot send are known over any access', () => {
  const memory = taught({ learn: 'no-tcp-options', kinds: [34] }, { learn: 'no-tcp-options', kinds: [29, 8] })
  expect([8, 29, 30, 34].filter(kind => memory.takesOption(cellular, kind))).toEqual([30])
  expect(memory.takesOption(other, 34)).toBe(true)
})

test('a converter that does not understand Info does not over any access', () => {
  const memory = taught({ learn: 'no-info' })
  expect(memory.understandsInfo(wifi)).toBe(false)
  expect(memory.understandsInfo(cellular)).toBe(false)
  expect(memory.understandsInfo(other)).toBe(true)
})

describe('a thousand converters are remembered; more push out what was learned first', () => {
  const path = (index: number): ConverterPath => ({ converter: `192.0.2.1|${index}`, access: '' })
  const crowd = (lesson: Lesson) => {
    const memory = new ConverterMemory()
    for (let i = 0; i < 1_000; i++) memory.learn(path(i), lesson, NOW)
    memory.learn(path(0), lesson, NOW) // is now the youngest
    memory.learn(path(1_000), lesson, NOW)
    return memory
  }

  test.each([
    [
      '1-RTT',
      { learn: 'one-rtt', why: 'no-answer-to-syn-data' },
      (m: ConverterMemory, p: ConverterPath) => !m.oneRtt(p, NOW),
    ],
    [
      'back-off',
      { learn: 'back-off', seconds: 9, code: 64 },
      (m: ConverterMemory, p: ConverterPath) => !m.backOff(p, NOW),
    ],
    ['trouble', { learn: 'trouble', trouble: 'silent' }, (m: ConverterMemory, p: ConverterPath) => !m.trouble(p, NOW)],
    ['no Info', { learn: 'no-info' }, (m: ConverterMemory, p: ConverterPath) => m.understandsInfo(p)],
    [
      'cookies',
      { learn: 'cookie', cookie: Uint8Array.of(1, 2, 3, 4) },
      (m: ConverterMemory, p: ConverterPath) => !m.cookie(p),
    ],
  ] as const)('%s', (_, lesson, forgotten) => {
    const memory = crowd(lesson)
    const gone = Array.from({ length: 1_001 }, (_, index) => index).filter(index => forgotten(memory, path(index)))
    expect(gone).toEqual([1])
  })
})
