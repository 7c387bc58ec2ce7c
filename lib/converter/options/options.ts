import type { ListenAddress } from './listen-address.js'
import type { PcpOptions } from './pcp.js'

/** The options of a converter: meaning, unit, default, range and source of each. */

export interface ConverterOptions {
  /**
   * Where to listen: `'192.0.2.1:5124'`, `'[2001:db8::1]:5124'`, or objects. RFC 8803 has no default port (§6).
   *
   * @defaultValue ['127.0.0.1:0']
   */
  listen?: string | ListenAddress | readonly (string | ListenAddress)[]
  /**
   * The protocol to listen with. `mptcp` also takes clients with plain TCP, and becomes `tcp` if the kernel has no MPTCP; the
   * event `degraded` reports that.
   *
   * @defaultValue 'mptcp'
   */
  protocol?: 'mptcp' | 'tcp'
  /**
   * Whether to take the data of SYNs (TCP_FASTOPEN and TCP_FASTOPEN_NO_COOKIE), which 0-RTT clients need. The system must
   * allow it, too: bit 0x2 of the sysctl net.ipv4.tcp_fastopen; if it does not, the event `degraded` reports that.
   *
   * @defaultValue true
   */
  fastOpen?: boolean
  /**
   * The protocol towards servers, on RFC 8803's "downstream connection". `mptcp` asks each server for MPTCP, and falls
   * back to TCP with servers that do not support it. A client that lists MPTCP in an extended Connect gets `mptcp` anyway (§7.5).
   *
   * @defaultValue 'tcp'
   */
  serverProtocol?: 'tcp' | 'mptcp'
  /**
   * Prefixes of the clients to serve; others get Not Authorized (§9.2: "Only Convert connections received in
   * the internal realm").
   *
   * @defaultValue prefixes that are not on the Internet: loopback, link-local, private, shared, for documentation
   */
  allow?: readonly string[]
  /**
   * Prefixes of the servers that clients may reach; others give Not Authorized. Loopback, link-local and the converter's own
   * address and port are never reached, however they are spelled: an IPv6 address that leads to an IPv4 address (NAT64,
   * 6to4, Teredo, …) is judged as both.
   *
   * @defaultValue every address, except the metadata services of clouds
   */
  allowedTargets?: readonly string[]
  /**
   * Prefixes of servers that clients may not reach, whatever `allowedTargets` says: Not Authorized.
   *
   * @defaultValue none
   */
  forbiddenTargets?: readonly string[]
  /**
   * Whether clients may reach one another: targets within `allow`. Without it they give Not Authorized.
   *
   * @defaultValue true (§9.2: "absent explicit configuration, hairpinning is enabled")
   */
  hairpinning?: boolean
  /**
   * Allows loopback addresses as targets, against §6.2.5: for tests on one machine. Clients then reach services that this
   * machine offers only to itself.
   *
   * @defaultValue false
   */
  allowLoopback?: boolean
  /**
   * Whether clients must show a cookie bound to their address (§6.2.7): without one they get Missing Cookie and the
   * cookie, with a wrong or expired one Not Authorized.
   *
   * @defaultValue false
   */
  cookies?: boolean | CookieOptions
  /**
   * Milliseconds from accepting a connection to the end of the client's message; after that it is reset without an answer.
   *
   * @defaultValue 5_000
   * @remarks Range 1…2_147_483_647.
   */
  messageTimeout?: number
  /**
   * Milliseconds that the server may take to accept, and the client to complete its handshake; after that the client gets
   * Destination Unreachable.
   *
   * @defaultValue 10_000
   * @remarks Range 1…2_147_483_647.
   */
  connectTimeout?: number
  /**
   * Milliseconds without a byte in either direction, after which both connections are reset (§4.3, Lifetime). `0`
   * sets no limit.
   *
   * @defaultValue 7_440_000 (2 h 4 min, RFC 5382 REQ-5)
   * @remarks Range 0…2_147_483_647.
   */
  idleTimeout?: number
  /**
   * Milliseconds that a client has to close the connection after an Error TLV; after that it is reset. §6.2.2 forbids an
   * immediate reset, since the Error TLV has to arrive.
   *
   * @defaultValue 2_000
   * @remarks Range 1…2_147_483_647.
   */
  lingerTimeout?: number
  /**
   * The most connections of all clients together; further ones get Resource Exceeded. Each takes two descriptors.
   *
   * @defaultValue 10_000
   * @remarks Range 1…1_000_000.
   */
  maxConnections?: number
  /**
   * The most connections of one client, which is an IPv4 address or an IPv6 /64; further ones get Resource Exceeded.
   *
   * @defaultValue 4_096
   * @remarks Range 1…1_000_000.
   */
  maxPerClient?: number
  /**
   * The most connections of one client that have not been answered yet; further ones get Resource Exceeded (§9.3).
   *
   * @defaultValue 1_024
   * @remarks Range 1…1_000_000.
   */
  maxPendingPerClient?: number
  /**
   * The most error replies to one client in one second; further errors reset the connection without a reply (§6.2.5).
   *
   * @defaultValue 100
   * @remarks Range 0…1_000_000.
   */
  errorsPerSecond?: number
  /**
   * Seconds that Resource Exceeded and Network Failure suggest the client should wait (§6.2.8). `0` leaves it to the
   * client, which waits at least 30.
   *
   * @defaultValue 1
   * @remarks Range 0…255.
   */
  retryDelay?: number
  /**
   * The most connections that wait to be accepted, and SYNs with data that wait for the end of their handshake. The system's limit is
   * net.core.somaxconn.
   *
   * @defaultValue 4_096
   * @remarks Range 1…65_535.
   */
  backlog?: number
  /**
   * Whether to answer before the client's handshake is complete: only for tests of clients. An MPTCP client over a path with
   * any delay then never gets its answer.
   *
   * @defaultValue false
   */
  answerEarly?: boolean
  /**
   * Whether clients may ask, by the Port Control Protocol (RFC 6887), to be reached from outside (RFC 8803 §5.2). Needs the
   * addon.
   *
   * @defaultValue false
   */
  pcp?: boolean | PcpOptions
  /**
   * How many processes serve connections; `'auto'`: as many as the machine has processors for this one (`os.availableParallelism()`).
   * With 1, it is this process itself. With more, each worker process has its own listening sockets, among which the kernel divides the
   * connections (SO_REUSEPORT), and this process has the rest: mappings and connections from remote hosts (`pcp`), events, statistics.
   * Needs the addon. A worker that ends is started again: event `worker`.
   *
   * The limits on connections are those of all workers together. For some milliseconds, one client's connections to several workers may
   * exceed them. `errorsPerSecond` applies to each worker.
   *
   * @defaultValue 1
   * @remarks Range 1…256.
   */
  workers?: number | 'auto'
  /**
   * The clock, in milliseconds since 1970: for tests of cookies and limits. Not with `workers`, which have clocks of their own.
   *
   * @defaultValue Date.now
   */
  now?: () => number
}

export interface CookieOptions {
  /**
   * 16 bytes or more. Converters with the same secret accept each other's cookies.
   *
   * @defaultValue a random one at each start
   */
  secret?: Uint8Array
  /**
   * Milliseconds for which a cookie is valid, at least; it expires before twice as many.
   *
   * @defaultValue 86_400_000 (a day)
   * @remarks Range 1…2_147_483_647.
   */
  lifetime?: number
}
