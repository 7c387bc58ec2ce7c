import { endianness } from 'node:os'
import { describe, expect, test } from 'vitest'
import { native } from '../../../lib/runtime/kernel/native.js'
import { openPathManager, type PathManager, pathManagerType } from '../../../lib/runtime/network/path-manager.js'
import { decodeGeneric } from '../../../lib/wire/netlink/generic.js'
import { decodeMessages, type NetlinkMessage } from '../../../lib/wire/netlink/message.js'
import { hex } from '../../support/hex.js'
import { acknowledge, done, type FakeKernel, fakeKernel, part } from '../../support/netlink-kernel.js'
import { mptcp } from '../../support/probes.js'
import { requires } from '../../support/requires.js'
import { uncaughtIn } from '../../support/uncaught.js'
import { COMMANDS, ENDPOINTS, EVENTS, LIMITS } from '../../wire/netlink/mptcp-pm.vectors.js'

/** The family `mptcp_pm` with the id 28 and its group `mptcp_pm_events`, 9. */
const FAMILY = hex(`
  01020000 0d000200 6d707463 705f706d 00000000 06000100 1c000000 08000300 01000000 44000700 20000100 08000200 08000000
  12000100 6d707463 705f706d 5f636d64 73000000 20000200 08000200 09000000 14000100 6d707463 705f706d 5f657665 6e747300`)

type Answer = (request: NetlinkMessage) => Uint8Array[]

/** Answers what every path manager asks when it is opened; the rest is up to the test. */
async function managerOf(answer: Answer, mayAdminister = true): Promise<{ manager: PathManager; kernel: FakeKernel }> {
  let opened = false
  const kernel = fakeKernel(request => {
    if (request.type === 0x10) return [part(request, FAMILY), acknowledge(request)]
    if (opened) return answer(request)
    return [acknowledge(request, mayAdminister ? 22 : 1)]
  })
  const manager = await openPathManager({ open: kernel.open })
  opened = true
  return { manager, kernel }
}

const accept: Answer = request => [acknowledge(request)]

const asCaptured = describe.runIf(endianness() === 'LE')

asCaptured('opening', () => {
  test('finds the family and joins its events', async () => {
    const { manager, kernel } = await managerOf(accept)
    expect(manager).toMatchObject({ mayAdminister: true, receivesEvents: true })
    expect(kernel.connections).toMatchObject([
      { protocol: 16, groups: undefined },
      { protocol: 16, groups: { number: 9 } },
    ])
    manager.close()
    expect(kernel.connections.map(({ open }) => open)).toEqual([false, false])
  })

  test('the probe for the privilege says nothing that could be done', async () => {
    const { kernel } = await managerOf(accept)
    expect(kernel.requests[1]).toMatchObject({ type: 28 })
    expect(decodeGeneric(kernel.requests[1]!.payload)).toMatchObject({ command: 2, attributes: { list: [] } })
  })

  test('without privilege: neither commands nor events, but it opens', async () => {
    const { open, ...kernel } = fakeKernel(request =>
      request.type === 0x10 ? [part(request, FAMILY), acknowledge(request)] : [acknowledge(request, 1)],
    )
    const manager = await openPathManager({
      open(protocol, receiver, groups) {
        if (groups !== undefined) throw Object.assign(new Error('setsockopt EPERM'), { code: 'EPERM' })
        return open(protocol, receiver, groups)
      },
    })
    expect(manager).toMatchObject({ mayAdminister: false, receivesEvents: false })
    await expect(manager.removeAnnounced({ token: 1, localId: 1 })).rejects.toMatchObject({
      code: 'EPERM',
      syscall: 'mptcp_pm remove',
    })
    manager.close()
    expect(kernel.connections.map(connection => connection.open)).toEqual([false])
  })

  test('a kernel without the family', async () => {
    const kernel = fakeKernel(request => [acknowledge(request, 2)])
    await expect(openPathManager({ open: kernel.open })).rejects.toMatchObject({
      code: 'ENOENT',
      syscall: 'mptcp_pm getfamily',
    })
    expect(kernel.connections[0]!.open).toBe(false)
  })
})

/** Each call, and which of the captured commands it must be. */
const CALLS: [string, (manager: PathManager) => Promise<unknown>, number][] = [
  [
    'createSubflow',
    manager =>
      manager.createSubflow({
        token: 0x70d5b910,
        localId: 2,
        local: { address: '10.9.0.2', interfaceIndex: 1 },
        remote: { address: '10.9.0.1', port: 6000 },
        backup: true,
      }),
    6,
  ],
  [
    'setBackup',
    manager =>
      manager.setBackup({
        token: 0x70d5b910,
        local: { address: '10.9.0.2', port: 46421 },
        remote: { address: '10.9.0.1', port: 6000 },
        backup: false,
      }),
    7,
  ],
  [
    'destroySubflow',
    manager =>
      manager.destroySubflow({
        token: 0x70d5b910,
        local: { address: '10.9.0.2', port: 46421 },
        remote: { address: '10.9.0.1', port: 6000 },
      }),
    8,
  ],
  [
    'announce',
    manager => manager.announce({ token: 0x70d5b910, localId: 4, address: '10.9.0.2', interfaceIndex: 1 }),
    9,
  ],
  ['removeAnnounced', manager => manager.removeAnnounced({ token: 0x70d5b910, localId: 4 }), 10],
  [
    'kernel.addEndpoint',
    manager =>
      manager.kernel.addEndpoint({ id: 5, address: '10.9.0.2', flags: ['subflow', 'backup'], interfaceIndex: 1 }),
    0,
  ],
  ['kernel.deleteEndpoint', manager => manager.kernel.deleteEndpoint(5), 2],
  ['kernel.setLimits', manager => manager.kernel.setLimits({ subflows: 4, addAddrAccepted: 3 }), 4],
]

asCaptured('calls', () => {
  test.each(CALLS)('%s', async (_name, call, vector) => {
    const { manager, kernel } = await managerOf(accept)
    await call(manager)
    const sent = kernel.requests.at(-1)!
    expect(sent).toMatchObject({ type: 28, flags: 0x5 })
    expect(new Uint8Array(sent.payload)).toEqual(COMMANDS[vector]!.bytes)
  })

  test.each(CALLS)('%s refused', async (_name, call, vector) => {
    const { manager } = await managerOf(request => [acknowledge(request, 22, 'invalid token')])
    const syscall = `mptcp_pm ${COMMANDS[vector]!.value[0].replace('-', '_')}`
    await expect(call(manager)).rejects.toMatchObject({
      code: 'EINVAL',
      syscall,
      message: `${syscall} EINVAL: invalid token`,
      kernelMessage: 'invalid token',
    })
  })

  test('kernel.endpoints, kernel.limits', async () => {
    const payloadOf = (bytes: Uint8Array) => decodeMessages(bytes)[0]!.payload
    const { manager } = await managerOf(request =>
      (request.flags & 0x300) === 0x300
        ? [...ENDPOINTS.map(({ bytes }) => part(request, payloadOf(bytes))), done(request)]
        : [part(request, payloadOf(LIMITS)), acknowledge(request)],
    )
    expect(await manager.kernel.endpoints()).toEqual(ENDPOINTS.map(({ value }) => value))
    expect(await manager.kernel.limits()).toEqual({ subflows: 4, addAddrAccepted: 4 })
  })

  test('what is not an address is refused before anyone is asked', async () => {
    const { manager, kernel } = await managerOf(accept)
    const asked = kernel.requests.length
    const subflow = { token: 1, local: { address: 'wifi', port: 1 }, remote: { address: '10.9.0.1', port: 1 } }
    await expect(manager.destroySubflow(subflow)).rejects.toThrow(RangeError)
    expect(kernel.requests).toHaveLength(asked)
  })
})

asCaptured('whether the kernel obeys the interface and flag of a new subflow', () => {
  const subflow = { token: 0x70d5b910, localId: 2, local: { address: '10.9.0.2', interfaceIndex: 1 } }

  test.each([
    [22, 'invalid addr flags', true],
    [22, 'families mismatch', false],
    [97, undefined, false], // before the families were compared, 6.2
    [22, 'invalid token', undefined],
    [22, undefined, undefined],
    [1, undefined, undefined],
    [0, undefined, undefined],
  ])('errno %i, "%s": %s', async (errno, words, obeys) => {
    const { manager } = await managerOf(request => [acknowledge(request, errno, words)])
    expect(await manager.keepsInterface(subflow)).toBe(obeys)
  })

  test.each([
    ['10.9.0.2', 10],
    ['2001:db8::2', 2],
  ])('asks from %s for a remote address of another family', async (address, family) => {
    const { manager, kernel } = await managerOf(request => [acknowledge(request, 22)])
    await manager.keepsInterface({ ...subflow, local: { address, interfaceIndex: 1 } })
    const { command, attributes } = decodeGeneric(kernel.requests.at(-1)!.payload)
    expect(command).toBe(10)
    expect(attributes.nested(6)!.u16(1)).toBe(family)
    expect(attributes.nested(1)!.u32(6)).toBe(1) // signal, which no subflow may be
  })

  test('an announcement may say that subflows from the address are standbys', async () => {
    const { manager, kernel } = await managerOf(accept)
    await manager.announce({ token: 1, localId: 4, address: '10.9.0.2', interfaceIndex: 7, backup: true })
    const { attributes } = decodeGeneric(kernel.requests.at(-1)!.payload)
    expect(attributes.nested(1)!.u32(6)).toBe(0x1 | 0x4)
    expect(attributes.nested(1)!.s32(7)).toBe(7)
  })
})

asCaptured('events', () => {
  test('one by one, also when they come together; those of others are left out', async () => {
    const { manager, kernel } = await managerOf(accept)
    const heard: unknown[] = []
    manager.on('event', event => heard.push(event))
    const other = part({ ...kernel.requests[0]!, type: 27 }, Uint8Array.of(1, 1, 0, 0))
    kernel.connections[1]!.receiver.message(Buffer.concat([...EVENTS.map(({ bytes }) => bytes), other]))
    expect(heard).toEqual(EVENTS.map(({ value }) => value))
  })

  test('what a listener throws is its own: the other events of the same datagram are reported', async () => {
    const { manager, kernel } = await managerOf(accept)
    const types: string[] = []
    manager.on('event', event => {
      types.push(event.type)
      throw new Error('thrown by a listener')
    })
    const thrown = await uncaughtIn(async () =>
      kernel.connections[1]!.receiver.message(Buffer.concat(EVENTS.slice(0, 3).map(({ bytes }) => bytes))),
    )
    expect(types).toEqual(EVENTS.slice(0, 3).map(({ value }) => value.type))
    expect(thrown).toHaveLength(3)
  })

  test('lost ones, and one that cannot be read: overrun', async () => {
    const { manager, kernel } = await managerOf(accept)
    let overruns = 0
    manager.on('overrun', () => overruns++)
    const { receiver } = kernel.connections[1]!
    receiver.overrun()
    receiver.message(Uint8Array.of(1, 2, 3))
    receiver.message(part({ ...kernel.requests[1]! }, Uint8Array.of(3, 1, 0, 0))) // closed, without a token
    expect(overruns).toBe(3)
  })

  test('the end of them', async () => {
    const { manager, kernel } = await managerOf(accept)
    const errors: Error[] = []
    manager.on('error', error => errors.push(error))
    kernel.connections[1]!.receiver.failed(new Error('gone'))
    expect(errors).toMatchObject([{ message: 'gone' }])
  })
})

requires('MPTCP', mptcp).describe('this kernel', () => {
  test('has the family, whatever the privilege', async () => {
    const before = native().counts()
    const manager = await openPathManager()
    expect(manager.receivesEvents).toBe(manager.mayAdminister)
    expect(await manager.kernel.limits()).toMatchObject({ subflows: expect.any(Number) })
    manager.close()
    expect(native().counts()).toEqual(before)
  })

  test('has one of the two path managers', () => {
    expect(['kernel', 'userspace']).toContain(pathManagerType())
  })
})
