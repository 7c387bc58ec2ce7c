/**
 * The counters of many sockets in one native call.
 *
 * The native call writes doubles: for each socket a record of `SOCKET.length`, and behind it one of `SUBFLOW.length` for
 * each of its subflows. NaN stands for what this kernel does not tell. native/addon/sampler.h numbers the fields alike.
 * Whether a subflow is a backup is in nothing that the kernel tells of a descriptor: who sets the flag must remember it.
 */
import { native, type SocketAddress } from './native.js'

/** What the kernel is asked for, and how. */
export const ASKING = {
  /** All, by MPTCP_FULL_INFO where the kernel has it (6.5). */
  whole: 0,
  /** All, as on older kernels: for tests. */
  inParts: 1,
  /** The connections, without their subflows. */
  connections: 2,
} as const

/** The fields of a socket's record, in their order. */
export const SOCKET = {
  fd: 0,
  errno: 1,
  token: 2,
  subflows: 3,
  bytesSent: 4,
  bytesReceived: 5,
  bytesAcked: 6,
  bytesRetrans: 7,
  retransmits: 8,
  outstanding: 9,
  lastDataSent: 10,
  lastDataRecv: 11,
  lastAckRecv: 12,
  length: 13,
} as const

/** The fields of a subflow's record, in their order. */
export const SUBFLOW = {
  id: 0,
  state: 1,
  localPort: 2,
  retransmits: 3,
  unacked: 4,
  lost: 5,
  lastDataSent: 6,
  lastDataRecv: 7,
  lastAckRecv: 8,
  rtt: 9,
  rttvar: 10,
  minRtt: 11,
  sndCwnd: 12,
  totalRetrans: 13,
  pacingRate: 14,
  deliveryRate: 15,
  bytesAcked: 16,
  bytesReceived: 17,
  bytesSent: 18,
  bytesRetrans: 19,
  notsentBytes: 20,
  segsIn: 21,
  length: 22,
} as const

/** One subflow, as struct tcp_info has it. */
export interface SubflowSample {
  /**
   * Of this subflow as long as the connection lives, and of no other; from 1. 0: a plain TCP connection.
   * Kernels before 6.5 have none; there it is made of the addresses, and beyond 2^32.
   */
  id: number
  /** `TCP_STATES`. A destroyed first subflow stays, in `close` (7). */
  state: number
  localPort: number
  /** Timeouts in a row without an acknowledgement. */
  retransmits: number
  /** Segments in flight. */
  unacked: number
  /** Segments thought lost. */
  lost: number
  /** Since data was last sent on it, ms. */
  lastDataSent: number
  /** Since data was last received on it, ms. */
  lastDataRecv: number
  /** Since an acknowledgement was last received on it, ms. */
  lastAckRecv: number
  /** Smoothed round-trip time, µs. */
  rtt: number
  /** Its mean deviation, µs. */
  rttvar: number
  /** µs. */
  minRtt: number
  /** Congestion window, segments. */
  sndCwnd: number
  /** Segments retransmitted, ever. */
  totalRetrans: number
  /** Bytes per second. */
  pacingRate: number
  /** Bytes per second. */
  deliveryRate: number
  /** Bytes, the SYN counted as one where this side sent it. */
  bytesAcked: number
  /** Bytes. */
  bytesReceived: number
  /** Bytes, retransmissions included. */
  bytesSent: number
  /** Bytes. */
  bytesRetrans: number
  /** Bytes in the send buffer that were never sent. */
  notsentBytes: number
  /** Segments that have come in, the SYN+ACK among them, bare acknowledgements too. */
  segsIn: number
}

/** One connection, as struct mptcp_info has it. `undefined`: this kernel does not say. */
export interface SocketSample {
  fd: number
  /**
   * 0, or a positive errno: EBADF, ENOTSOCK. EOPNOTSUPP (95) for a connection on plain TCP, whose only subflow is there
   * all the same.
   */
  errno: number
  /** 0 without one. A number of a descriptor may mean another connection by now: compare. */
  token: number
  /** Bytes; each counts once, on whichever subflow it went. */
  bytesSent: number | undefined
  bytesReceived: number | undefined
  bytesAcked: number | undefined
  /** Bytes sent again on another subflow. */
  bytesRetrans: number | undefined
  /** How often that was. */
  retransmits: number | undefined
  /** Bytes that the application has written and the peer not acknowledged. */
  outstanding: number | undefined
  /** Since data was last sent, ms. */
  lastDataSent: number | undefined
  /** Since data was last received, ms. */
  lastDataRecv: number | undefined
  /** Since an acknowledgement was last received, ms. */
  lastAckRecv: number | undefined
  /** At most 32. */
  subflows: SubflowSample[]
}

export interface SubflowAddresses {
  /** As in the samples. */
  id: number
  /** `::ffff:192.0.2.1` for IPv4 on an IPv6 socket. */
  local: SocketAddress
  remote: SocketAddress
}

/** Keeps its memory from one call to the next: one for each who samples regularly. */
export class Sampler {
  #doubles = new Float64Array(0)

  /** One native call for all; a sample for each descriptor, in their order. Of any descriptors, whoever owns them. */
  sample(fds: Int32Array): SocketSample[] {
    return this.#sample(fds, ASKING.whole)
  }

  /**
   * Without the subflows, to find out which connections are at rest: about a quarter of the time.
   *
   * @returns a record of `SOCKET.length` doubles for each descriptor, in their order; good until the next call
   */
  sampleConnections(fds: Int32Array): Float64Array {
    const room = roomFor(fds.length)
    if (this.#doubles.length < room) this.#doubles = new Float64Array(room)
    native().sample(fds, this.#doubles, ASKING.connections)
    return this.#doubles
  }

  #sample(fds: Int32Array, asking: number): SocketSample[] {
    const samples: SocketSample[] = []
    while (samples.length < fds.length) {
      const rest = fds.subarray(samples.length)
      if (this.#doubles.length < roomFor(rest.length)) this.#doubles = new Float64Array(roomFor(rest.length))
      const taken = native().sample(rest, this.#doubles, asking)
      decode(this.#doubles, taken, samples)
    }
    return samples
  }
}

/** The descriptors of these, as they are sampled. */
export function fdsOf(sockets: readonly { fd: number }[]): Int32Array {
  const fds = new Int32Array(sockets.length)
  for (let i = 0; i < fds.length; i++) fds[i] = sockets[i]!.fd
  return fds
}

/** For an id that a sample shows for the first time. Of a plain TCP connection its own, with the id 0. Throws system errors. */
export function subflowAddresses(fd: number): SubflowAddresses[] {
  return native().subflowAddresses(fd, ASKING.whole)
}

/** A socket with more subflows than four is rare; one with the most must fit. */
function roomFor(sockets: number): number {
  return sockets * (SOCKET.length + 4 * SUBFLOW.length) + MOST_SUBFLOWS * SUBFLOW.length
}
const MOST_SUBFLOWS = 32

/** Appends the first `count` records to `samples`. */
export function decode(doubles: Float64Array, count: number, samples: SocketSample[]): void {
  let at = 0
  for (let i = 0; i < count; i++) {
    const socket = at
    const subflows: SubflowSample[] = []
    at += SOCKET.length
    for (let left = doubles[socket + SOCKET.subflows]!; left > 0; left--) {
      subflows.push(decodeSubflow(doubles, at))
      at += SUBFLOW.length
    }
    samples.push(decodeSocket(doubles, socket, subflows))
  }
}

function decodeSocket(doubles: Float64Array, at: number, subflows: SubflowSample[]): SocketSample {
  return {
    fd: doubles[at + SOCKET.fd]!,
    errno: doubles[at + SOCKET.errno]!,
    token: doubles[at + SOCKET.token]!,
    bytesSent: told(doubles[at + SOCKET.bytesSent]!),
    bytesReceived: told(doubles[at + SOCKET.bytesReceived]!),
    bytesAcked: told(doubles[at + SOCKET.bytesAcked]!),
    bytesRetrans: told(doubles[at + SOCKET.bytesRetrans]!),
    retransmits: told(doubles[at + SOCKET.retransmits]!),
    outstanding: told(doubles[at + SOCKET.outstanding]!),
    lastDataSent: told(doubles[at + SOCKET.lastDataSent]!),
    lastDataRecv: told(doubles[at + SOCKET.lastDataRecv]!),
    lastAckRecv: told(doubles[at + SOCKET.lastAckRecv]!),
    subflows,
  }
}

function decodeSubflow(doubles: Float64Array, at: number): SubflowSample {
  return {
    id: doubles[at + SUBFLOW.id]!,
    state: doubles[at + SUBFLOW.state]!,
    localPort: doubles[at + SUBFLOW.localPort]!,
    retransmits: doubles[at + SUBFLOW.retransmits]!,
    unacked: doubles[at + SUBFLOW.unacked]!,
    lost: doubles[at + SUBFLOW.lost]!,
    lastDataSent: doubles[at + SUBFLOW.lastDataSent]!,
    lastDataRecv: doubles[at + SUBFLOW.lastDataRecv]!,
    lastAckRecv: doubles[at + SUBFLOW.lastAckRecv]!,
    rtt: doubles[at + SUBFLOW.rtt]!,
    rttvar: doubles[at + SUBFLOW.rttvar]!,
    minRtt: doubles[at + SUBFLOW.minRtt]!,
    sndCwnd: doubles[at + SUBFLOW.sndCwnd]!,
    totalRetrans: doubles[at + SUBFLOW.totalRetrans]!,
    pacingRate: doubles[at + SUBFLOW.pacingRate]!,
    deliveryRate: doubles[at + SUBFLOW.deliveryRate]!,
    bytesAcked: doubles[at + SUBFLOW.bytesAcked]!,
    bytesReceived: doubles[at + SUBFLOW.bytesReceived]!,
    bytesSent: doubles[at + SUBFLOW.bytesSent]!,
    bytesRetrans: doubles[at + SUBFLOW.bytesRetrans]!,
    notsentBytes: doubles[at + SUBFLOW.notsentBytes]!,
    segsIn: doubles[at + SUBFLOW.segsIn]!,
  }
}

function told(value: number): number | undefined {
  return Number.isNaN(value) ? undefined : value
}
