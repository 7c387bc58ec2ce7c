/** Rules as an operator sends them: one NAS message, given to a session in one call, and the traffic under them. */
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { hex } from '../support/hex.js'
import { all, mptcp, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { SessionLab } from '../support/session-lab.js'

const labTest = requires('MPTCP in network namespaces', all(root, netns, mptcp))

const octets = (number: number, width: number) => number.toString(16).padStart(2 * width, '0')
const text = (name: string) => Buffer.from(name).toString('hex')
const lengthOf = (digits: string) => hex(digits).length
const counted = (width: number, digits: string) => `${octets(lengthOf(digits), width)} ${digits}`
/** TS 24.193 §6.1.3.2: the length of a rule, which counts itself, and the rule. */
const rule = (digits: string) => `${octets(lengthOf(digits) + 2, 2)} ${digits}`
/** TS 24.526 table 5.2.1: type 0xa0, OS App Id. */
const application = (name: string) => `a0 ${counted(1, text(name))}`

const VIDEO = 'org.example.video'
const CHAT = 'org.example.chat'

/** TS 24.501 §8.3.2. @param port of the converter, which is at 192.0.2.1 */
function sessionAccept(port: number): string {
  const rules = [
    rule(`
      01 01                                                        # rule identifier 1, create or replace
      0a                                                           # precedence 10
      ${counted(2, `${application(VIDEO)} ${application(CHAT)}`)}  # traffic descriptor: two applications
      07                                                           # access selection descriptor, 7 octets with itself
      02 01 04                                                     # MPTCP, active-standby: active non-3GPP, standby 3GPP
      01 00 64                                                     # thresholds of Release 17, whose layout is not known
    `),
    rule(`
      02 01        # rule identifier 2, create or replace
      ff           # precedence 255
      00 01 01     # traffic descriptor: match-all
      04           # access selection descriptor, 4 octets with itself
      03 01 04     # ATSSS-LL, active-standby: active non-3GPP, standby 3GPP
    `),
  ].join(' ')
  const proxies = `
    01 c0 00 02 01     # address of the proxy: IPv4 192.0.2.1
    ${octets(port, 2)} # port
    01                 # type: Transport Converter
  `
  const steering = `
    01 0a 02 00 02        # address of the UE over 3GPP: IPv4 10.2.0.2
    01 0a 01 00 02        # over non-3GPP: IPv4 10.1.0.2
    ${counted(1, proxies)} # proxies
  `
  const container = `01 ${counted(2, rules)} 02 ${counted(2, steering)}`
  return Buffer.from(
    hex(`
      2e 05 01 c2               # session management, PDU session 5, transaction 1, ESTABLISHMENT ACCEPT
      31                        # SSC mode 3, IPv4
      00 09 01 00 06 31 31 01 01 ff 01   # authorized QoS rules
      06 06 03 e8 06 03 e8      # session AMBR
      77 ${counted(2, container)} # ATSSS container
    `),
  ).toString('hex')
}

labTest.describe("an operator's rules", () => {
  let rig: SessionLab
  beforeAll(async () => {
    rig = await SessionLab.open()
  })
  afterEach(() => rig?.reset())
  afterAll(() => rig?.close())

  for (const osAppId of [VIDEO, CHAT])
    labTest(`${osAppId}: MPTCP through the network's converter, and a handover`, async () => {
      const nas = sessionAccept(rig.port)
      const ue = await rig.ue({ nas, converters: 'network', application: { osAppId } })
      expect(ue.heard.filter(({ event }) => event === 'problem')).toMatchObject([
        { message: "rule '1': what follows the steering mode is not known, and has no effect: 010064" },
      ])
      const stream = await ue.sparse()
      expect(stream).toMatchObject({ interface: 'wifi', protocol: 'mptcp', convert: '0rtt' })
      await expect.poll(() => ue.actions().length, { timeout: 10_000 }).toBeGreaterThan(0)
      await rig.lab.link('wifi').set({ carrier: false })
      await ue.until('non-3gpp', false)
      await expect.poll(async () => (await rig.shares(300)).cellShare, { timeout: 10_000 }).toBeGreaterThan(0.9)
      expect(await ue.whole(stream.number)).toBeGreaterThan(0)
    })

  labTest('everything else: plain TCP, directly, unsteered, and said so', async () => {
    const ue = await rig.ue({ nas: sessionAccept(rig.port), converters: 'network' })
    const stream = await ue.sparse()
    expect(stream).toMatchObject({
      protocol: 'tcp',
      fallback: expect.stringContaining("rule '2' leaves it to the system, as plain TCP"),
    })
    expect([stream.interface, stream.convert]).toEqual([undefined, undefined])
    const { connections, rules, fallbacks } = await ue.call('stats')
    expect(connections).toEqual([[stream.number, 255]])
    expect(rules.map(({ unsteered }) => unsteered !== undefined)).toEqual([false, true])
    expect(fallbacks).toBe(0)
    expect(ue.actions()).toEqual([])
    await ue.whole(stream.number)
  })
})
