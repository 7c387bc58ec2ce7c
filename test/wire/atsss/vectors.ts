import type { AtsssParameter, RuleEntry, TrafficComponent } from '../../../lib/wire/atsss/container.js'
import { hex } from '../../support/hex.js'

export interface Vector {
  name: string
  /** Where it says which octet stands where. */
  source: string
  bytes: Uint8Array
  parameters: AtsssParameter[]
}

const NOTHING = hex('')

/** TCP to 192.0.2.0/24, port 443. */
const WEB = `
  10 c0 00 02 00 ff ff ff 00  # IPv4 remote address 192.0.2.0, mask 255.255.255.0
  30 06                       # protocol 6
  50 01 bb                    # single remote port 443
`
const WEB_TRAFFIC: TrafficComponent[] = [
  { type: 'remote-ipv4', address: '192.0.2.0', mask: '255.255.255.0' },
  { type: 'protocol', protocol: 6 },
  { type: 'remote-port', port: 443 },
]
const HANDOVER = `
  04  # length of access selection descriptor, itself included
  02  # MPTCP
  01  # active-standby
  04  # active non-3GPP, standby 3GPP
`
const webRule = (id: number | undefined): RuleEntry => ({
  type: 'rule',
  id,
  precedence: 10,
  traffic: WEB_TRAFFIC,
  access: {
    functionality: 'mptcp',
    mode: { mode: 'active-standby', active: 'non-3gpp', standby: '3gpp' },
    trailing: NOTHING,
  },
})

/** Laid by hand from the tables, in the layouts that open implementations agree on. */
export const VECTORS: Vector[] = [
  {
    name: 'a rule with identifier, its length with itself',
    source: 'TS 24.193 §6.1.3.2',
    bytes: hex(`
      01 00 19  # ATSSS rules, 25 octets
      00 19     # length of rule: 25, itself included
      05        # rule identifier 5
      01        # create or replace
      0a        # precedence 10
      00 0e     # length of traffic descriptor: 14
      ${WEB} ${HANDOVER}
    `),
    parameters: [{ type: 'rules', layout: 'rule-id', ruleLength: 'inclusive', rules: [webRule(5)], otherwise: [] }],
  },
  {
    name: 'the same, its length without itself',
    source: 'TS 24.193 §6.1.3.2',
    bytes: hex(`
      01 00 19  # ATSSS rules, 25 octets
      00 17     # length of rule: 23
      05 01 0a  # identifier, create or replace, precedence
      00 0e     # length of traffic descriptor
      ${WEB} ${HANDOVER}
    `),
    parameters: [{ type: 'rules', layout: 'rule-id', ruleLength: 'exclusive', rules: [webRule(5)], otherwise: [] }],
  },
  {
    name: 'a rule without identifier, its length without itself',
    source: 'TS 24.193 V16.0.0 §6.1.3.2',
    bytes: hex(`
      01 00 17  # ATSSS rules, 23 octets
      00 15     # length of rule: 21
      0a        # precedence 10
      00 0e     # length of traffic descriptor
      ${WEB} ${HANDOVER}
    `),
    parameters: [{ type: 'rules', layout: 'g00', ruleLength: 'exclusive', rules: [webRule(undefined)], otherwise: [] }],
  },
  {
    name: 'the same, its length with itself',
    source: 'TS 24.193 V16.0.0 §6.1.3.2',
    bytes: hex(`
      01 00 17  # ATSSS rules, 23 octets
      00 17     # length of rule: 23, itself included
      0a        # precedence 10
      00 0e     # length of traffic descriptor
      ${WEB} ${HANDOVER}
    `),
    parameters: [{ type: 'rules', layout: 'g00', ruleLength: 'inclusive', rules: [webRule(undefined)], otherwise: [] }],
  },
  {
    name: 'every steering mode, every functionality, and a deletion',
    source: 'TS 24.193 §6.1.3.2',
    bytes: hex(`
      01 00 44     # ATSSS rules, 68 octets
      00 0c        # length of rule: 12, itself included
      01 01 01     # identifier 1, create or replace, precedence 1
      00 01 01     # traffic descriptor of 1 octet: match-all
      04 01 01 01  # UE's functionality, active-standby: 3GPP, no standby
      00 0c
      02 01 02     # identifier 2
      00 01 01
      04 02 01 03  # MPTCP, active-standby: non-3GPP, no standby
      00 0b
      03 01 03     # identifier 3
      00 01 01
      03 03 02     # ATSSS-LL, smallest delay, which has no information
      00 0c
      04 01 04     # identifier 4
      00 01 01
      04 02 03 04  # MPTCP, load balancing: 70 % over 3GPP
      00 11
      06 01 ff     # identifier 6, precedence 255
      00 04        # traffic descriptor of 4 octets
      30 06        # protocol 6
      30 11        # protocol 17
      06 02 04 02  # MPTCP, priority-based: non-3GPP high
      01 64        # and two octets that Release 16 does not have
      00 04        # length of rule: 4
      07 02        # identifier 7, delete
    `),
    parameters: [
      {
        type: 'rules',
        layout: 'rule-id',
        ruleLength: 'inclusive',
        rules: [
          everything(1, 'supported', { mode: 'active-standby', active: '3gpp', standby: undefined }),
          everything(2, 'mptcp', { mode: 'active-standby', active: 'non-3gpp', standby: undefined }),
          everything(3, 'atsss-ll', { mode: 'smallest-delay' }),
          everything(4, 'mptcp', { mode: 'load-balancing', percent3gpp: 70 }),
          {
            type: 'rule',
            id: 6,
            precedence: 255,
            traffic: [
              { type: 'protocol', protocol: 6 },
              { type: 'protocol', protocol: 17 },
            ],
            access: {
              functionality: 'mptcp',
              mode: { mode: 'priority-based', high: 'non-3gpp' },
              trailing: hex('01 64'),
            },
          },
          { type: 'delete', id: 7, rest: NOTHING },
        ],
        otherwise: [],
      },
    ],
  },
  {
    name: 'network steering functionalities, IPv4',
    source: 'TS 24.193 §6.1.4',
    bytes: hex(`
      02 00 13        # network steering functionalities information, 19 octets
      01 0a 2d 00 02  # UE's address over 3GPP: IPv4 10.45.0.2
      01 0a 2e 00 02  # UE's address over non-3GPP: IPv4 10.46.0.2
      08              # length of proxy information
      01 c0 00 02 0a  # proxy: IPv4 192.0.2.10
      14 04           # port 5124
      01              # Transport Converter
    `),
    parameters: [
      {
        type: 'network-steering',
        ue3gpp: { ipv4: '10.45.0.2' },
        ueNon3gpp: { ipv4: '10.46.0.2' },
        proxies: [{ address: { ipv4: '192.0.2.10' }, port: 5124, proxyType: 'transport-converter' }],
        trailing: NOTHING,
      },
    ],
  },
  {
    name: 'network steering functionalities, both families, two proxies, and more behind',
    source: 'TS 24.193 §6.1.4',
    bytes: hex(`
      02 00 57           # 87 octets
      03 0a 2d 00 02     # UE over 3GPP: IPv4v6 10.45.0.2,
      20 01 0d b8 00 45 00 00 00 00 00 00 00 00 00 02  # 2001:db8:45::2
      02 20 01 0d b8 00 46 00 00 00 00 00 00 00 00 00 02  # UE over non-3GPP: IPv6 2001:db8:46::2
      2c                 # length of proxy information: 44
      02 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 0a  # proxy: IPv6 2001:db8::a
      01 bb 01           # port 443, Transport Converter
      03 c0 00 02 0b     # proxy: IPv4v6 192.0.2.11,
      20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 0b  # 2001:db8::b
      14 04 07           # port 5124, a type not known
      de ad be ef        # what no release up to 16 has
    `),
    parameters: [
      {
        type: 'network-steering',
        ue3gpp: { ipv4: '10.45.0.2', ipv6: '2001:db8:45::2' },
        ueNon3gpp: { ipv6: '2001:db8:46::2' },
        proxies: [
          { address: { ipv6: '2001:db8::a' }, port: 443, proxyType: 'transport-converter' },
          { address: { ipv4: '192.0.2.11', ipv6: '2001:db8::b' }, port: 5124, proxyType: 7 },
        ],
        trailing: hex('de ad be ef'),
      },
    ],
  },
  {
    name: 'measurement assistance, IPv4',
    source: 'TS 24.193 §6.1.5',
    bytes: hex(`
      03 00 0a        # measurement assistance information, 10 octets
      01 c0 00 02 14  # IPv4 192.0.2.20
      c3 50           # port over 3GPP: 50000
      c3 51           # port over non-3GPP: 50001
      01              # AARI
    `),
    parameters: [
      {
        type: 'measurement',
        protocol: 'ip',
        address: { ipv4: '192.0.2.20' },
        port3gpp: 50000,
        portNon3gpp: 50001,
        aari: true,
        spare: 0,
        trailing: NOTHING,
      },
    ],
  },
  {
    name: 'measurement assistance, both families',
    source: 'TS 24.193 §6.1.5',
    bytes: hex(`
      03 00 1b     # 27 octets
      03 c0 00 02 14 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 14  # IPv4v6 192.0.2.20, 2001:db8::14
      c3 50 c3 51  # ports
      82           # spare bits, no AARI
      ff           # and more
    `),
    parameters: [
      {
        type: 'measurement',
        protocol: 'ip',
        address: { ipv4: '192.0.2.20', ipv6: '2001:db8::14' },
        port3gpp: 50000,
        portNon3gpp: 50001,
        aari: false,
        spare: 0x41,
        trailing: hex('ff'),
      },
    ],
  },
  {
    name: 'measurement assistance, Ethernet',
    source: 'TS 24.193 §6.1.5',
    bytes: hex(`
      03 00 0d           # 13 octets
      02 00 5e 00 53 01  # MAC over 3GPP
      02 00 5e 00 53 02  # MAC over non-3GPP
      00                 # no AARI
    `),
    parameters: [
      {
        type: 'measurement',
        protocol: 'ethernet',
        mac3gpp: '02:00:5e:00:53:01',
        macNon3gpp: '02:00:5e:00:53:02',
        aari: false,
        spare: 0,
        trailing: NOTHING,
      },
    ],
  },
  {
    name: 'all parameters, and one that is spare',
    source: 'TS 24.193 §6.1.2',
    bytes: hex(`
      02 00 0b 01 0a 2d 00 02 01 0a 2e 00 02 00  # addresses, no proxies
      7f 00 03 01 02 03                          # type 127, 3 octets
      01 00 0a 00 08 09 00 01 01 04 01 04 01     # one rule of layout g00: match-all, priority-based, 3GPP high
      80 00 00                                   # type 128, empty
    `),
    parameters: [
      {
        type: 'network-steering',
        ue3gpp: { ipv4: '10.45.0.2' },
        ueNon3gpp: { ipv4: '10.46.0.2' },
        proxies: [],
        trailing: NOTHING,
      },
      { type: 'raw', code: 127, value: hex('01 02 03') },
      {
        type: 'rules',
        layout: 'g00',
        ruleLength: 'exclusive',
        rules: [{ ...everything(undefined, 'supported', { mode: 'priority-based', high: '3gpp' }), precedence: 9 }],
        otherwise: [],
      },
      { type: 'raw', code: 128, value: NOTHING },
    ],
  },
  { name: 'nothing', source: 'TS 24.501 §9.11.4.22', bytes: NOTHING, parameters: [] },
  {
    name: 'no rules',
    source: 'TS 24.193 §6.1.2',
    bytes: hex('01 00 00'),
    parameters: [{ type: 'rules', layout: 'rule-id', ruleLength: 'inclusive', rules: [], otherwise: [] }],
  },
]

type AnyRule = Extract<RuleEntry, { type: 'rule' }>

function everything(
  id: number | undefined,
  functionality: AnyRule['access']['functionality'],
  mode: AnyRule['access']['mode'],
): AnyRule {
  return {
    type: 'rule',
    id,
    precedence: id ?? 0,
    traffic: [{ type: 'match-all' }],
    access: { functionality, mode, trailing: NOTHING },
  }
}
