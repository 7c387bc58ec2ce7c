/** A device whose system lets no data into a SYN: the 1-RTT form, by itself, unless the user insists. */
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect } from 'vitest'
import { compiled } from '../support/compiled.js'
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
    expect(strict!.error).toMatchObject({
      code: 'ERR_CONVERT_NO_FAST_OPEN',
      message: expect.stringMatching(/Linux 6\.2 or later.*net\.ipv4\.tcp_fastopen/),
    })
  })

  labTest('doctor says so too: of the system, and of the path', async () => {
    const port = rig.nextPort()
    await rig.converter(port)
    const args = ['doctor', '--json', '--converter', `${rig.lab.converterAddress.v4}:${port}`]
    const child = rig.lab.ue.spawn(process.execPath, [compiled('lib/cli/main.ts'), ...args])
    const { findings } = JSON.parse(await text(child.stdout))
    const of = (id: string) => findings.find((finding: { id: string }) => finding.id === id)
    expect(of('fast-open')).toMatchObject({
      state: 'warning',
      found: 'net.ipv4.tcp_fastopen is 0',
      fixes: [{ command: 'sysctl -w net.ipv4.tcp_fastopen=1' }],
    })
    expect(of('path-default')).toMatchObject({
      state: 'warning',
      found: expect.stringMatching(/; MPTCP kept; no message in the SYN; Convert answered \(1-RTT\): not-authorized$/),
    })
    // It is about 0-RTT only.
    expect(of('receive-buffer')).toBeUndefined()
  })
})
