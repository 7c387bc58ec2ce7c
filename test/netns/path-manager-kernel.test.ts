/** What does not work with the userspace path manager: without it, without privilege; and the side that accepts. */
import { afterAll, beforeAll, expect } from 'vitest'
import { type Lab, openLab } from '../../lib/lab/index.js'
import { compiled } from '../support/compiled.js'
import { Program } from '../support/convert-lab.js'
import { pause } from '../support/native-addon.js'
import { all, mptcp, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { traffic, Ue } from '../support/ue.js'
import { SINK } from './programs/server.js'

const pmTest = requires('MPTCP in network namespaces', all(root, netns, mptcp))

pmTest.describe('the path managers', () => {
  let lab: Lab
  let indices: Record<string, number>

  beforeAll(async () => {
    lab = await openLab()
    await lab.converter.run('ip', ['mptcp', 'limits', 'set', 'subflow', '8', 'add_addr_accepted', '8'])
    await new Program(lab.converter.spawn(process.execPath, [compiled('test/netns/programs/server.ts'), 'run'])).event(
      'ready',
    )
  })
  afterAll(() => lab?.close())

  async function start(type: 'kernel' | 'userspace', wrapper: string[] = []): Promise<Ue> {
    await lab.ue.sysctl('net.mptcp.pm_type', type === 'kernel' ? 0 : 1)
    const ue = await Ue.start(lab.ue, wrapper)
    expect(await ue.call('pathManagerType')).toBe(type)
    const { links } = await ue.call('network')
    indices = Object.fromEntries(links.map(({ name, index }) => [name, index]))
    return ue
  }

  const onCell = () => ({ address: '10.2.0.2', interfaceIndex: indices.cell! })
  const remote = { address: '192.0.2.1', port: SINK }

  pmTest('the kernel’s: endpoints make subflows, and their flags move the data of all connections', async () => {
    const ue = await start('kernel')
    await ue.call('setLimits', { subflows: 3, addAddrAccepted: 1 })
    expect(await ue.call('limits')).toEqual({ subflows: 3, addAddrAccepted: 1 })
    await ue.call('addEndpoint', { id: 7, ...onCell(), flags: ['subflow', 'backup'] })
    const endpoint = { id: 7, address: '10.2.0.2', interfaceIndex: indices.cell!, port: 0 }
    expect(await ue.call('endpoints')).toEqual([{ ...endpoint, flags: ['subflow', 'backup'] }])
    await expect(ue.call('addEndpoint', { id: 7, ...onCell(), flags: ['subflow'] })).rejects.toMatchObject({
      code: expect.stringMatching(/^(EEXIST|EBUSY|EINVAL)$/),
    })

    const { fd, token } = await ue.call('connect', '192.0.2.1', SINK, 'wifi')
    await ue.call('flood', fd)
    await pause(500)
    expect(await ue.subflows(fd)).toMatchObject([
      { local: { address: '10.1.0.2' } },
      { local: { address: '10.2.0.2' }, state: 1 },
    ])
    const bytes = traffic(lab)
    const onBoth = async () => {
      await pause(500)
      await bytes()
      await pause(1000)
      const { wifi, cell } = await bytes()
      return cell!.uplink / (wifi!.uplink + cell!.uplink)
    }
    expect(await onBoth()).toBeLessThan(0.05)
    await ue.call('setEndpointFlags', { id: 7, flags: [] })
    expect(await onBoth()).toBeGreaterThan(0.1)

    // One connection cannot be commanded.
    const { local } = (await ue.subflows(fd))[1]!
    const subflow = { token: token!, local, remote }
    // 6.1 gives no words.
    for (const attempt of [
      ue.call('createSubflow', { token: token!, localId: 9, local: onCell(), remote }),
      ue.call('destroySubflow', subflow),
      ue.call('setBackup', { ...subflow, backup: true }),
    ])
      await expect(attempt).rejects.toSatisfy(
        ({ code, kernelMessage = 'userspace PM not selected' }: { code: string; kernelMessage?: string }) =>
          code === 'EINVAL' && kernelMessage.includes('userspace PM not selected'),
      )

    await ue.call('deleteEndpoint', 7)
    await expect(ue.call('deleteEndpoint', 7)).rejects.toMatchObject({ code: 'EINVAL' })
    await pause(300)
    expect(await ue.subflows(fd)).toHaveLength(1)
    expect(await ue.call('endpoints')).toEqual([])
    await ue.call('close', fd)
  })

  pmTest('a socket keeps the path manager that there was when it was opened', async () => {
    const ue = await start('kernel')
    const before = await ue.call('connect', '192.0.2.1', SINK, 'wifi')
    await lab.ue.sysctl('net.mptcp.pm_type', 1)
    expect(await ue.call('pathManagerType')).toBe('userspace')
    const after = await ue.call('connect', '192.0.2.1', SINK, 'wifi')
    for (const { fd } of [before, after]) await ue.call('write', fd, 'x')
    await pause(200)
    const create = ({ token }: { token: number | undefined }) =>
      ue.call('createSubflow', { token: token!, localId: 2, local: onCell(), remote })
    await expect(create(before)).rejects.toMatchObject({ code: 'EINVAL' })
    await create(after)
    for (const { fd } of [before, after]) await ue.call('close', fd)
  })

  pmTest('without CAP_NET_ADMIN, though root: what there is can be read, and nothing changed', async () => {
    const ue = await start('userspace', ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin'])
    expect(await ue.call('privileges')).toEqual({ mayAdminister: false, receivesEvents: false })
    const { fd, token } = await ue.call('connect', '192.0.2.1', SINK, 'wifi')
    await ue.call('write', fd, 'x')
    await pause(200)
    const [subflow] = await ue.subflows(fd)
    expect(subflow).toMatchObject({ state: 1, local: { address: '10.1.0.2' }, bytesAcked: 2 })
    const { local } = subflow!
    const denied = { code: 'EPERM', message: expect.stringMatching(/^mptcp_pm \w+ EPERM/) }
    for (const attempt of [
      ue.call('createSubflow', { token: token!, localId: 2, local: onCell(), remote }),
      ue.call('destroySubflow', { token: token!, local, remote }),
      ue.call('setBackup', { token: token!, local, remote, backup: true }),
      ue.call('announce', { token: token!, localId: 2, ...onCell() }),
      ue.call('removeAnnounced', { token: token!, localId: 2 }),
      ue.call('addEndpoint', { ...onCell(), flags: ['subflow'] }),
      ue.call('setLimits', { subflows: 1, addAddrAccepted: 1 }),
    ])
      await expect(attempt).rejects.toMatchObject(denied)
    expect(await ue.call('limits')).toMatchObject({ subflows: expect.any(Number) })
    expect(await ue.call('endpoints')).toEqual([])
    await ue.call('close', fd)
  })

  pmTest('an accepted connection: its peer joins the address announced, and the flags steer it', async () => {
    const ue = await start('userspace')
    await ue.call('accept', '::', 6000)
    const client = await Ue.start(lab.converter)
    await client.call('connect', '10.1.0.2', 6000, 'wifi')
    const { fd: clientFd } = await client.call('connect', '10.1.0.2', 6000, 'wifi')
    await client.call('write', clientFd, 'x')
    const accepted = () =>
      ue.heard.filter(({ event }) => event === 'accepted') as unknown as { fd: number; token: number }[]
    await expect.poll(() => accepted().length, { timeout: 10_000 }).toBe(2)
    await pause(200) // the first byte, and what acknowledges it
    const { fd, token } = accepted()[1]!
    await ue.call('write', fd, 'y')
    await pause(200)
    await ue.call('announce', { token, localId: 2, ...onCell() })
    await pause(500)
    const subflows = await ue.subflows(fd)
    // IPv4 on the IPv6 socket of the listener.
    expect(subflows).toMatchObject([
      { state: 1, local: { address: '::ffff:10.1.0.2', port: 6000 } },
      { state: 1, local: { address: '::ffff:10.2.0.2', port: 6000 } },
    ])
    expect(ue.events('subflow-established').find(event => event.token === token)).toMatchObject({
      local: { address: '::ffff:10.2.0.2', family: 6, port: 6000 },
    })
    const [first, second] = subflows.map(({ local, remote }) => ({ token, local, remote }))
    await ue.call('setBackup', { ...first!, backup: true })
    const bytes = traffic(lab)
    await ue.call('flood', fd)
    await pause(500)
    await bytes()
    await pause(700)
    const { wifi, cell } = await bytes()
    expect(wifi!.uplink / (wifi!.uplink + cell!.uplink)).toBeLessThan(0.05)
    await ue.call('removeAnnounced', { token, localId: 2 })
    await pause(200)
    expect((await ue.subflows(fd)).filter(({ state }) => state === 1)).toHaveLength(1)
    await expect(ue.call('destroySubflow', second!)).rejects.toMatchObject({ code: 'ESRCH' })
    await ue.call('destroySubflow', first!)
    await ue.call('close', fd)
  })
})
