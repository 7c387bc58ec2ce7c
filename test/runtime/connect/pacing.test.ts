import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Pacing, type Place } from '../../../lib/runtime/connect/pacing.js'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const ticks = () => new Promise<void>(resolve => process.nextTick(resolve))

/** So many connections that are to be made at once. */
function crowd(
  count: number,
  pacing = new Pacing(),
): { begun: number[]; places: Place[]; answer(index: number): Promise<void> } {
  const begun: number[] = []
  const places = Array.from({ length: count }, (_, index) => pacing.enter('converter', () => begun.push(index)))
  const answer = (index: number) => {
    places[index]!.leave(true)
    return ticks()
  }
  return { begun, places, answer }
}

describe('connections through one converter', () => {
  test('as many as usual begin at once, in their order; each converter has its own', async () => {
    const pacing = new Pacing()
    expect(crowd(100, pacing).begun).toEqual(Array.from({ length: 100 }, (_, index) => index))
    const other: string[] = []
    pacing.enter('other', () => other.push('begun'))
    expect(other).toEqual(['begun'])
  })

  test('of a thousand, the others wait for answers: the number at once doubles with each round that comes soon', async () => {
    const { begun, answer } = crowd(1_000)
    const rounds = [begun.length]
    for (let answered = 0; answered < 1_000; ) {
      vi.advanceTimersByTime(20)
      const until = begun.length
      while (answered < until) await answer(answered++)
      rounds.push(begun.length - until)
    }
    expect(rounds).toEqual([128, 256, 512, 104, 0])
  })

  test('answers that take long: fewer at once, so that each is answered in time', async () => {
    const { begun, answer } = crowd(1_000)
    let answered = 0
    for (let i = 0; i < 128; i++) {
      vi.advanceTimersByTime(100)
      await answer(answered++)
    }
    expect(begun.length - answered).toBe(32)
  })

  test('a server that does not answer holds up no others: who began later has been answered', async () => {
    const { begun, answer } = crowd(1_000)
    vi.advanceTimersByTime(50)
    for (let i = 0; i < 28; i++) await answer(i)
    const before = begun.length
    vi.advanceTimersByTime(1_100)
    await answer(before - 1) // began 1.1 s ago
    // The hundred of the first round that are not answered are not counted any more: they alone would be more than the window.
    expect(begun.length).toBeGreaterThan(before)
  })

  test('no answers at all: the others begin nevertheless', async () => {
    const { begun } = crowd(300)
    vi.advanceTimersByTime(4_000)
    expect(begun).toHaveLength(128)
    vi.advanceTimersByTime(4_000)
    expect(begun).toHaveLength(256)
  })

  test('one that is given up makes room, whether it has begun or not; leaving twice changes nothing', async () => {
    const { begun, places } = crowd(130)
    places[129]!.leave(false)
    places[0]!.leave(false)
    places[0]!.leave(false)
    await ticks()
    expect(begun).toHaveLength(129)
    expect(begun.at(-1)).toBe(128)
  })
})
