/** A 0-RTT connection that a second access joins: with SYN data, Linux servers overestimate the client's window. */
import { afterAll, beforeAll, expect } from 'vitest'
import { ConvertLab } from '../support/convert-lab.js'
import { all, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { patternHash } from './programs/pattern.js'
import { ECHO } from './programs/server.js'

const labTest = requires('network namespaces', all(root, netns))
const BYTES = 20_000_000

labTest.describe('a 0-RTT connection over two accesses', () => {
  let rig: ConvertLab

  beforeAll(async () => {
    rig = await ConvertLab.open({})
    const { cell } = rig.lab.accesses
    await rig.lab.ue.run('ip', ['mptcp', 'endpoint', 'add', cell!.address.v4, 'dev', cell!.interface, 'subflow'])
  })
  afterAll(() => rig?.close())

  labTest('20 MB both ways at once: over both of them, and nothing dropped for want of a window', async () => {
    const port = rig.nextPort()
    await rig.converter(port)
    const before = await rig.lab.link('cell').stats()
    const connect = { host: rig.lab.serverAddress.v4, port: ECHO, converters: rig.at(port) }
    const { connections } = await rig.run({ connect, upload: BYTES })
    const after = await rig.lab.link('cell').stats()

    expect(connections[0]).toMatchObject({ bytes: BYTES, sha256: patternHash(BYTES) })
    expect(connections[0]!.report).toMatchObject({ protocol: 'mptcp', convert: '0rtt', synDataAccepted: true })
    expect(after.uplink.bytes - before.uplink.bytes).toBeGreaterThan(BYTES / 20)
    const counters = await rig.counters()
    expect(counters['MPTcpExt.NoDSSInWindow']).toBeLessThan(100)
  })
})
