/**
 * The counters of many sockets in one native call.
 */

export interface SubflowSample {
  /** Unique in its connection, never used again. 0 for the one of a plain TCP connection. */
  id: number
  /** `TCP_STATES`. A destroyed first subflow stays, in `close` (7). */
  state: number
  localPort: number
  /** Segments' retransmissions in a row (backoff) */
  retransmits: number
  /** Segments in flight. */
  unacked: number
  /** Segments thought lost. */
  lost: number
  /** Since data was last sent on it, ms. */
  lastDataSent: number
  /** Since an acknowledgement was last received on it, ms. */
  lastAckRecv: number
  /** µs. */
  rtt: number
  /** µs. */
  rttvar: number
  /** µs */
  minRtt: number
  /** Segments. */
  sndCwnd: number
  /** Segments retransmitted, ever. */
  totalRetrans: number
  /** Bytes per second. */
  pacingRate: number
  /** Bytes per second. */
  deliveryRate: number
  /** Bytes. */
  bytesAcked: number
  bytesReceived: number
  /** Retransmissions included. */
  bytesSent: number
  bytesRetrans: number
  /** In the send buffer, never sent. */
  notsentBytes: number
}

export interface SocketSample {
  fd: number
  /** 0, or a positive errno: EBADF, ENOTSOCK; EOPNOTSUPP for a connection on plain TCP, whose only subflow is given all the same. */
  errno: number
  /** 0 without one. A descriptor's number may be another connection's by now: compare. */
  token: number
  /** Data-level: each byte counts once, on whichever subflow it went. Bytes. `undefined` on kernels that do not say. */
  bytesSent: number | undefined
  bytesAcked: number | undefined
  bytesReceived: number | undefined
  bytesRetrans: number | undefined
  /** Written by the application and not acknowledged by the peer. Bytes. */
  outstanding: number
  /** Since data was last sent, data received, an acknowledgement received, ms. */
  lastDataSent: number | undefined
  lastDataRecv: number | undefined
  lastAckRecv: number | undefined
  /** Whether there is a backup flag on a subflow is not in the kernel's answer. */
  subflows: SubflowSample[]
}

export interface SubflowAddresses {
  id: number
  local: { address: string; family: 4 | 6; port: number }
  remote: { address: string; family: 4 | 6; port: number }
}

export class Sampler {
  /** One native call for all; a record for each descriptor, in their order. */
  sample(_fds: Int32Array): SocketSample[] {
    throw new Error('not written yet')
  }
}

/** Of each subflow; for an id that a sample shows for the first time. Throws system errors. */
export function subflowAddresses(_fd: number): SubflowAddresses[] {
  throw new Error('not written yet')
}
