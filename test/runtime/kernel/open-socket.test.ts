import { once } from 'node:events'
import net from 'node:net'
import { describe, expect, test } from 'vitest'
import { IPPROTO_MPTCP, IPPROTO_TCP, IPV6_V6ONLY, int, SOL_IPV6 } from '../../../lib/runtime/kernel/constants.js'
import { native } from '../../../lib/runtime/kernel/native.js'
import { openSocket, protocolOf, type SocketPlan } from '../../../lib/runtime/kernel/open-socket.js'
import { isSupported, lacksMptcp, unsupportedReason } from '../../../lib/runtime/kernel/support.js'
import { leavesNothingOpen } from '../../support/open-things.js'
import { mptcp } from '../../support/probes.js'
import { requires } from '../../support/requires.js'
import { plain, thrownBy } from '../../support/same-as-net.js'

const mptcpTest = requires('MPTCP', mptcp)

leavesNothingOpen()

const SOL_SOCKET = 1
const SO_REUSEADDR = 2
const SO_BINDTODEVICE = 25
const SO_PROTOCOL = 38

const bare: SocketPlan = { mptcp: 'prefer', localAddress: undefined, localPort: undefined, steered: false }

/** What `look` sees of a socket that is opened so, and then closed. */
function opened<T>(family: 4 | 6, plan: Partial<SocketPlan>, look: (fd: number) => T, device?: string): T {
  const { fd } = openSocket(family, { ...bare, ...plan }, device)
  try {
    return look(fd)
  } finally {
    native().close(fd)
  }
}

const number = (level: number, name: number) => (fd: number) => native().getsockopt(fd, level, name, 4).readInt32LE()

mptcpTest.describe('a socket is opened', () => {
  test.each([
    ['prefer', IPPROTO_MPTCP],
    ['require', IPPROTO_MPTCP],
    ['off', IPPROTO_TCP],
  ] as const)('mptcp: %s', (mptcp, protocol) => {
    for (const family of [4, 6] as const)
      expect(opened(family, { mptcp }, number(SOL_SOCKET, SO_PROTOCOL))).toBe(protocol)
  })

  test.each([
    [4, { localAddress: '127.0.0.5' }, '127.0.0.5'],
    [6, { localAddress: '::1' }, '::1'],
    [4, { localPort: 23_801 }, '0.0.0.0'],
    [6, { localPort: 23_802 }, '::'],
  ] as const)('bound: IPv%i, %o', (family, plan, address) => {
    const name = opened(family, plan, fd => native().getsockname(fd))
    expect(name).toMatchObject({ address, family, ...('localPort' in plan && { port: plan.localPort }) })
    expect(opened(family, plan, number(SOL_SOCKET, SO_REUSEADDR))).toBe(1)
  })

  test('steered: for both families; what it is bound to is in the family of the destination', () => {
    const SO_DOMAIN = 39
    const AF_INET6 = 10
    for (const family of [4, 6] as const) {
      expect(opened(family, { steered: true }, number(SOL_SOCKET, SO_DOMAIN))).toBe(AF_INET6)
      expect(opened(family, { steered: true }, number(SOL_IPV6, IPV6_V6ONLY))).toBe(0)
    }
    const bound = opened(4, { steered: true, localAddress: '127.0.0.6' }, fd => native().getsockname(fd))
    expect(bound.address).toBe('::ffff:127.0.0.6')
    expect(opened(4, { steered: true, mptcp: 'off' }, number(SOL_SOCKET, SO_DOMAIN))).not.toBe(AF_INET6)
    const refused = thrownBy(() => openSocket(4, { ...bare, steered: true, localAddress: '::1' }, undefined))
    expect(refused).toMatchObject({ code: 'EINVAL', syscall: 'bind', address: '::1' })
  })

  test('the congestion control, and how much may wait unsent', () => {
    const [TCP_CONGESTION, TCP_NOTSENT_LOWAT] = [13, 25]
    const name = (fd: number) => native().getsockopt(fd, 6, TCP_CONGESTION, 16).toString('latin1').replace(/\0.*$/, '')
    const tuning = { congestion: 'reno', notsentLowWater: 65_536 }
    for (const mptcp of ['prefer', 'off'] as const) {
      expect(opened(4, { mptcp, tuning }, name)).toBe('reno')
      expect(opened(4, { mptcp, tuning }, number(6, TCP_NOTSENT_LOWAT))).toBe(65_536)
    }
    const missing = thrownBy(() => openSocket(4, { ...bare, tuning: { congestion: 'nosuch' } }, undefined))
    expect(missing).toMatchObject({ code: 'ERR_ATSSS_CONGESTION', message: expect.stringContaining('reno') })
  })

  test('not bound unless asked to', () => {
    expect(opened(4, {}, fd => native().getsockname(fd))).toEqual({ address: '0.0.0.0', family: 4, port: 0 })
  })

  test('bound to a device', () => {
    const device = opened(4, {}, fd => native().getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, 16), 'lo')
    expect(device.toString()).toBe('lo\0')
  })
})

describe('a socket that cannot be set up is closed again, with the reason', () => {
  test.each<[string, 4 | 6, Partial<SocketPlan>, object]>([
    [
      'no such address',
      4,
      { localAddress: '192.0.2.9' },
      { code: 'EADDRNOTAVAIL', syscall: 'bind', address: '192.0.2.9' },
    ],
    ['an address of the other family', 4, { localAddress: '::1' }, { code: 'EINVAL', syscall: 'bind', address: '::1' }],
    [
      'and the other way',
      6,
      { localAddress: '127.0.0.1', localPort: 9 },
      { code: 'EINVAL', address: '127.0.0.1', port: 9 },
    ],
  ])('%s', (_, family, plan, expected) => {
    expect(thrownBy(() => openSocket(family, { ...bare, mptcp: 'off', ...plan }, undefined))).toMatchObject(expected)
  })

  test('no such device', () => {
    const expected = { code: 'ENODEV', syscall: 'bind', address: 'nowhere0' }
    expect(thrownBy(() => openSocket(4, { ...bare, mptcp: 'off' }, 'nowhere0'))).toMatchObject(expected)
  })
})

describe('what a connection speaks', () => {
  mptcpTest('MPTCP, until the peer turns out not to', async () => {
    const server = net.createServer(socket => socket.destroy()).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { fd, protocol } = openSocket(4, bare, undefined)
    expect(protocol).toEqual({ name: 'mptcp' })
    expect(protocolOf(fd, protocol)).toEqual({ name: 'mptcp' })
    native().connect(fd, '127.0.0.1', (server.address() as net.AddressInfo).port)
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(protocolOf(fd, protocol)).toEqual({ name: 'tcp', why: expect.stringContaining('does not speak MPTCP') })
    native().close(fd)
    server.close()
  })

  test('what was TCP from the beginning keeps its reason', () => {
    expect(protocolOf(-1, { name: 'tcp' })).toEqual({ name: 'tcp' })
    expect(protocolOf(-1, { name: 'tcp', why: 'switched off' })).toEqual({ name: 'tcp', why: 'switched off' })
  })
})

describe('whether the system can do MPTCP', () => {
  mptcpTest('it can', () => {
    expect(isSupported()).toEqual({ supported: true })
  })

  test.each([
    ['ENOPROTOOPT', 'sysctl -w net.mptcp.enabled=1', true],
    ['EPROTONOSUPPORT', 'CONFIG_MPTCP', true],
    ['EINVAL', 'older than MPTCP', true],
    ['EPERM', 'security policy', true],
    ['EACCES', 'security policy', true],
    ['EMFILE', 'too many files', false],
    ['ENOMEM', 'too many files', false],
  ])('socket() fails with %s', (code, reason, lacks) => {
    const error = Object.assign(new Error('too many files'), { code, syscall: 'socket' })
    expect(unsupportedReason(error)).toContain(reason)
    expect(lacksMptcp(error)).toBe(lacks)
  })

  test('an error without a code is not for want of MPTCP', () => {
    expect(lacksMptcp(new Error('x'))).toBe(false)
    expect(plain(new Error('x'))).toEqual({ name: 'Error', message: 'x' })
  })
})

test('the int of setsockopt', () => {
  expect([...int(1)]).toEqual([1, 0, 0, 0])
})
