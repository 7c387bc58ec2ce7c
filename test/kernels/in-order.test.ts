import { expect, test } from 'vitest'
import { inOrder } from '../../scripts/kernels/in-order.js'

/** Work that ends when the test says so. */
function controlled() {
  const ends = new Map<string, (result: string) => void>()
  const started: string[] = []
  const work = (item: string) =>
    new Promise<string>(resolve => {
      started.push(item)
      ends.set(item, resolve)
    })
  const end = async (item: string) => {
    ends.get(item)!(item.toUpperCase())
    await new Promise(setImmediate)
  }
  return { work, started, end }
}

test('at most this many at a time; results in the order of the items, each as soon as it can be', async () => {
  const { work, started, end } = controlled()
  const taken: string[] = []
  const all = inOrder(['a', 'b', 'c', 'd'], 2, work, result => taken.push(result))
  expect(started).toEqual(['a', 'b'])
  await end('b')
  expect({ started, taken }).toEqual({ started: ['a', 'b', 'c'], taken: [] })
  await end('a')
  expect({ started, taken }).toEqual({ started: ['a', 'b', 'c', 'd'], taken: ['A', 'B'] })
  await end('c')
  expect(taken).toEqual(['A', 'B', 'C'])
  await end('d')
  await all
  expect(taken).toEqual(['A', 'B', 'C', 'D'])
})

test('fewer items than may run at a time; none', async () => {
  const taken: number[] = []
  await inOrder(
    [1],
    8,
    async item => item * 2,
    result => taken.push(result),
  )
  await inOrder(
    [],
    8,
    async (item: number) => item,
    result => taken.push(result),
  )
  expect(taken).toEqual([2])
})

test('work that fails: so does the whole', async () => {
  const fails = async () => {
    throw new Error('no')
  }
  await expect(inOrder([1, 2], 1, fails, () => {})).rejects.toThrow('no')
})
