import { expect, vi } from 'vitest'
import { native } from '../../lib/runtime/kernel/native.js'
import { addon } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { incomingRig } from './incoming/rig.js'

const refuse = vi.hoisted(() => vi.fn())

vi.mock('../../lib/runtime/kernel/native.js', async original => {
  const { native, ...rest } = await original<typeof import('../../lib/runtime/kernel/native.js')>()
  return { ...rest, native: () => Object.create(native(), { attachFilter: { value: refuse } }) }
})

requires('the addon', addon)(
  'without the right to filter TCP sockets: the error says what it needs, and nothing stays open',
  async () => {
    // As Linux 6.18 says it without CAP_NET_ADMIN.
    refuse.mockImplementation(() => {
      throw Object.assign(new Error('setsockopt EPERM'), { code: 'EPERM', errno: 1, syscall: 'setsockopt' })
    })
    const before = native().counts()
    await expect(incomingRig()).rejects.toMatchObject({
      code: 'ERR_CONVERTER_PRIVILEGE',
      message: expect.stringContaining('CAP_NET_ADMIN'),
    })
    expect(refuse).toHaveBeenCalled()
    expect(native().counts()).toEqual(before)
  },
)
