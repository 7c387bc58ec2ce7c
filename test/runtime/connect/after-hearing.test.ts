import { setTimeout as sleep } from 'node:timers/promises'
import { MessageChannel } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { afterHearing } from '../../../lib/runtime/connect/after-hearing.js'
import { blockFor } from '../../support/block-for.js'

/** Resolves with the milliseconds until it acted. */
function acted(milliseconds: number, hasArrived: () => boolean): Promise<number> {
  const began = performance.now()
  return new Promise(resolve => void afterHearing(milliseconds, hasArrived, () => resolve(performance.now() - began)))
}

test('acts at its time when nothing has arrived', async () => {
  const took = await acted(30, () => false)
  expect(took).toBeGreaterThanOrEqual(29)
})

test('what has arrived while the loop was held up comes first', async () => {
  const order: string[] = []
  afterHearing(
    20,
    () => false,
    () => order.push('timer'),
  )
  // As completions do, these come in the loop's poll phase, which is after its timers.
  const { port1, port2 } = new MessageChannel()
  port1.on('message', () => {
    order.push('arrived')
    port1.close()
  })
  port2.postMessage('x')
  blockFor(60)
  await sleep(40)
  expect(order).toEqual(['arrived', 'timer'])
})

test('waits for what is on its way, and not for ever', async () => {
  let polls = 0
  expect(await acted(10, () => ++polls < 4)).toBeGreaterThanOrEqual(60)
  expect(polls).toBe(4)
  const took = await acted(10, () => true)
  expect(took).toBeGreaterThanOrEqual(2_000)
})

test('cancelled at any time, it does not act', async () => {
  let count = 0
  const timers = [0, 15, 30].map(() => afterHearing(10, () => count++ < 100, expect.unreachable))
  for (const timer of timers) {
    await sleep(15)
    timer.cancel()
  }
  await sleep(60)
})
