/** A device whose system lets no data into a SYN: the 1-RTT form, by itself, unless the user insists. */
import { afterAll, beforeAll, expect } from 'vitest'
import { ConvertLab } from '../support/convert-lab.js'
import { all, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { ECHO } from './programs/server.js'

const labTest = requires('network namespaces', all(root, netns))

labTest.describe('net.ipv4.tcp_fastopen=0', () => {
  let rig: ConvertLab

  beforeAll(async () => {
    rig = await ConvertLab.open({})
    await rig.lab.ue.sysctl('net.ipv4.tcp_fastopen', 0)
  })
  afterAll(() => rig?.close())

  labTest("'auto' and 'direct' work over MPTCP, '0rtt' says what is wrong", async () => {
    const port = rig.nextPort()
    await rig.converter(port)
    const connect = { host: rig.lab.serverAddress.v4, port: ECHO, converters: rig.at(port) }
    const task = { write: 'ping', until: 4 }
    const { connections } = await rig.run(
      { connect, ...task },
      { connect, ...task },
      { connect: { ...connect, converters: [] }, ...task },
      { connect: { ...connect, convert: '0rtt' }, ...task },
    )
    const [first, second, direct, strict] = connections
    expect(first).toMatchObject({
      text: 'ping',
      report: { protocol: 'mptcp', convert: '1rtt', lessons: ['no-fast-open-here'] },
    })
    expect(second).toMatchObject({ text: 'ping', report: { protocol: 'mptcp', convert: '1rtt', lessons: [] } })
    expect(direct).toMatchObject({ text: 'ping', report: { protocol: 'mptcp' } })
    expect(strict!.error?.code).toBe('ENOTSUP')
  })
})
