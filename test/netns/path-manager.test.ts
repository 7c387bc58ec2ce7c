/**
 * The userspace path manager, over two accesses of 50 and 20 Mbit/s, with a server behind both:
 *
 *   UE 10.1.0.2 --- wifi --- \
 *      10.2.0.2 --- cell --- 192.0.2.1
 */
import { createHash } from 'node:crypto'
import { Writable } from 'node:stream'
import { afterAll, beforeAll, expect } from 'vitest'
import { type Lab, openLab } from '../../lib/lab/index.js'
import { compiled } from '../support/compiled.js'
import { Program } from '../support/convert-lab.js'
import { pause } from '../support/native-addon.js'
import { all, linux, mptcp, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { traffic, Ue } from '../support/ue.js'
import { writePattern } from './programs/pattern.js'
import { FLOOD, SINK } from './programs/server.js'

/** SUBFLOW_CREATE takes the interface and the backup flag. */
const keepsBoth = linux('6.9', 'SUBFLOW_CREATE drops interface and backup flag')
const pmTest = requires('MPTCP in network namespaces', all(root, netns, mptcp))
const boundTest = requires('subflows made as asked, in network namespaces', all(root, netns, mptcp, keepsBoth))
const smallIds = linux('6.5', 'ids of subflows are large numbers')
const idsTest = requires('small ids of subflows, in network namespaces', all(root, netns, mptcp, smallIds))

pmTest.describe('the userspace path manager', () => {
  let lab: Lab
  let ue: Ue
  let indices: Record<string, number>
  const remote = (port: number) => ({ address: '192.0.2.1', port })
  const onCell = () => ({ address: '10.2.0.2', interfaceIndex: indices.cell! })

  beforeAll(async () => {
    lab = await openLab()
    await lab.ue.sysctl('net.mptcp.pm_type', 1)
    await lab.converter.run('ip', ['mptcp', 'limits', 'set', 'subflow', '8', 'add_addr_accepted', '8'])
    await new Program(lab.converter.spawn(process.execPath, [compiled('test/netns/programs/server.ts'), 'run'])).event(
      'ready',
    )
    ue = await Ue.start(lab.ue)
    const { links } = await ue.call('network')
    indices = Object.fromEntries(links.map(({ name, index }) => [name, index]))
  })
  afterAll(() => lab?.close())

  /** A connection whose first subflow is on wifi, with a second one on cell. */
  async function twoSubflows(port: number, backup: boolean) {
    const { fd, token } = await ue.call('connect', '192.0.2.1', port, 'wifi')
    await established(fd, token)
    await ue.call('createSubflow', { token: token!, localId: 2, local: onCell(), remote: remote(port), backup })
    await joined()
    const [first, second] = await ue.subflows(fd)
    expect([first, second]).toMatchObject([
      { state: 1, local: { address: '10.1.0.2' }, remote: { address: '192.0.2.1', port } },
      { state: 1, local: { address: '10.2.0.2' }, remote: { address: '192.0.2.1', port } },
    ])
    expect(second!.id).not.toBe(first!.id)
    expect(second!.localPort).toBe(second!.local.port)
    const name = ({ local, remote }: typeof first & object) => ({ token: token!, local, remote })
    return { fd, token: token!, wifi: name(first!), cell: name(second!) }
  }

  /** A connection may have further subflows once its first data is acknowledged: how soon depends on the kernel. */
  async function established(fd: number, token: number | undefined): Promise<void> {
    await ue.call('write', fd, 'x')
    await expect.poll(() => ue.events('established').some(event => event.token === token), { interval: 5 }).toBe(true)
  }

  /** Of what both links carry in a second, once what waited in their queues before is gone. */
  async function shareOfWifi(direction: 'uplink' | 'downlink'): Promise<number> {
    const bytes = traffic(lab)
    await pause(1000)
    await bytes()
    await pause(1000)
    const { wifi, cell } = await bytes()
    return wifi![direction] / (wifi![direction] + cell![direction])
  }

  /** Data flows over a new subflow, and its flag can be changed, two round trips after it was asked for. */
  const joined = () => pause(400)

  pmTest('is the one, and we may command it', async () => {
    expect(await ue.call('pathManagerType')).toBe('userspace')
    expect(await ue.call('privileges')).toEqual({ mayAdminister: true, receivesEvents: true })
  })

  boundTest('the backup flag moves what we send', async () => {
    const { fd, wifi, cell } = await twoSubflows(SINK, true)
    await ue.call('flood', fd)
    const share = () => shareOfWifi('uplink')
    expect(await share()).toBeGreaterThan(0.95)
    await ue.call('setBackup', { ...cell, backup: false })
    await ue.call('setBackup', { ...wifi, backup: true })
    expect(await share()).toBeLessThan(0.05)
    await ue.call('setBackup', { ...wifi, backup: false })
    const both = await share()
    expect(both).toBeGreaterThan(0.3)
    expect(both).toBeLessThan(0.9)
    await ue.call('close', fd)
  })

  boundTest('and what the peer sends', async () => {
    const { fd, wifi, cell } = await twoSubflows(FLOOD, true)
    const share = () => shareOfWifi('downlink')
    expect(await share()).toBeGreaterThan(0.95)
    await ue.call('setBackup', { ...cell, backup: false })
    await ue.call('setBackup', { ...wifi, backup: true })
    expect(await share()).toBeLessThan(0.05)
    await ue.call('close', fd)
  })

  idsTest('a subflow destroyed, and made again, while data flows: nothing is lost', async () => {
    const { fd, token, wifi, cell } = await twoSubflows(SINK, true)
    const length = 8_000_000
    const answer = ue.call('upload', fd, length)
    await pause(100)
    await ue.call('setBackup', { ...cell, backup: false })
    await ue.call('destroySubflow', wifi)
    await pause(200)
    const left = await ue.subflows(fd)
    // The first subflow stays in the list, closed.
    expect(left.map(({ id, state }) => [id, state])).toEqual([
      [1, 7],
      [2, 1],
    ])
    const onWifi = { address: '10.1.0.2', interfaceIndex: indices.wifi! }
    await ue.call('createSubflow', { token, localId: 1, local: onWifi, remote: remote(SINK) })
    await joined()
    expect((await ue.subflows(fd)).find(({ id }) => id === 3)).toMatchObject({
      state: 1,
      local: { address: '10.1.0.2' },
      bytesSent: expect.any(Number),
    })
    expect(await answer).toBe(`${length + 1} ${await hashWithX(length)}`)
  })

  pmTest('with no subflow left the connection lives, and goes on over a new one', async () => {
    const { fd, token, wifi, cell } = await twoSubflows(SINK, false)
    const length = 4_000_000
    const answer = ue.call('upload', fd, length)
    await pause(200)
    await ue.call('destroySubflow', wifi)
    await ue.call('destroySubflow', cell)
    await pause(1000)
    const [sample] = await ue.call('sample', fd)
    expect(sample).toMatchObject({ errno: 0, token, outstanding: expect.any(Number) })
    expect(sample!.outstanding).toBeGreaterThan(0)
    await ue.call('createSubflow', { token, localId: 3, local: onCell(), remote: remote(SINK) })
    expect(await answer).toBe(`${length + 1} ${await hashWithX(length)}`)
  })

  pmTest('no second subflow before the first data is acknowledged, which is when it is established', async () => {
    const { fd, token } = await ue.call('connect', '192.0.2.1', SINK, 'wifi')
    const create = () => ue.call('createSubflow', { token: token!, localId: 2, local: onCell(), remote: remote(SINK) })
    await pause(100)
    await expect(create()).rejects.toMatchObject({ code: 'ENOTCONN' })
    const established = () => ue.events('established').some(event => event.token === token)
    expect(established()).toBe(false)
    await ue.call('write', fd, 'x')
    await expect.poll(established, { interval: 5 }).toBe(true)
    await create()
    await ue.call('close', fd)
  })

  pmTest('the flag of a subflow cannot be changed before its handshake is done', async () => {
    const { fd, token } = await ue.call('connect', '192.0.2.1', SINK, 'wifi')
    await established(fd, token)
    await ue.call('createSubflow', { token: token!, localId: 2, local: onCell(), remote: remote(SINK) })
    const [, { local }] = (await ue.subflows(fd)) as [unknown, { local: { address: string; port: number } }]
    // Kernels before 7.1 and its stable siblings take it, and do not tell the peer.
    const early = ue.call('setBackup', { token: token!, local, remote: remote(SINK), backup: true })
    expect(await early.catch(error => error.kernelMessage)).toBeOneOf([undefined, null, 'subflow not found'])
    await joined()
    await ue.call('setBackup', { token: token!, local, remote: remote(SINK), backup: true })
    await ue.call('close', fd)
  })

  pmTest('over IPv6', async () => {
    const { fd, token } = await ue.call('connect', '2001:db8:c::1', SINK, 'wifi')
    await established(fd, token)
    const local = { address: '2001:db8:2::2', interfaceIndex: indices.cell! }
    const server = { address: '2001:db8:c::1', port: SINK }
    await ue.call('createSubflow', { token: token!, localId: 2, local, remote: server })
    await joined()
    const [, cell] = await ue.subflows(fd)
    expect(cell).toMatchObject({ state: 1, local: { address: '2001:db8:2::2', family: 6 }, remote: server })
    const name = { token: token!, local: cell!.local, remote: cell!.remote }
    await ue.call('setBackup', { ...name, backup: true })
    await ue.call('destroySubflow', name)
    await pause(100)
    expect(await ue.subflows(fd)).toHaveLength(1)
    await ue.call('close', fd)
  })

  pmTest('whether new subflows are bound is learned without making one', async () => {
    const { fd, token, cell } = await twoSubflows(SINK, false)
    const ask = (of: number, local: { address: string; interfaceIndex: number }) =>
      ue.call('keepsInterface', { token: of, localId: 2, local })
    const [made] = ue.events('subflow-established').filter(event => event.token === token)
    expect(made).toMatchObject({ local: cell.local })
    expect(await ask(token, onCell())).toBe(made!.interfaceIndex === indices.cell)
    expect(await ask(77, onCell())).toBeOneOf([undefined, null])
    await pause(300)
    expect(await ue.subflows(fd)).toHaveLength(2)
    await ue.call('close', fd)
  })

  pmTest('what the kernel refuses', async () => {
    const { fd, token, cell } = await twoSubflows(SINK, false)
    const make = (localId: number, local = onCell(), of = token) =>
      ue.call('createSubflow', { token: of, localId, local, remote: remote(SINK) })
    const refused = (code: string, kernelMessage?: string) => expect.objectContaining({ code, kernelMessage })
    // One id for each address, and one address for each id.
    await expect(make(3)).rejects.toEqual(refused('EINVAL', 'did not match address and id'))
    await expect(make(2, { address: '10.1.0.2', interfaceIndex: indices.wifi! })).rejects.toEqual(
      refused('EINVAL', 'did not match address and id'),
    )
    await expect(make(9, { ...onCell(), address: '10.2.0.99' })).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' })
    if (keepsBoth() === undefined)
      await expect(make(2, { ...onCell(), interfaceIndex: 999 })).rejects.toMatchObject({ code: 'ENODEV' })
    // A connection that is none. (The kernel's words for it are the only difference to other causes of EINVAL.)
    await expect(make(2, onCell(), 77)).rejects.toEqual(refused('EINVAL', 'invalid token'))
    await expect(ue.call('announce', { token: 77, localId: 5, ...onCell() })).rejects.toEqual(
      refused('EINVAL', 'invalid token'),
    )
    await expect(ue.call('removeAnnounced', { token, localId: 99 })).rejects.toMatchObject({ code: 'EINVAL' })
    // A subflow that is none.
    await ue.call('destroySubflow', cell)
    const notFound =
      (expected: string) =>
      ({ code, kernelMessage = 'subflow not found' }: { code: string; kernelMessage?: string }) =>
        code === expected && kernelMessage === 'subflow not found' // no words on 6.1
    await expect(ue.call('destroySubflow', cell)).rejects.toSatisfy(notFound('ESRCH'))
    await expect(ue.call('setBackup', { ...cell, backup: true })).rejects.toSatisfy(notFound('EINVAL'))
    await ue.call('close', fd)
    await pause(100)
    await expect(make(2)).rejects.toEqual(refused('EINVAL', 'invalid token'))
  })

  pmTest('events: a connection, a subflow, one that is refused, and their ends', async () => {
    const { fd, token, cell } = await twoSubflows(SINK, false)
    const of = (type: string) => ue.events(type).filter(event => event.token === token)
    expect(of('created')).toMatchObject([{ serverSide: false, remote: { address: '192.0.2.1', port: SINK } }])
    expect(of('established')).toHaveLength(1)
    expect(of('subflow-established')).toMatchObject([
      {
        localId: 2,
        remoteId: 0,
        local: cell.local,
        ...(keepsBoth() === undefined && { interfaceIndex: indices.cell }),
      },
    ])
    // Nobody listens on port 4000: the request itself succeeds.
    await ue.call('destroySubflow', cell)
    await ue.call('createSubflow', { token, localId: 2, local: onCell(), remote: remote(4000) })
    await expect
      .poll(() => of('subflow-closed'))
      .toMatchObject([
        { local: cell.local, localId: 2 },
        { remote: remote(4000), error: 111 },
      ])
    await ue.call('close', fd)
    await expect.poll(() => of('closed')).toHaveLength(1)
  })
})

/** Of "x" and the pattern. */
async function hashWithX(length: number): Promise<string> {
  const hash = createHash('sha256').update('x')
  const write = (chunk: Buffer, _encoding: string, done: () => void) => {
    hash.update(chunk)
    done()
  }
  await writePattern(new Writable({ write }), length)
  return hash.digest('hex')
}
