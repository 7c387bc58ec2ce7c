/** What is measured, on whom, and how much of it in one round. How it is measured is in trials/. */

/** Ways to a connected socket. */
export type SocketContender =
  | 'tcp'
  | 'mptcp'
  | 'atsss'
  | 'converter'
  | 'early-data'
  | 'session'
  | 'session-inline'
  | 'socks5'
  | 'incoming'
/** Ways to ask an HTTPS server. */
export type HttpsContender = 'https' | 'agent' | 'connector' | 'preload' | 'socks-agent' | 'proxy-agent'
export type ContenderName = SocketContender | HttpsContender

export const TITLES: Record<ContenderName, string> = {
  tcp: 'net.connect (TCP)',
  mptcp: 'net.connect on an MPTCP descriptor',
  atsss: 'atsss, direct (MPTCP)',
  converter: 'atsss, through the converter',
  'early-data': 'atsss, converter, early data',
  session: 'atsss session, converter',
  'session-inline': "the same, controller: 'inline'",
  socks5: 'socks, through microsocks (SOCKS5)',
  incoming: 'net.connect, through the converter',
  https: 'https.get, directly (TCP)',
  agent: 'atsss HttpsAgent, converter',
  connector: 'atsss connector, undici, converter',
  preload: 'atsss/register, https.get, converter',
  'socks-agent': 'socks-proxy-agent, microsocks',
  'proxy-agent': 'https-proxy-agent, tinyproxy',
}

export interface Column {
  /** As the trial calls the figure. */
  key: string
  title: string
  unit: string
  digits: number
}

export interface Measure {
  name: string
  title: string
  trial:
    | 'connect'
    | 'connects'
    | 'first-connection'
    | 'first-byte'
    | 'https'
    | 'https-resumed'
    | 'stream'
    | 'memory'
    | 'codec'
  /** `link`: over emulated links, which need privileges. */
  where: 'loopback' | 'link'
  /** One way, on the link between the converter and the server; the one to the UE has `LINK_DELAY_MS`. */
  serverDelayMs?: number
  contenders: readonly ContenderName[]
  columns: readonly Column[]
  /** How much is done in one round, in the unit of the trial: connections, bytes, sockets, messages. */
  size: { full: number; quick: number }
  /** A host of the data network connects to the UE. */
  toUe?: boolean
  /** For `stream`. */
  direction?: 'up' | 'down'
}

/** One way, between UE and converter: 20 ms there and back. */
export const LINK_DELAY_MS = 10

const OVER_HTTPS = ['https', 'agent', 'connector', 'preload', 'socks-agent', 'proxy-agent'] as const
const EVERYBODY = ['tcp', 'mptcp', 'atsss', 'converter', 'socks5'] as const
const MIB = 1024 * 1024

const untilConnect: Column = { key: 'connect', title: "'connect'", unit: 'ms', digits: 1 }
const untilByte: Column = { key: 'firstByte', title: 'first byte', unit: 'ms', digits: 1 }
const untilSecure: Column = { key: 'secureConnect', title: "'secureConnect'", unit: 'ms', digits: 1 }
const throughput: Column = { key: 'gbps', title: 'throughput', unit: 'Gbit/s', digits: 2 }

export const MEASURES: readonly Measure[] = [
  {
    name: 'connect',
    title: "From connect() to 'connect' on loopback, one connection after the other",
    trial: 'connect',
    where: 'loopback',
    contenders: EVERYBODY,
    columns: [
      { key: 'p50', title: 'p50', unit: 'µs', digits: 0 },
      { key: 'p99', title: 'p99', unit: 'µs', digits: 0 },
    ],
    size: { full: 3000, quick: 300 },
  },
  {
    name: 'connects',
    title: 'Connections on loopback, 64 at a time: connected, one byte received, closed',
    trial: 'connects',
    where: 'loopback',
    contenders: EVERYBODY,
    columns: [
      { key: 'perSecond', title: 'per second', unit: '/s', digits: 0 },
      { key: 'cpu', title: 'CPU each', unit: 'µs', digits: 0 },
    ],
    size: { full: 6000, quick: 500 },
  },
  {
    name: 'first-byte',
    title: 'A request written at once, round trip 20 ms: when the answer is there',
    trial: 'first-byte',
    where: 'link',
    contenders: EVERYBODY,
    columns: [untilConnect, untilByte],
    size: { full: 12, quick: 3 },
  },
  {
    name: 'first-connection',
    title: 'The first connection of a process, round trip 20 ms',
    trial: 'first-connection',
    where: 'link',
    contenders: ['tcp', 'converter', 'session', 'session-inline'],
    columns: [untilConnect],
    size: { full: 1, quick: 1 },
  },
  {
    name: 'early-data',
    title: 'The same with another 20 ms between converter and server',
    trial: 'first-byte',
    where: 'link',
    serverDelayMs: 10,
    contenders: ['tcp', 'converter', 'early-data'],
    columns: [untilConnect, untilByte],
    size: { full: 10, quick: 2 },
  },
  {
    name: 'https',
    title: 'An HTTPS request, round trip 20 ms, the server beside the proxies: full handshakes',
    trial: 'https',
    where: 'link',
    contenders: OVER_HTTPS,
    columns: [untilSecure, untilByte],
    size: { full: 12, quick: 2 },
  },
  {
    name: 'https-resumed',
    title: 'The same with resumed TLS sessions',
    trial: 'https-resumed',
    where: 'link',
    contenders: OVER_HTTPS,
    columns: [untilSecure, untilByte],
    size: { full: 12, quick: 2 },
  },
  {
    name: 'incoming',
    title: 'A host of the data network connects to the UE and asks at once, round trip 20 ms',
    trial: 'first-byte',
    where: 'link',
    toUe: true,
    contenders: ['tcp', 'mptcp', 'incoming'],
    columns: [untilConnect, untilByte],
    size: { full: 12, quick: 3 },
  },
  {
    name: 'upload',
    title: 'A stream to the server on loopback',
    trial: 'stream',
    direction: 'up',
    where: 'loopback',
    contenders: EVERYBODY,
    columns: [throughput],
    size: { full: 256 * MIB, quick: 32 * MIB },
  },
  {
    name: 'download',
    title: 'A stream from the server on loopback',
    trial: 'stream',
    direction: 'down',
    where: 'loopback',
    contenders: EVERYBODY,
    columns: [throughput],
    size: { full: 256 * MIB, quick: 32 * MIB },
  },
  {
    name: 'memory',
    title: 'Memory of an open socket that has received a byte',
    trial: 'memory',
    where: 'loopback',
    contenders: ['tcp', 'mptcp', 'atsss', 'converter'],
    columns: [
      { key: 'heap', title: 'heap', unit: 'bytes', digits: 0 },
      { key: 'external', title: 'external', unit: 'bytes', digits: 0 },
      { key: 'rss', title: 'resident', unit: 'bytes', digits: 0 },
    ],
    size: { full: 2000, quick: 300 },
  },
  {
    name: 'codec',
    title: 'A Connect TLV encoded, and decoded again',
    trial: 'codec',
    where: 'loopback',
    contenders: ['atsss'],
    columns: [{ key: 'both', title: 'CPU', unit: 'µs', digits: 2 }],
    size: { full: 1_000_000, quick: 100_000 },
  },
]
