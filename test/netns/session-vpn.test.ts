/**
 * A full-tunnel VPN beside the accesses, with the routing rules of wg-quick: the tunnel's own packets have a mark, all others use the
 * tunnel's table. A third link of the lab is the tunnel: a tun device, as the programs of VPNs make them.
 */
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { all, mptcp, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { RULES, SessionLab } from '../support/session-lab.js'

const labTest = requires('MPTCP in network namespaces', all(root, netns, mptcp))

const MARK = '51820'

labTest.describe('a VPN whose tunnel is no access', () => {
  let rig: SessionLab
  beforeAll(async () => {
    rig = await SessionLab.open({
      accesses: [
        { name: 'wifi', access: 'non-3gpp', link: { rateMbps: 50, delayMs: 10 } },
        { name: 'cell', access: '3gpp', link: { rateMbps: 20, delayMs: 30 } },
        { name: 'wg0', access: 'non-3gpp', link: { rateMbps: 50, delayMs: 5 } },
      ],
    })
    await ip('route', 'del', 'default', 'dev', 'wg0')
    await ip('route', 'add', 'default', 'via', rig.lab.converter.addresses.wg0!.v4, 'dev', 'wg0', 'table', MARK)
  })
  afterEach(() => rig?.reset())
  afterAll(() => rig?.close())

  async function ip(...args: string[]) {
    const { code, stderr } = await rig.lab.ue.run('ip', args)
    if (code !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
  }
  async function vpn(action: 'add' | 'del') {
    await ip('rule', action, 'not', 'fwmark', MARK, 'table', MARK, 'priority', '32000')
    await ip('rule', action, 'table', 'main', 'suppress_prefixlength', '0', 'priority', '31999')
  }
  const carriedByTunnel = async () => (await rig.lab.link('wg0').stats()).uplink.bytes

  labTest("respect: into the tunnel, as the system's connections go; without the VPN, over the access", async () => {
    const ue = await rig.ue({ rules: RULES.wifiThenCell, vpn: 'respect' })
    const before = await ue.sparse()
    expect(before).toMatchObject({ interface: 'wifi', protocol: 'mptcp' })
    await vpn('add')
    try {
      const carried = await carriedByTunnel()
      const { number, ...got } = await ue.sparse()
      const why = "Its route leaves by the tunnel wg0, which is no access: it is left to the system (vpn: 'respect')"
      expect(got).toMatchObject({ protocol: 'tcp', fallback: why })
      expect(got).not.toHaveProperty('interface')
      expect(got).not.toHaveProperty('convert')
      await ue.whole(number)
      expect(await carriedByTunnel()).toBeGreaterThan(carried)
      expect(await ue.call('explain', 'example.com', 443)).toMatchObject({ vpn: expect.stringContaining('wg0') })
      expect(ue.degraded()).toEqual([])
    } finally {
      await vpn('del')
    }
    const after = await ue.sparse()
    expect(after).toMatchObject({ interface: 'wifi', protocol: 'mptcp' })
    for (const { number } of [before, after]) await ue.whole(number)
  })

  labTest(
    'unless the session says so, connections go around it, and it says that; bypass: without a word',
    async () => {
      await vpn('add')
      try {
        const carried = await carriedByTunnel()
        const ue = await rig.ue({ rules: RULES.wifiThenCell })
        const streams = [await ue.sparse(), await ue.sparse()]
        for (const { number, ...got } of streams) {
          expect(got).toMatchObject({ interface: 'wifi', protocol: 'mptcp' })
          await ue.whole(number)
        }
        expect(ue.degraded()).toMatchObject([
          { what: 'vpn', message: expect.stringMatching(/wg0.*'respect'.*'bypass'/) },
        ])
        const quiet = await rig.ue({ rules: RULES.wifiThenCell, vpn: 'bypass' })
        await quiet.whole((await quiet.sparse()).number)
        expect(quiet.degraded()).toEqual([])
        // A reset by the kernel, for a packet to a socket that has ended, goes by the routes. A connection would take more.
        expect((await carriedByTunnel()) - carried).toBeLessThan(200)
      } finally {
        await vpn('del')
      }
    },
  )
})
