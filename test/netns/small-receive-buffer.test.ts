/** A system whose net.core.rmem_max is small: what a socket of a session does about its SYN, with the privilege to exceed it and without. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect } from 'vitest'
import { ConvertLab } from '../support/convert-lab.js'
import { all, mptcpFastOpen, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { ECHO } from './programs/server.js'

const labTest = requires('network namespaces and Fast Open on MPTCP sockets', all(root, netns, mptcpFastOpen))

/** Prints the report of a session's connection, and of one without a session. */
const PROGRAM = `
import { connect, MaPduSession } from 'atsss'
const [options, accesses] = JSON.parse(process.argv[1])
const session = new MaPduSession({ accesses })
for (const dial of [session.connect, connect]) {
  const socket = dial(options)
  await new Promise((resolve, reject) => socket.on('connect', resolve).on('error', reject))
  const { protocol, convert, lessons } = socket.mptcp
  console.log(JSON.stringify({ protocol, convert, lessons }))
  socket.destroy()
}
session.close()
`

labTest.describe('net.core.rmem_max of 300,000 bytes', () => {
  let rig: ConvertLab
  const folder = mkdtempSync(join(tmpdir(), 'atsss-test-'))
  const small = join(folder, 'rmem_max')

  beforeAll(async () => {
    writeFileSync(small, '300000\n')
    rig = await ConvertLab.open({
      accesses: [
        { name: 'wifi', access: 'non-3gpp', link: { delayMs: 5 } },
        { name: 'cell', access: '3gpp', link: { delayMs: 5 } },
      ],
    })
  })
  afterAll(async () => {
    await rig?.close()
    rmSync(folder, { recursive: true })
  })

  /** In a mount namespace, since a network namespace cannot change the number. */
  const reports = async (port: number, ...dropped: string[]) => {
    const options = { host: rig.lab.serverAddress.v4, port: ECHO, converters: rig.at(port) }
    const task = JSON.stringify([options, { '3gpp': 'cell', 'non-3gpp': 'wifi' }])
    const node = [process.execPath, '--input-type=module', '-e', PROGRAM, task]
    const script = 'mount --bind "$0" /proc/sys/net/core/rmem_max && exec "$@"'
    const words = ['-m', 'sh', '-c', script, small, ...dropped, ...node]
    const { stdout, stderr } = await rig.lab.ue.run('unshare', words)
    expect(stderr).toBe('')
    return stdout
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
  }

  labTest('with CAP_NET_ADMIN it is exceeded: 0-RTT', async () => {
    const port = rig.nextPort()
    const converter = await rig.converter(port)
    const zeroRtt = { protocol: 'mptcp', convert: '0rtt', lessons: [] }
    expect(await reports(port)).toEqual([zeroRtt, zeroRtt])
    await converter.stop()
  })

  labTest('without it: 1-RTT, which says so, for the session; 0-RTT for the rest', async () => {
    const port = rig.nextPort()
    const converter = await rig.converter(port)
    expect(await reports(port, 'setpriv', '--bounding-set', '-net_admin')).toEqual([
      { protocol: 'mptcp', convert: '1rtt', lessons: ['small-receive-buffer'] },
      { protocol: 'mptcp', convert: '0rtt', lessons: [] },
    ])
    await converter.stop()
  })
})
