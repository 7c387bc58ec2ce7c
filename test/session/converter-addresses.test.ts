/** The addresses of a session's converters, while a server listens: names are looked up again, and what is found is used. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { resolveOptions } from '../../lib/input/options.js'
import { ConverterAddresses } from '../../lib/session/converter-addresses.js'

const names = vi.hoisted(() => ({ asked: [] as string[], found: {} as Record<string, string[]> }))
vi.mock('../../lib/runtime/connect/resolve.js', async original => ({
  ...(await original<object>()),
  findConverters: async ([spec]: [{ where: { host: string } }]) => {
    const { host } = spec.where
    names.asked.push(host)
    const found = names.found[host]
    if (!found) throw new Error(`${host} cannot be found`)
    return found.map(address => ({ address, port: 5124 }))
  },
}))

beforeEach(() => {
  vi.useFakeTimers()
  names.asked = []
  names.found = { 'a.example': ['192.0.2.1'], '192.0.2.9': ['192.0.2.9'] }
})
afterEach(() => void vi.useRealTimers())

function addresses(changed = () => {}) {
  const { converters } = resolveOptions({ converters: ['a.example:5124', '192.0.2.9:5124'] })
  return new ConverterAddresses(converters, changed)
}

test('a converter that has moved is known by its new address, and no longer by the old one', async () => {
  const changed = vi.fn()
  const found = addresses(changed)
  await found.open()
  expect(found.all).toEqual(['192.0.2.1', '192.0.2.9'])
  await vi.advanceTimersByTimeAsync(60_000)
  expect(changed).not.toHaveBeenCalled()
  names.found['a.example'] = ['::ffff:192.0.2.2']
  await vi.advanceTimersByTimeAsync(60_000)
  expect(changed).toHaveBeenCalledTimes(1)
  expect(found.all).toEqual(['192.0.2.2', '192.0.2.9'])
  expect([found.has('192.0.2.1'), found.has('192.0.2.2')]).toEqual([false, true])
  // An address is not looked up again.
  expect(names.asked.filter(name => name === '192.0.2.9')).toHaveLength(1)
  found.close()
})

test('also when the network has changed; a name that cannot be found now keeps its addresses', async () => {
  const changed = vi.fn()
  const found = addresses(changed)
  await found.open()
  names.found = {}
  found.refresh()
  await vi.advanceTimersByTimeAsync(1)
  expect(names.asked.filter(name => name === 'a.example')).toHaveLength(2)
  expect(found.has('192.0.2.1')).toBe(true)
  names.found['a.example'] = ['192.0.2.3']
  found.refresh()
  await vi.advanceTimersByTimeAsync(1)
  expect(changed).toHaveBeenCalledTimes(1)
  expect(found.has('192.0.2.3')).toBe(true)
  found.close()
})

test('a name that could not be found at first is found later; closed, nothing is looked up, and no timer is left', async () => {
  names.found = { '192.0.2.9': ['192.0.2.9'] }
  const changed = vi.fn()
  const found = addresses(changed)
  await found.open()
  expect(found.all).toEqual(['192.0.2.9'])
  names.found['a.example'] = ['192.0.2.1']
  await vi.advanceTimersByTimeAsync(60_000)
  expect(found.has('192.0.2.1')).toBe(true)
  found.close()
  expect(vi.getTimerCount()).toBe(0)
  const { length } = names.asked
  found.refresh()
  expect(names.asked).toHaveLength(length)
})

test('none can be found: an error', async () => {
  names.found = {}
  await expect(addresses().open()).rejects.toThrow('a.example cannot be found')
})
