/** What the package is to reach, and why so much: ratios of figures that were measured side by side in one run. */
import type { ContenderName } from './measures.js'

export interface Limits {
  what: string
  atMost?: number
  atLeast?: number
  /** What is to be expected, where it is not ours to reach. */
  about?: number
  reason: string
}

export interface Target extends Limits {
  measure: string
  column: string
  of: ContenderName
  /** What `of` is divided by; without it the figure itself has a limit. */
  against?: ContenderName
}

export const TARGETS: readonly Target[] = [
  {
    what: 'First byte through the converter, 20 ms',
    measure: 'first-byte',
    column: 'firstByte',
    of: 'converter',
    against: 'tcp',
    atMost: 1.05,
    reason: 'The request leaves when the SYN+ACK is there, as over TCP: a converter costs no round trip',
  },
  {
    what: 'First connection of a process: session',
    measure: 'first-connection',
    column: 'connect',
    of: 'session',
    against: 'converter',
    atMost: 1.2,
    reason: 'It begins by one reading of the links, and does not wait for the steering thread',
  },
  {
    what: 'First byte with early data, 20 + 20 ms',
    measure: 'early-data',
    column: 'firstByte',
    of: 'early-data',
    against: 'tcp',
    atMost: 0.8,
    reason: 'The request waits at the converter while that connects: 20 ms of 80 are saved',
  },
  {
    what: 'First byte through SOCKS5, 20 ms',
    measure: 'first-byte',
    column: 'firstByte',
    of: 'socks5',
    against: 'tcp',
    about: 2,
    reason: 'For comparison: greeting and request of SOCKS5 take a round trip each',
  },
  ...(['agent', 'connector', 'preload'] as const).flatMap(of =>
    (['https', 'https-resumed'] as const).flatMap(measure =>
      (['secureConnect', 'firstByte'] as const).map(column => ({
        what: `${measure === 'https' ? 'HTTPS' : 'HTTPS, resumed'}: ${column === 'firstByte' ? 'first byte' : "'secureConnect'"}`,
        ...{ measure, column, of, against: 'https' as const, atMost: 1.05 },
        reason: 'The ClientHello leaves when the SYN+ACK is there, as over TCP: a converter costs no round trip',
      })),
    ),
  ),
  {
    what: 'HTTPS through SOCKS5: first byte',
    measure: 'https',
    column: 'firstByte',
    of: 'socks-agent',
    against: 'https',
    about: 1.67,
    reason: 'For comparison: five round trips in place of three',
  },
  {
    what: 'HTTPS through HTTP CONNECT: first byte',
    measure: 'https',
    column: 'firstByte',
    of: 'proxy-agent',
    against: 'https',
    about: 1.33,
    reason: 'For comparison: four round trips in place of three',
  },
  {
    what: "'connect' through the converter, 20 ms",
    measure: 'first-byte',
    column: 'connect',
    of: 'converter',
    against: 'tcp',
    atMost: 2.05,
    reason: 'A converter on stock Linux answers after the third ACK: the second round trip is the kernel’s',
  },
  {
    what: 'First byte of an incoming connection, 20 ms',
    measure: 'incoming',
    column: 'firstByte',
    of: 'incoming',
    against: 'tcp',
    atMost: 1.1,
    reason:
      'The request follows the message when the SYN is acknowledged. The UE answers once the connection is established ' +
      '(RFC 8803 §5.2), by the third ACK, and then the request is there, too: no round trip, but a relay and one more hop',
  },
  {
    what: 'Connect on loopback, p50',
    measure: 'connect',
    column: 'p50',
    of: 'atsss',
    against: 'mptcp',
    atMost: 1.5,
    reason: 'The handshake is waited for on a thread of ours, and crosses to Node’s: tens of microseconds',
  },
  {
    what: 'Connections per second on loopback',
    measure: 'connects',
    column: 'perSecond',
    of: 'atsss',
    against: 'mptcp',
    atLeast: 0.7,
    reason: 'The same crossing, shared by what is ready at the same time',
  },
  {
    what: 'Throughput on loopback, up',
    measure: 'upload',
    column: 'gbps',
    of: 'atsss',
    against: 'mptcp',
    atLeast: 0.98,
    reason: 'Once connected the stream is Node’s own: the rest is noise',
  },
  {
    what: 'Throughput on loopback, down',
    measure: 'download',
    column: 'gbps',
    of: 'atsss',
    against: 'mptcp',
    atLeast: 0.98,
    reason: 'As upwards',
  },
  {
    what: 'Heap of an open socket',
    measure: 'memory',
    column: 'heap',
    of: 'atsss',
    against: 'tcp',
    atMost: 1.25,
    reason: 'What made the connection is let go; what is left is the report of how it went',
  },
  {
    what: 'Convert, encoded and decoded',
    measure: 'codec',
    column: 'both',
    of: 'atsss',
    atMost: 1,
    reason: 'A microsecond does not show beside a system call',
  },
]
