/** From facts to findings: what was found, why it matters, and how to fix it. Pure. */
import type { Accesses } from './accesses.js'
import { aboutAccesses } from './accesses.js'
import type { Facts } from './facts.js'
import { type Finding, sysctlFix } from './finding.js'
import { aboutHoles, versionOf } from './known-holes.js'
import { aboutCapability, aboutEndpoints, aboutHelper, aboutPathManager } from './steering.js'
import { aboutSubflowInterface } from './subflow-interface.js'

export function findings(facts: Facts, accesses: Accesses): Finding[] {
  return [
    aboutNode(facts),
    aboutInsides(facts),
    aboutAddon(facts),
    aboutMptcp(facts),
    ...(facts.mptcp === undefined
      ? [
          aboutPathManager(facts),
          aboutCapability(facts),
          ...aboutHelper(facts),
          ...aboutSubflowInterface(facts, accesses),
        ]
      : []),
    ...aboutFastOpen(facts),
    ...(facts.mptcp === undefined ? [aboutHoles(versionOf(facts.kernel, facts.kernelBuild))] : []),
    aboutBlackhole(facts),
    // It concerns 0-RTT only.
    ...(facts.fastOpen === 'works' ? [aboutReceiveBuffer(facts)] : []),
    ...aboutLimits(facts),
    ...aboutEndpoints(facts),
    ...aboutAccesses(facts.interfaces, accesses),
    ...aboutTunnels(facts, accesses),
  ]
}

function aboutNode({ node }: Facts): Finding {
  const [major = 0, minor = 0] = node.split('.').map(Number)
  const good = major > 20 || (major === 20 && minor >= 19)
  return {
    id: 'node',
    title: 'Node.js',
    state: good ? 'good' : 'bad',
    found: node,
    why: 'version 20.19 or later is needed',
    fixes: good ? [] : [{ command: 'nvm install --lts', note: "or your distribution's package of a later version" }],
  }
}

function aboutInsides({ node, missingInsides }: Facts): Finding {
  const good = missingInsides.length === 0
  return {
    id: 'node-inside',
    title: "Node's private parts",
    state: good ? 'good' : missingInsides.some(({ essential }) => essential) ? 'bad' : 'warning',
    found: good
      ? `Node ${node} has all that are used`
      : missingInsides.map(({ name, lost }) => `no ${name}: ${lost}`).join('; '),
    why: "sockets are Node's, on descriptors that are opened here; a release of Node may rename what that needs",
    fixes: good
      ? []
      : [
          {
            command: 'npm install atsss@latest',
            note: 'or run Node 20, 22, 24 or 26, with which this version was tested',
          },
        ],
  }
}

function aboutAddon({ addon, addonFile = '' }: Facts): Finding {
  const [, system] = /\/prebuilds\/([^/]+)\//.exec(addonFile) ?? []
  const origin = system ? `the prebuilt binary for ${system}` : `built on this machine, ${addonFile}`
  return {
    id: 'addon',
    title: 'Native addon',
    state: addon === undefined ? 'good' : 'bad',
    found: addon === undefined ? `loaded: ${origin}` : addon,
    why: 'it opens the sockets; without it there is no MPTCP',
    fixes:
      addon === undefined
        ? []
        : [
            {
              command: 'npm rebuild atsss',
              note: "in the application's folder; with a C++ compiler, make and Python 3",
            },
            { command: 'npm install', note: 'in a checkout; with a C++ compiler and CMake' },
          ],
  }
}

function aboutMptcp({ mptcp, kernel, sysctls }: Facts): Finding {
  const off = sysctls['net.mptcp.enabled'] === '0'
  return {
    id: 'mptcp',
    title: 'MPTCP in the kernel',
    state: mptcp === undefined ? 'good' : 'bad',
    found: mptcp === undefined ? `Linux ${kernel}, sockets can be opened` : `Linux ${kernel}: ${mptcp}`,
    why: 'without it every connection is plain TCP, on one access',
    fixes: off
      ? [sysctlFix('net.mptcp.enabled', '1')]
      : mptcp === undefined
        ? []
        : [{ command: '', note: 'boot a kernel with CONFIG_MPTCP, 5.16 or later; 6.2 or later for 0-RTT' }],
  }
}

/** Linux, ip-sysctl tcp_fastopen: 0x1 enables client support. */
const CLIENT = 0x1

function aboutFastOpen({ fastOpen, kernel, sysctls }: Facts): Finding[] {
  const about = { id: 'fast-open', title: 'TCP Fast Open' }
  switch (fastOpen) {
    case undefined:
      return [] // no MPTCP sockets: that is said already
    case 'works':
      return [
        {
          ...about,
          state: 'good',
          found: 'an MPTCP socket takes data for its SYN',
          why: 'the Convert message can be in the SYN',
          fixes: [],
        },
      ]
    case 'off':
      return [
        {
          ...about,
          state: 'warning',
          found: `net.ipv4.tcp_fastopen is ${sysctls['net.ipv4.tcp_fastopen'] ?? 'missing'}`,
          why: `without bit 1 ${ONE_ROUND_TRIP_MORE}`,
          fixes: [sysctlFix('net.ipv4.tcp_fastopen', String(Number(sysctls['net.ipv4.tcp_fastopen'] ?? 0) | CLIENT))],
        },
      ]
    case 'no-kernel':
      return [
        {
          ...about,
          state: 'warning',
          found: `MPTCP sockets of Linux ${kernel} take no data for their SYN`,
          why: ONE_ROUND_TRIP_MORE,
          fixes: [{ command: '', note: 'boot Linux 6.2 or later' }],
        },
      ]
  }
}

const ONE_ROUND_TRIP_MORE =
  'the Convert message is not in the SYN (1-RTT form): each connection through a converter takes one round trip more'

/** Writing such a timeout, with any value, makes the kernel forget what it has found. */
function aboutBlackhole({ sysctls, blackholes }: Facts): Finding {
  const suspects = [
    { count: blackholes.fastOpen, name: 'net.ipv4.tcp_fastopen_blackhole_timeout_sec', what: 'Fast Open' },
    { count: blackholes.mptcp, name: 'net.mptcp.blackhole_timeout', what: 'MPTCP' },
  ] as const
  const bad = suspects.filter(({ count, name }) => count > 0 && Number(sysctls[name] ?? 0) > 0)
  return {
    id: 'blackhole',
    title: 'Black hole detection',
    state: bad.length === 0 ? 'good' : 'warning',
    found:
      bad.length === 0
        ? 'the kernel has not given up Fast Open or MPTCP'
        : bad.map(({ what, count }) => `${what} was given up ${count} times`).join(', '),
    why: 'after lost SYNs the kernel switches Fast Open or MPTCP off for all connections, for an hour, and longer each time',
    all: true,
    fixes: bad.map(({ name }) => ({
      ...sysctlFix(name, sysctls[name] ?? '3600'),
      note: 'writing the value makes the kernel forget; then find the path that drops these SYNs',
    })),
  }
}

/** Bytes: see `fixReceiveBuffer` in runtime/kernel/open-socket.ts. */
const LEAST_RECEIVE_BUFFER = 4_194_304

function aboutReceiveBuffer({ sysctls }: Facts): Finding {
  const value = Number(sysctls['net.core.rmem_max'] ?? 0)
  const good = value >= LEAST_RECEIVE_BUFFER
  return {
    id: 'receive-buffer',
    title: 'Receive buffer',
    state: good ? 'good' : 'warning',
    found: `net.core.rmem_max is ${sysctls['net.core.rmem_max'] ?? 'not visible here'}`,
    why: good
      ? '4 MiB or more, as 0-RTT over several accesses needs'
      : "below 4 MiB a 0-RTT connection over several accesses may almost stop: a server that accepted the SYN's data overestimates the window",
    fixes: good
      ? []
      : [
          {
            ...sysctlFix('net.core.rmem_max', '8388608'),
            note: "on the host: a container does not have this setting; or use convert: '1rtt'",
          },
        ],
  }
}

/** How many subflows beside the first the kernel takes for each connection: of the kernel's path manager, and a converter's. */
function aboutLimits({ limits }: Facts): Finding[] {
  if (limits === undefined) return []
  const { subflows, addAddrAccepted } = limits
  return [
    {
      id: 'limits',
      title: 'Limits of subflows',
      state: subflows >= 1 ? 'good' : 'warning',
      found: `${subflows} more subflows for each connection, ${addAddrAccepted} announced addresses accepted`,
      why: "under the kernel's path manager (also on a converter's host) this is the most that a connection gets; two accesses with IPv4 and IPv6 need 3",
      fixes:
        subflows >= 1
          ? []
          : [
              {
                command: 'ip mptcp limits set subflow 8 add_addr_accepted 8',
                note: "on a converter's host too",
                action: { do: 'limits', subflows: 8, addAddrAccepted: 8 },
              },
            ],
    },
  ]
}

/** Sockets that are bound to an access go around a VPN. */
function aboutTunnels({ tunnels, interfaces }: Facts, accesses: Accesses): Finding[] {
  const others = tunnels.filter(({ name }) => !accesses || !Object.values(accesses).includes(name))
  // Where all interfaces are tunnels, as in a lab, one may be an access.
  const mayBeAccesses = !accesses && interfaces.every(({ name }) => tunnels.some(tunnel => tunnel.name === name))
  if (others.length === 0 || mayBeAccesses) return []
  return [
    {
      id: 'vpn',
      title: 'VPN',
      state: 'warning',
      found: others
        .map(({ name, to }) => `the system's routes to ${to.join(', ')} lead by the tunnel ${name}`)
        .join('; '),
      why: 'connections of a session are bound to an access, and go around the tunnel unless vpn is respect',
      fixes: [
        {
          command: '',
          note: "vpn: 'respect' leaves such destinations to the system, unsteered (the default under the preload and atsss run); 'bypass' if going around is wanted",
        },
      ],
    },
  ]
}
