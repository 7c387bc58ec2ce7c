import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { blackholes, type Facts, type Interface } from '../../lib/cli/doctor/facts.js'
import type { Finding } from '../../lib/cli/doctor/finding.js'
import { findings } from '../../lib/cli/doctor/findings.js'
import { aboutHoles, versionOf } from '../../lib/cli/doctor/known-holes.js'
import { aboutPath, type Probe, probe, withCause } from '../../lib/cli/doctor/probe.js'
import { type SubflowInterface, trySubflowInterface } from '../../lib/cli/doctor/subflow-trial.js'
import { textOf } from '../../lib/cli/doctor.js'
import { coloursFor } from '../../lib/cli/terminal.js'
import { resolveOptions } from '../../lib/input/options.js'
import { kindOf } from '../../lib/runtime/network/interface-kind.js'
import { dnsServer } from '../support/dns-server.js'
import { mptcp } from '../support/probes.js'
import { referenceConverter } from '../support/reference-converter.js'
import { requires } from '../support/requires.js'
import { atsss } from './atsss.js'

const wlan: Interface = {
  name: 'wlan0',
  kind: 'wifi',
  up: true,
  carrier: true,
  addresses: ['192.0.2.10/24'],
  routes: [{ family: 4, gateway: '192.0.2.1', metric: 600 }],
  leaving: [{ address: '192.0.2.10', by: 'wlan0', rules: [] }],
  rpFilter: 2,
}
const wwan: Interface = {
  ...wlan,
  name: 'wwan0',
  kind: 'wwan',
  addresses: ['198.51.100.7/30'],
  leaving: [{ address: '198.51.100.7', by: 'wwan0', rules: [] }],
}

const GOOD: Facts = {
  node: '22.12.0',
  missingInsides: [],
  kernel: '6.12.118',
  kernelBuild: '#1 SMP',
  executable: '/usr/bin/node',
  addon: undefined,
  addonFile: '/opt/app/node_modules/atsss/prebuilds/linux-x64/atsss.node',
  mptcp: undefined,
  fastOpen: 'works',
  sysctls: {
    'net.mptcp.enabled': '1',
    'net.ipv4.tcp_fastopen': '1',
    'net.ipv4.tcp_fastopen_blackhole_timeout_sec': '0',
    'net.mptcp.blackhole_timeout': '3600',
    'net.core.rmem_max': '4194304',
  },
  pathManager: 'userspace',
  userspaceSetting: { name: 'net.mptcp.path_manager', value: 'userspace' },
  mayAdminister: true,
  helper: { path: '/run/atsss/helper.sock', isReady: false, code: 'ENOENT', why: 'connect ENOENT' },
  user: undefined,
  subflowInterface: { is: 'kept' },
  limits: { subflows: 2, addAddrAccepted: 0 },
  endpoints: [],
  networkManager: false,
  blackholes: { fastOpen: 0, mptcp: 0 },
  interfaces: [wlan, wwan],
  tunnels: [],
}
const sysctls = (changed: Partial<Facts['sysctls']>) => ({ sysctls: { ...GOOD.sysctls, ...changed } })

test('an access with IPv6 only: whether IPv4 is reached by a translator', () => {
  const about = (translator: string) => {
    const only6 = { ...wwan, addresses: ['2001:db8::7/64'], translator }
    return findings({ ...GOOD, interfaces: [wlan, only6] }, undefined).find(({ id }) => id === 'translator-wwan0')
  }
  expect(about('64:ff9b::/96')).toMatchObject({ state: 'good', found: expect.stringContaining('64:ff9b::/96') })
  expect(about('')).toMatchObject({ state: 'warning', fixes: [{ note: expect.stringContaining('2001:db8::1') }] })
  expect(findings(GOOD, undefined).some(({ id }) => id.startsWith('translator'))).toBe(false)
})

test('text: a command that fixes several findings stands once; what is not there to be pasted says so', () => {
  const helper = { command: 'npx atsss helper install --yes' }
  const finding = (id: string, ...fixes: Finding['fixes']): Finding => ({
    id,
    title: id,
    state: 'warning',
    found: 'x',
    why: 'y',
    fixes,
  })
  const all = [
    finding('a', helper),
    finding('b', helper, { command: 'setcap X' }),
    finding('c', { command: '', note: 'by hand' }),
  ]
  const text = textOf(all, false, coloursFor({}))
  expect(text.match(/helper install/g)).toHaveLength(1)
  expect(text).toContain('→ the command below, or: ')
  expect(text).toContain('→ by hand')
})

test('a VPN: its tunnel leads where sessions would go around it', () => {
  const about = (name: string) => {
    const accesses = { '3gpp': 'wwan0', 'non-3gpp': name === 'wlan0' ? name : 'wlan0' }
    return findings({ ...GOOD, tunnels: [{ name, to: ['192.0.2.1', '1.1.1.1'] }] }, accesses).filter(
      ({ id }) => id === 'vpn',
    )
  }
  expect(about('wg0')).toMatchObject([
    { state: 'warning', found: expect.stringContaining('192.0.2.1, 1.1.1.1 lead by the tunnel wg0') },
  ])
  expect(about('wwan0')).toEqual([])
})

test('where everything holds, all is good, and the accesses are named', () => {
  const all = findings(GOOD, undefined)
  expect(all.filter(({ state }) => state !== 'good')).toEqual([])
  expect(all.every(({ fixes }) => fixes.length === 0)).toBe(true)
  expect(all.find(({ id }) => id === 'interfaces')?.why).toContain('--3gpp wwan0 --non-3gpp wlan0')
})

test('two interfaces in one subnet: ARP has to be told apart', () => {
  const arp = { ignore: 0, announce: 0 }
  const docked = { ...wlan, name: 'enx0', kind: 'ethernet' as const, addresses: ['192.0.2.11/24'], arp }
  const about = (...interfaces: Interface[]) =>
    findings({ ...GOOD, interfaces }, undefined).find(({ id }) => id === 'same-subnet')
  expect(about({ ...wlan, arp }, docked)).toMatchObject({
    state: 'warning',
    found: 'wlan0 and enx0 are both in 192.0.2.0/24',
    fixes: [
      { command: 'sysctl -w net.ipv4.conf.all.arp_ignore=1' },
      { command: 'sysctl -w net.ipv4.conf.all.arp_announce=2' },
    ],
    all: true,
  })
  expect(
    about({ ...wlan, arp: { ignore: 1, announce: 2 } }, { ...docked, arp: { ignore: 1, announce: 2 } }),
  ).toBeUndefined()
  expect(about({ ...wlan, arp }, { ...wwan, arp })).toBeUndefined()
})

test('the default route over the cellular access uses up its data volume', () => {
  const route = (metric: number) => ({ routes: [{ family: 4 as const, gateway: '192.0.2.1', metric }] })
  const about = (wifi: number, cell: number) =>
    findings(
      {
        ...GOOD,
        interfaces: [
          { ...wlan, ...route(wifi) },
          { ...wwan, ...route(cell) },
        ],
      },
      undefined,
    ).find(({ id }) => id === 'default-route')
  expect(about(600, 101)).toMatchObject({
    state: 'warning',
    found: expect.stringContaining('over wwan0, the cellular'),
  })
  expect(about(101, 600)).toBeUndefined()
  expect(about(600, 600)).toBeUndefined()
})

describe('known holes of the kernel', () => {
  test.each([
    ['6.1.0-57-amd64', '#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-1 (2026-11-12)', { major: 6, minor: 1, patch: 192 }],
    ['6.12.118+deb13-amd64', '#1 SMP PREEMPT_DYNAMIC Debian 6.12.118-1', { major: 6, minor: 12, patch: 118 }],
    ['6.12.34', '#1 SMP', { major: 6, minor: 12, patch: 34 }],
    ['7.3-rc1', '#1 SMP', { major: 7, minor: 3, patch: undefined }],
    ['6.8.0-45-generic', '#45-Ubuntu SMP PREEMPT_DYNAMIC', { major: 6, minor: 8, patch: undefined }],
    ['6.8.0', '#1 SMP', { major: 6, minor: 8, patch: 0 }],
  ])('%s is %o', (release, build, version) => {
    expect(versionOf(release, build)).toEqual(version)
  })

  test.each([
    [{ major: 6, minor: 12, patch: 104 }, /^not fixed in this kernel: Fast Open on MP_JOIN.*68169.*, CVE-2026-97567$/],
    [{ major: 6, minor: 12, patch: 112 }, /^not fixed in this kernel: Fast Open on MP_JOIN subflows, CVE-2026-97567$/],
    [{ major: 6, minor: 12, patch: 117 }, /^not fixed in this kernel: Fast Open on MP_JOIN subflows$/],
    [{ major: 6, minor: 12, patch: 118 }, /^not known whether fixed in this kernel: Fast Open on MP_JOIN subflows$/],
    [{ major: 7, minor: 3, patch: 4 }, /^not fixed in this kernel: Fast Open.*; not known.*68169.*97567$/],
    // Before 6.2 there is no Fast Open on MPTCP listeners.
    [{ major: 6, minor: 1, patch: 192 }, /^not known whether fixed in this kernel: CVE-2026-68169 .*, CVE-2026-97567$/],
    [{ major: 6, minor: 12, patch: undefined }, /^not known.*Fast Open.*68169.*97567$/],
    [undefined, /^not known.*Fast Open.*68169.*97567$/],
  ])('%o', (version, found) => {
    const finding = aboutHoles(version)
    expect(finding.found).toMatch(found)
    expect(finding.state).toBe(finding.found.startsWith('not fixed') ? 'warning' : 'good')
    expect(finding.fixes[0]?.note?.includes('--no-fast-open') ?? false).toBe(
      /not fixed[^;]*Fast Open/.test(finding.found),
    )
  })
})

describe('what is wrong, how bad that is, and the first fix', () => {
  test.each<[string, Partial<Facts>, string, 'warning' | 'bad', string]>([
    [
      'a Node that has renamed what is needed',
      { missingInsides: [{ name: '_handle', essential: true, lost: 'connections cannot be made over MPTCP' }] },
      'node-inside',
      'bad',
      'npm install atsss@latest',
    ],
    [
      'a Node that has renamed something else',
      { missingInsides: [{ name: '_host', essential: false, lost: 'SNI' }] },
      'node-inside',
      'warning',
      'npm install atsss@latest',
    ],
    ['an old Node', { node: '20.18.1' }, 'node', 'bad', 'nvm install --lts'],
    ['no addon', { addon: 'no native addon for linux-arm', mptcp: 'unknown' }, 'addon', 'bad', 'npm rebuild atsss'],
    [
      'MPTCP switched off',
      { mptcp: 'off', ...sysctls({ 'net.mptcp.enabled': '0' }) },
      'mptcp',
      'bad',
      'sysctl -w net.mptcp.enabled=1',
    ],
    ['no MPTCP', { mptcp: 'none', ...sysctls({ 'net.mptcp.enabled': undefined }) }, 'mptcp', 'bad', ''],
    [
      "the kernel's path manager",
      { pathManager: 'kernel' },
      'path-manager',
      'warning',
      'sysctl -w net.mptcp.path_manager=userspace',
    ],
    [
      "the kernel's path manager, before Linux 6.15",
      { pathManager: 'kernel', userspaceSetting: { name: 'net.mptcp.pm_type', value: '1' } },
      'path-manager',
      'warning',
      'sysctl -w net.mptcp.pm_type=1',
    ],
    [
      "the kernel's path manager, before Linux 5.19",
      { pathManager: 'kernel', userspaceSetting: undefined },
      'path-manager',
      'warning',
      '',
    ],
    ['no capability', { mayAdminister: false }, 'capability', 'warning', 'npx atsss helper install --yes'],
    ['no helper', { mayAdminister: false }, 'helper', 'warning', 'npx atsss helper install --yes'],
    ['no helper, for who has called sudo', { user: 'alice' }, 'helper', 'warning', 'npx atsss helper install --yes'],
    [
      'not in the group',
      { mayAdminister: false, helper: { path: '/h', isReady: false, code: 'EACCES', why: 'connect EACCES /h' } },
      'helper',
      'warning',
      'usermod -aG atsss $USER',
    ],
    [
      "neither capability nor helper, and the kernel's path manager",
      { mayAdminister: false, pathManager: 'kernel' },
      'path-manager',
      'warning',
      'npx atsss helper install --yes',
    ],
    [
      'Fast Open switched off',
      { fastOpen: 'off', ...sysctls({ 'net.ipv4.tcp_fastopen': '2' }) },
      'fast-open',
      'warning',
      'sysctl -w net.ipv4.tcp_fastopen=3',
    ],
    ['a kernel without Fast Open on MPTCP sockets', { fastOpen: 'no-kernel' }, 'fast-open', 'warning', ''],
    [
      'a small buffer',
      sysctls({ 'net.core.rmem_max': '212992' }),
      'receive-buffer',
      'warning',
      'sysctl -w net.core.rmem_max=8388608',
    ],
    [
      'no further subflows',
      { limits: { subflows: 0, addAddrAccepted: 0 } },
      'limits',
      'warning',
      'ip mptcp limits set subflow 8 add_addr_accepted 8',
    ],
    [
      'an MPTCP black hole',
      { blackholes: { fastOpen: 0, mptcp: 1 } },
      'blackhole',
      'warning',
      'sysctl -w net.mptcp.blackhole_timeout=3600',
    ],
    ['a kernel with known holes', { kernel: '6.12.104' }, 'known-holes', 'warning', ''],
    ['one network', { interfaces: [wlan] }, 'interfaces', 'warning', ''],
  ])('%s', (_name, facts, id, state, command) => {
    const finding = findings({ ...GOOD, ...facts }, undefined).find(candidate => candidate.id === id)
    expect(finding?.state).toBe(state)
    expect(finding?.fixes[0]?.command).toBe(command)
  })

  test('without the capability: good with the helper, and good with endpoints of others', () => {
    const states = (facts: Partial<Facts>) =>
      findings({ ...GOOD, mayAdminister: false, ...facts }, undefined)
        .filter(({ id }) => ['path-manager', 'capability', 'endpoints'].includes(id))
        .map(({ id, state, fixes }) => [id, state, fixes.length])
    const good = [
      ['path-manager', 'good', 0],
      ['capability', 'good', 0],
      ['endpoints', 'good', 0],
    ]
    expect(states({ helper: { path: '/h', isReady: true, why: '' } })).toEqual(good)
    const endpoint = { id: 3, address: '192.0.2.10', flags: ['subflow'] } as unknown as Facts['endpoints'][number]
    expect(states({ pathManager: 'kernel', endpoints: [endpoint] })).toEqual(good)
    expect(states({ pathManager: 'kernel', endpoints: [{ ...endpoint, flags: ['signal'] }] })[1]).toEqual([
      'capability',
      'warning',
      4,
    ])
  })

  test('Fast Open given up for a time counts only while the kernel would act on it', () => {
    const suspicious = { ...GOOD, blackholes: { fastOpen: 3, mptcp: 0 } }
    expect(findings(suspicious, undefined).find(({ id }) => id === 'blackhole')?.state).toBe('good')
    const active = { ...suspicious, ...sysctls({ 'net.ipv4.tcp_fastopen_blackhole_timeout_sec': '3600' }) }
    expect(findings(active, undefined).find(({ id }) => id === 'blackhole')?.state).toBe('warning')
  })

  test('the accesses of a configuration must be there', () => {
    const accesses = { '3gpp': 'wwan1', 'non-3gpp': 'wlan0' }
    const down = { ...wlan, up: false, carrier: false }
    const all = findings({ ...GOOD, interfaces: [down, wwan] }, accesses)
    expect(all.find(({ id }) => id === 'access-3gpp')).toMatchObject({
      state: 'bad',
      found: 'there is no interface wwan1 (there are: wlan0, wwan0)',
    })
    expect(all.find(({ id }) => id === 'access-non-3gpp')).toMatchObject({
      state: 'bad',
      fixes: [{ command: 'ip link set wlan0 up' }],
    })
  })

  test('an access that is held back, as sessions have it; an alternative name; two names of one interface', () => {
    const about = (interfaces: Interface[], accesses: { '3gpp': string; 'non-3gpp': string }) =>
      findings({ ...GOOD, interfaces }, accesses).filter(({ id }) => id.startsWith('access-'))
    const dormant = { ...wlan, heldBack: 'it waits, mostly for its authentication (operstate dormant)' }
    const [, waits] = about([dormant, wwan], { '3gpp': 'wwan0', 'non-3gpp': 'wlan0' })
    expect(waits).toMatchObject({ state: 'bad', found: expect.stringContaining('wlan0 (wifi, not ready: it waits') })
    expect(findings({ ...GOOD, interfaces: [dormant, wwan] }, undefined)).toContainEqual(
      expect.objectContaining({ id: 'interfaces', state: 'warning' }),
    )
    const renamed = { ...wlan, altnames: ['wlp2s0'] }
    const all = findings({ ...GOOD, interfaces: [renamed, wwan] }, { '3gpp': 'wwan0', 'non-3gpp': 'wlp2s0' })
    expect(all.find(({ id }) => id === 'access-non-3gpp')).toMatchObject({
      state: 'good',
      found: 'wlp2s0 is another name of wlan0 (wifi, 192.0.2.10/24)',
    })
    expect(all.map(({ id }) => id)).toContain('route-wlan0')
    const both = about([renamed, wwan], { '3gpp': 'wlan0', 'non-3gpp': 'wlp2s0' })
    expect(both.map(({ state }) => state)).toEqual(['bad', 'bad'])
    expect(both[1]!.found).toContain('wlp2s0 is the same interface as the 3gpp access')
  })

  test('whether the addon is a prebuilt one', () => {
    const found = (addonFile: string) =>
      findings({ ...GOOD, addonFile }, undefined).find(({ id }) => id === 'addon')!.found
    expect(found(GOOD.addonFile!)).toBe('loaded: the prebuilt binary for linux-x64')
    expect(found('/src/atsss/build/Release/atsss.node')).toBe(
      'loaded: built on this machine, /src/atsss/build/Release/atsss.node',
    )
  })

  test("endpoints of others: none, some without effect, some that the kernel's path manager uses", () => {
    const endpoint = { id: 3, address: '192.0.2.10', flags: ['subflow'] } as unknown as Facts['endpoints'][number]
    const about = (change: Partial<Facts>) =>
      findings({ ...GOOD, networkManager: true, ...change }, undefined).find(({ id }) => id === 'endpoints')
    expect(about({})).toMatchObject({ state: 'good', found: 'none, although NetworkManager is running' })
    expect(about({ endpoints: [endpoint] })).toMatchObject({ state: 'good', fixes: [] })
    const bad = about({ endpoints: [endpoint], pathManager: 'kernel' })!
    expect(bad.state).toBe('warning')
    expect(bad.found).toBe("192.0.2.10 (id 3, subflow): NetworkManager's, or the administrator's")
    expect(bad.fixes.map(({ command }) => command)).toEqual([
      'ip mptcp endpoint delete id 3',
      'nmcli connection modify NAME connection.mptcp-flags disabled',
    ])
    expect(about({ limits: undefined })).toBeUndefined()
  })

  test('a strict filter matters where there are two networks', () => {
    const strict = { ...wwan, rpFilter: 1 }
    const of = (interfaces: Interface[], name: string) =>
      findings({ ...GOOD, interfaces }, undefined).find(({ id }) => id === `rp-filter-${name}`)
    expect(of([wlan, strict], 'wwan0')).toMatchObject({ state: 'warning', found: 'strict (1)' })
    expect(of([wlan, strict], 'wlan0')).toMatchObject({ state: 'good', found: 'loose (2)', fixes: [] })
    expect(of([strict], 'wwan0')).toBeUndefined()
  })

  test('the filter of a VLAN, whose name has a dot', () => {
    const interfaces = [wlan, { ...wwan, name: 'eth0.7', rpFilter: 1 }]
    const found = findings({ ...GOOD, interfaces }, undefined).find(({ id }) => id === 'rp-filter-eth0.7')
    const name = 'net.ipv4.conf.eth0/7.rp_filter'
    expect(found!.fixes).toMatchObject([{ command: `sysctl -w ${name}=2`, action: { do: 'sysctl', name } }])
  })
})

describe('the interface of further subflows', () => {
  const RULES = [
    'ip route replace default via 198.51.100.5 dev wwan0 table 1003',
    'ip rule add from 198.51.100.7 table 1003',
  ]
  const astray = (by: string | undefined): Interface => ({
    ...wwan,
    leaving: [{ address: '198.51.100.7', by, rules: RULES }],
  })
  const about = (facts: Partial<Facts>, accesses?: Record<'3gpp' | 'non-3gpp', string>) =>
    findings({ ...GOOD, ...facts }, accesses).find(({ id }) => id === 'subflow-interface')
  const ignored = { subflowInterface: { is: 'ignored', refusal: 'mptcp_pm announce EPERM' } } as const

  // Where subflows are bound, it does not matter that the routes lead elsewhere.
  const elsewhere = { interfaces: [wlan, astray('wlan0')] }
  test.each<[string, Partial<Facts>, RegExp, RegExp]>([
    ['a kernel that binds them', {}, /^this kernel binds a subflow/, /whatever the routes prefer/],
    [
      'a kernel that binds them if their address was announced',
      { subflowInterface: { is: 'kept-if-announced' } },
      /if its address is announced first$/,
      /^a session does that .* handover and standby work/,
    ],
    [
      "the kernel's path manager, where the advice is to use the other one",
      { subflowInterface: undefined, pathManager: 'kernel' },
      /^the kernel's path manager takes it from the endpoint$/,
      /under the userspace path manager, too: .* announces the address first$/,
    ],
    [
      'a kernel that has no other path manager',
      { subflowInterface: undefined, pathManager: 'kernel', userspaceSetting: undefined },
      /^the kernel's path manager takes it from the endpoint$/,
      /^each access has its own subflow, whatever the routes prefer$/,
    ],
    [
      'a kernel with which it could not be tried',
      { subflowInterface: { is: 'unknown', why: 'connect ETIMEDOUT' } },
      /^could not be tried: connect ETIMEDOUT$/,
      /'degraded' reports/,
    ],
  ])('%s', (_name, facts, found, why) => {
    const finding = about({ ...elsewhere, ...facts })
    expect(finding).toMatchObject({ state: 'good', fixes: [] })
    expect(finding!.found).toMatch(found)
    expect(finding!.why).toMatch(why)
  })

  test('a kernel that refuses the announcement too: what leaves elsewhere, and all commands that help', () => {
    const finding = about({ ...elsewhere, ...ignored })!
    expect(finding).toMatchObject({ state: 'warning', all: true })
    expect(finding.found).toBe(
      'this kernel ignores it, and refuses to announce addresses (mptcp_pm announce EPERM); 198.51.100.7 of wwan0 leaves by wlan0',
    )
    expect(finding.fixes.map(({ command }) => command)).toEqual(RULES)
    expect(finding.fixes[1]!.action).toEqual({
      do: 'run',
      argv: ['ip', 'rule', 'add', 'from', '198.51.100.7', 'table', '1003'],
    })
    expect(about({ ...ignored, interfaces: [wlan, astray(undefined)] })!.found).toMatch(/leaves by no interface$/)
  })

  test('which interfaces count: the named accesses, else those with a default route', () => {
    const bridge: Interface = { ...astray('wlan0'), name: 'br0', kind: 'virtual', routes: [] }
    const home = about({ ...ignored, interfaces: [wlan, wwan, bridge] })
    expect(home).toMatchObject({ state: 'good', fixes: [] })
    expect(home!.found).toMatch(/the routes lead each address to its own interface$/)
    expect(home!.why).toMatch(/a new standby may carry data until its flag has been changed/)
    const named = { '3gpp': 'br0', 'non-3gpp': 'wlan0' }
    expect(about({ ...ignored, interfaces: [wlan, wwan, bridge] }, named)?.state).toBe('warning')
    expect(about({ ...ignored, ...elsewhere }, { '3gpp': 'wwan1', 'non-3gpp': 'wlan0' })?.state).toBe('good')
  })

  test('without CAP_NET_ADMIN, or without MPTCP, there are no further subflows', () => {
    expect(about({ mayAdminister: false, subflowInterface: undefined })).toBeUndefined()
    expect(about({ mayAdminister: false, subflowInterface: undefined, pathManager: 'kernel' })).toBeUndefined()
    expect(about({ mptcp: 'off' })).toBeUndefined()
  })
})

requires('MPTCP', mptcp).describe('the interface of further subflows is tried on a connection over loopback', () => {
  const refusal = new Error('mptcp_pm announce EINVAL')
  test.each<[string, boolean | undefined, Error | undefined, SubflowInterface, string[]]>([
    ['kept', true, undefined, { is: 'kept' }, ['keepsInterface']],
    ['kept if announced', false, undefined, { is: 'kept-if-announced' }, ['keepsInterface', 'announce']],
    ['ignored', false, refusal, { is: 'ignored', refusal: refusal.message }, ['keepsInterface', 'announce']],
    ['unknown', undefined, undefined, { is: 'unknown', why: 'the kernel does not say' }, ['keepsInterface']],
  ])('%s', async (_name, kept, refused, result, asked) => {
    const requests: [string, number][] = []
    const tried = await trySubflowInterface({
      async keepsInterface({ token }) {
        requests.push(['keepsInterface', token])
        return kept
      },
      async announce({ token }) {
        requests.push(['announce', token])
        if (refused) throw refused
      },
    })
    expect(tried).toEqual(result)
    expect(requests.map(([request]) => request)).toEqual(asked)
    // A connection that exists has a token.
    expect(requests.every(([, token]) => token > 0)).toBe(true)
  })

  test('what fails is the answer', async () => {
    const failing = { keepsInterface: () => Promise.reject(new Error('EBADF')), announce: async () => {} }
    expect(await trySubflowInterface(failing)).toEqual({ is: 'unknown', why: 'EBADF' })
  })
})

describe('the path to a converter', () => {
  const GOOD_PATH: Probe = {
    interface: 'wlan0',
    converter: '192.0.2.1:5124',
    rtt: 20,
    mptcp: true,
    synData: true,
    convert: '0rtt',
    answer: 'connected',
  }
  test.each<[string, Partial<Probe>, string, string]>([
    [
      'all kept',
      {},
      'good',
      'reachable, RTT 20.0 ms; MPTCP kept; SYN data acknowledged; Convert answered (0-RTT): connected',
    ],
    ['unreachable', { unreachable: 'connect ETIMEDOUT' }, 'bad', 'not reachable: connect ETIMEDOUT'],
    ['MPTCP removed', { mptcp: false }, 'bad', 'MPTCP lost'],
    [
      'SYN data removed',
      { synData: false, convert: '1rtt' },
      'warning',
      'no answer to a message in the SYN; Convert answered (1-RTT)',
    ],
    ['no converter', { failure: 'no answer' }, 'bad', 'Convert not answered: no answer'],
    ['SYN without data', { synData: 'not-sent', convert: '1rtt' }, 'warning', 'no message in the SYN'],
    ['refused to connect to itself', { answer: 'not-authorized' }, 'good', 'Convert answered (0-RTT): not-authorized'],
    [
      'refused to connect to the destination',
      { answer: 'not-authorized', destination: 'example.com:443' },
      'bad',
      'Convert answered (0-RTT): not-authorized',
    ],
  ])('%s', (_name, probe, state, found) => {
    const finding = aboutPath({ ...GOOD_PATH, ...probe })
    expect(finding.state).toBe(state)
    expect(finding.found).toContain(found)
    expect(finding.fixes.length > 0).toBe(state !== 'good')
  })

  test('what is wrong on this machine is not the fault of the converter: MPTCP switched off, no route', () => {
    const lost = aboutPath({ ...GOOD_PATH, mptcp: false })
    const facts = { ...GOOD, mptcp: 'it is off', interfaces: [wlan, { ...wwan, routes: [] }] }
    const all = findings(facts, { '3gpp': 'wwan0', 'non-3gpp': 'wlan0' })
    const needed = (...ids: string[]) =>
      withCause(
        lost,
        all.filter(({ id }) => ids.includes(id)),
      )
    expect(needed('mptcp', 'access-non-3gpp', 'route-wlan0')).toEqual({
      ...lost,
      why: 'fix this first: MPTCP in the kernel (Linux 6.12.118: it is off)',
      fixes: [],
    })
    expect(needed('access-3gpp', 'route-wwan0').why).toBe('fix this first: Default route over wwan0 (none)')
    expect(needed('access-non-3gpp', 'route-wlan0')).toEqual(lost)
    const good = aboutPath(GOOD_PATH)
    expect(withCause(good, all)).toEqual(good)
  })

  test('a second converter has findings with ids of their own', () => {
    expect([aboutPath(GOOD_PATH).id, aboutPath(GOOD_PATH, 2).id]).toEqual(['path-wlan0', 'path-wlan0-2'])
  })
})

describe('kinds of interfaces, by a tree like sysfs', () => {
  const root = mkdtempSync(join(tmpdir(), 'atsss-sysfs-'))
  afterAll(() => rmSync(root, { recursive: true }))
  const device = (name: string, uevent: string, path?: string, ...folders: string[]) => {
    mkdirSync(join(root, name), { recursive: true })
    writeFileSync(join(root, name, 'uevent'), uevent)
    for (const folder of folders) mkdirSync(join(root, name, folder))
    if (path === undefined) return
    mkdirSync(join(root, path), { recursive: true })
    symlinkSync(join(root, path), join(root, name, 'device'))
  }
  device('wlan0', 'DEVTYPE=wlan\nINTERFACE=wlan0\n', 'devices/pci0000:00/0000:00:14.3')
  device('wlp3s0', 'INTERFACE=wlp3s0\n', 'devices/pci0000:00/0000:03:00.0', 'phy80211')
  device('wwan0', 'DEVTYPE=wwan\n', 'devices/pci0000:00/usb2/2-3/2-3:1.4')
  device('enx0', 'INTERFACE=enx0\n', 'devices/pci0000:00/usb1/1-2/1-2:1.0')
  const driven = (name: string, driver: string, port: number) => {
    const path = `devices/pci0000:00/usb1/1-${port}/1-${port}:1.0`
    device(name, `INTERFACE=${name}\n`, path)
    mkdirSync(join(root, 'drivers', driver), { recursive: true })
    symlinkSync(join(root, 'drivers', driver), join(root, path, 'driver'))
  }
  driven('dock', 'r8152', 3)
  driven('pi', 'smsc95xx', 4)
  driven('android', 'rndis_host', 5)
  driven('iphone', 'ipheth', 6)
  driven('modem', 'cdc_mbim', 7)
  device('eth0', 'INTERFACE=eth0\n', 'devices/pci0000:00/0000:00:1f.6')
  device('br0', 'DEVTYPE=bridge\n')
  test.each([
    ['wlan0', 'wifi'],
    ['wlp3s0', 'wifi'],
    ['wwan0', 'wwan'],
    ['enx0', 'usb'],
    ['dock', 'ethernet'],
    ['pi', 'ethernet'],
    ['android', 'usb'],
    ['iphone', 'usb'],
    ['modem', 'wwan'],
    ['eth0', 'ethernet'],
    ['br0', 'virtual'],
    ['gone', 'virtual'],
  ])('%s is %s', (name, kind) => {
    expect(kindOf(name, root)).toBe(kind)
  })
})

test('counters of /proc/net/netstat', () => {
  const text =
    'TcpExt: SyncookiesSent TCPFastOpenBlackhole TCPBacklog\nTcpExt: 0 2 5\nMPTcpExt: MPCapableSYNRX Blackhole\nMPTcpExt: 7 1\n'
  expect(blackholes(text)).toEqual({ fastOpen: 2, mptcp: 1 })
  expect(blackholes('')).toEqual({ fastOpen: 0, mptcp: 0 })
})

test('converters as a configuration has them: objects, and a domain', async () => {
  await using running = await referenceConverter()
  const srv = { priority: 0, weight: 0, port: running.port, target: '127.0.0.1' }
  await using _ = await dnsServer({ '_convert._tcp.operator.example': [srv] })
  const converters = [
    { host: '127.0.0.1', port: running.port },
    { domain: 'operator.example' },
    '_convert._tcp.other.example',
  ]
  const specs = resolveOptions({ converters }).converters
  const common = { interface: undefined, destination: undefined, allowLoopback: true }
  const [object, domain, missing] = await Promise.all(specs.map(converter => probe({ ...common, converter })))
  for (const found of [object, domain])
    expect(found).toMatchObject({ rtt: expect.any(Number), answer: expect.any(String) })
  expect(domain!.converter).toBe('_convert._tcp.operator.example')
  expect(aboutPath(missing!, 3)).toMatchObject({
    id: 'path-default-3',
    state: 'bad',
    found: expect.stringMatching(/^not reachable: Converter _convert\._tcp\.other\.example cannot be found: /),
  })
})

test('doctor here: JSON with every finding; --yes alone is a wrong command line', async () => {
  const [json, wrong, both] = await Promise.all([
    atsss(['doctor', '--json']),
    atsss(['doctor', '--yes']),
    atsss(['doctor', '--json', '--fix', '--yes']),
  ])
  const { findings: all } = JSON.parse(json.stdout)
  expect(all.map(({ id }: { id: string }) => id)).toEqual(
    expect.arrayContaining(['node', 'addon', 'mptcp', 'fast-open', 'interfaces']),
  )
  expect(json.status).toBe(all.some(({ state }: { state: string }) => state === 'bad') ? 1 : 0)
  expect([wrong.status, wrong.stderr.split('\n')[0]]).toEqual([2, 'atsss doctor: --yes needs --fix'])
  expect([both.status, both.stdout]).toEqual([2, ''])
}, 15_000)
