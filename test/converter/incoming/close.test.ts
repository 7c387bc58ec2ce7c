/** A converter that is closed while remote hosts are connected to its clients. */
import { expect, vi } from 'vitest'
import { hex } from '../../support/hex.js'
import { all, mptcp, tcpFilters } from '../../support/probes.js'
import { requires } from '../../support/requires.js'
import { until } from '../rig.js'
import { clientListener, incomingRig, pcpClient, remote } from './rig.js'

const joins = vi.hoisted(() => ({ close: vi.fn(async () => {}) }))
vi.mock('../../../lib/converter/incoming/join-endpoints.js', () => ({ openJoinEndpoints: async () => joins }))

requires('MPTCP, and filters on TCP sockets', all(mptcp, tcpFilters))(
  'the join endpoint is removed after the last connection, because the kernel then ends the subflows that joined there',
  async () => {
    const { converter, pcpPort } = await incomingRig()
    const client = await clientListener(hex('01 01 22 63'), socket => socket.pipe(socket))
    const { port } = await (await pcpClient(pcpPort)).map(client.port)
    const host = remote(port)
    host.socket.write('one ')
    await until(() => host.text() === 'one ')
    const closed = converter.close({ grace: 30_000 })
    host.socket.write('two')
    await until(() => host.text() === 'one two')
    expect(joins.close).not.toHaveBeenCalled()
    host.socket.end()
    await closed
    expect(joins.close).toHaveBeenCalledOnce()
  },
)
