/** A converter with two processes: the kernel gives joins to any of their sockets, and they must find their connection. */
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { all, mptcp, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { RULES, SessionLab } from '../support/session-lab.js'

const labTest = requires('MPTCP in network namespaces', all(root, netns, mptcp))
/** Each process gets some of them, and some of their joins: all at one happens once in 4 million times. */
const STREAMS = 24

labTest.describe('a converter with two processes', () => {
  let rig: SessionLab
  beforeAll(async () => {
    rig = await SessionLab.open()
  })
  afterEach(() => rig?.reset())
  afterAll(() => rig?.close())

  labTest(`${STREAMS} connections get their second access, and outlive the first one`, async () => {
    const port = rig.convert.nextPort()
    const converter = await rig.convert.converter(port, '--workers', '2')
    const ue = await rig.ue({ rules: RULES.wifiThenCell, converters: rig.convert.at(port) })
    const streams = await Promise.all(Array.from({ length: STREAMS }, () => ue.sparse()))
    const established = () => converter.lines.filter(({ event }) => event === 'established')
    await expect.poll(() => established().length).toBe(STREAMS)
    expect(established().every(({ protocol, zeroRtt }) => protocol === 'mptcp' && zeroRtt === true)).toBe(true)
    const of = (worker: number) => established().filter(line => line.worker === worker).length
    expect([of(1) + of(2), of(1) > 0, of(2) > 0]).toEqual([STREAMS, true, true])
    await expect.poll(() => ue.actions('create').length).toBe(STREAMS)

    await rig.lab.link('wifi').set({ carrier: false })
    await ue.until('non-3gpp', false)
    // A connection whose join the kernel had refused would have nothing left.
    for (const { number } of streams) await ue.whole(number)
    await converter.stop('SIGTERM')
    expect(converter.lines.at(-1)).toMatchObject({ event: 'ended', connections: 0 })
    // A client that waits for long tries a second connection.
    expect(converter.lines.at(-1)!.mptcp).toBeGreaterThanOrEqual(STREAMS)
  })
})
