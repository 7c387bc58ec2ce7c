/** Where the list of interfaces cannot be had, nothing of ours throws: a process without descriptors gets EMFILE from its socket. */
import type os from 'node:os'
import { afterEach, expect, test, vi } from 'vitest'
import { interfacesInWords } from '../../../lib/runtime/kernel/interface-names.js'
import { interfacesNow } from '../../../lib/runtime/kernel/interfaces.js'
import { mayHaveAddress } from '../../../lib/runtime/network/own-addresses.js'

const system = vi.hoisted(() => ({ isFull: false }))

vi.mock('node:os', async original => {
  const real = await original<typeof os>()
  const networkInterfaces = () => {
    // What libuv has when getifaddrs() finds no descriptor.
    if (system.isFull)
      throw new Error('A system error occurred: uv_interface_addresses returned Unknown system error 24')
    return real.networkInterfaces()
  }
  return { ...real, networkInterfaces }
})

afterEach(() => {
  system.isFull = false
})

test('before there was one: none, and the kernel decides', () => {
  system.isFull = true
  expect(interfacesNow()).toEqual({})
  expect(mayHaveAddress('lo', 6)).toBe(true)
  expect(interfacesInWords()).toBe('none here has an address, except loopback')
})

test('afterwards: the latest one', () => {
  const before = interfacesNow()
  expect(before).toHaveProperty('lo')
  system.isFull = true
  expect(interfacesNow()).toEqual(before)
})
