/**
 * `atsss/converter`: a reference Transport Converter in user space. RFC 8803.
 *
 * Since the kernel handles the packets, it cannot:
 * - Answer in the SYN+ACK (§4.2): the kernel has sent it. The answer follows the third ACK, one round trip later.
 * - Ignore a SYN without Convert TLVs (§6): the kernel accepts the connection, which is then reset without an answer.
 * - Copy TCP options that have a value into the SYN to the server, including Fast Open's (§6.2.5, §7.6): Error 33.
 * - Show the server's SYN+ACK (§6.2.6): the Extended TCP Header is made from what the socket knows (`synAckOptions`).
 * - Tie its SYNs to the client's retransmissions (§9.3): the kernel repeats them by itself.
 * - Report more of an ICMP message's Code (§6.2.8) than its errno says, or distinguish an ICMP port unreachable from a reset.
 * - Keep the client's address (§4.4.1): its clients share its own address.
 * - Delay its SYN+ACK to a remote host until the client has answered (§5.2), or ignore SYNs to ports that it does not listen
 *   on. It listens from the start on those that it can assign, with a filter that ignores SYNs.
 */
export {
  Converter,
  type ConverterEvents,
  type ConverterStats,
  createConverter,
} from './converter.js'
export type { IncomingStats } from './incoming/incoming.js'
export type { IncomingFailure, IncomingInfo } from './incoming/session.js'
export type { ListenAddress } from './options/listen-address.js'
export type { ConverterOptions, CookieOptions } from './options/options.js'
export type { PcpOptions } from './options/pcp.js'
export type { Degraded, ListenerInfo } from './outgoing/listener.js'
export type { OutgoingStats } from './outgoing/outgoing.js'
export type { NotConvert, Target } from './outgoing/request.js'
export type { ConnectionInfo, Ignored } from './outgoing/transport-session.js'
export type { Mapping, Path, Place } from './pcp/mapping.js'
export type { WorkerInfo, WorkerStats } from './workers/workers.js'
