/**
 * What `getsockopt(fd, IPPROTO_TCP, TCP_INFO)` wrote: `struct tcp_info` of Linux, include/uapi/linux/tcp.h.
 * The structure grows at its end: a field is `undefined` when the kernel wrote less, and what follows is ignored.
 */
import { HOST_ENDIAN, structReader } from './struct.js'

export interface TcpInfo {
  /** As in the kernel's net/tcp_states.h: see `TCP_STATES`. */
  state: number | undefined
  /** Retransmissions of the segment now in flight. */
  retransmits: number | undefined
  /** All bits of `tcpi_options`. */
  options: number | undefined
  /** The SYN carried data, and its receiver has acknowledged it: TCPI_OPT_SYN_DATA. */
  synDataAcked: boolean | undefined
  /**
   * Why Fast Open did not carry the client's data, `enum tcp_fastopen_client_fail`: 0 it did, or no reason is known; 1 no
   * cookie was cached, so that the SYN carried no data; 2 the SYN+ACK did not acknowledge the data; 3 the SYN was sent
   * again, without data, before its SYN+ACK came.
   */
  fastopenClientFail: number | undefined
  /** Retransmission timeout, µs. */
  rto: number | undefined
  /** Bytes. */
  sndMss: number | undefined
  /** Segments in flight. */
  unacked: number | undefined
  /** Segments thought lost. */
  lost: number | undefined
  /** Segments retransmitted and not yet acknowledged. */
  retrans: number | undefined
  /** Since data was last sent, ms. */
  lastDataSent: number | undefined
  /** Since data was last received, ms. */
  lastDataRecv: number | undefined
  /** Since the last acknowledgement was received, ms. */
  lastAckRecv: number | undefined
  /** Bytes. */
  pmtu: number | undefined
  /** Smoothed round-trip time, µs. */
  rtt: number | undefined
  /** Its mean deviation, µs. */
  rttvar: number | undefined
  /** Congestion window, segments. */
  sndCwnd: number | undefined
  /**
   * Round-trip time of what is received, µs: from an acknowledgement sent to the data that it allowed, the sender's queue and
   * pauses included. 0: not measured.
   */
  receiveRtt: number | undefined
  /** Segments retransmitted, ever. */
  totalRetrans: number | undefined
  /** Bytes per second. */
  pacingRate: number | undefined
  /** Bytes, the SYN counted as one. */
  bytesAcked: number | undefined
  /** Bytes. */
  bytesReceived: number | undefined
  /** Bytes in the send buffer that were never sent. */
  notsentBytes: number | undefined
  /** µs. */
  minRtt: number | undefined
  /** Segments with data received, retransmissions included. */
  dataSegsIn: number | undefined
  /** Bytes per second. */
  deliveryRate: number | undefined
  /** Bytes, retransmissions included. */
  bytesSent: number | undefined
  /** Bytes. */
  bytesRetrans: number | undefined
  /** Segments received out of order, as after a loss (Linux 5.4). */
  outOfOrder: number | undefined
}

/** TCPI_OPT_SYN_DATA, a bit of `options`. */
const TCPI_OPT_SYN_DATA = 0x20

/** `enum` of net/tcp_states.h. */
export const TCP_STATES = {
  established: 1,
  synSent: 2,
  synRecv: 3,
  finWait1: 4,
  finWait2: 5,
  timeWait: 6,
  close: 7,
  closeWait: 8,
  lastAck: 9,
  listen: 10,
  closing: 11,
  newSynRecv: 12,
} as const

/** Where each field begins, in bytes. All are `__u32`, except where noted. */
export const TCP_INFO_OFFSET = {
  /** `__u8`, as are the next three. */
  state: 0,
  retransmits: 2,
  options: 5,
  /** delivery_rate_app_limited:1, fastopen_client_fail:2 */
  bitfield: 7,
  rto: 8,
  sndMss: 16,
  unacked: 24,
  lost: 32,
  retrans: 36,
  lastDataSent: 44,
  lastDataRecv: 52,
  lastAckRecv: 56,
  pmtu: 60,
  rtt: 68,
  rttvar: 72,
  sndCwnd: 80,
  receiveRtt: 92,
  totalRetrans: 100,
  /** `__u64`. */
  pacingRate: 104,
  /** `__u64`. */
  bytesAcked: 120,
  /** `__u64`. */
  bytesReceived: 128,
  segsIn: 140,
  notsentBytes: 144,
  minRtt: 148,
  dataSegsIn: 152,
  /** `__u64`. */
  deliveryRate: 160,
  /** `__u64`. */
  bytesSent: 200,
  /** `__u64`. */
  bytesRetrans: 208,
  /** `tcpi_rcv_ooopack`. */
  outOfOrder: 224,
} as const
const OFFSET = TCP_INFO_OFFSET

export function decodeTcpInfo(bytes: Uint8Array): TcpInfo {
  const { u8, u32, u64 } = structReader(bytes)
  const options = u8(OFFSET.options)
  const bitfield = u8(OFFSET.bitfield)
  return {
    state: u8(OFFSET.state),
    retransmits: u8(OFFSET.retransmits),
    options,
    synDataAcked: options === undefined ? undefined : (options & TCPI_OPT_SYN_DATA) !== 0,
    // Compilers fill bit fields from the least significant bit on little-endian machines, from the other end on big.
    fastopenClientFail: bitfield === undefined ? undefined : (bitfield >> (HOST_ENDIAN === 'LE' ? 1 : 5)) & 3,
    rto: u32(OFFSET.rto),
    sndMss: u32(OFFSET.sndMss),
    unacked: u32(OFFSET.unacked),
    lost: u32(OFFSET.lost),
    retrans: u32(OFFSET.retrans),
    lastDataSent: u32(OFFSET.lastDataSent),
    lastDataRecv: u32(OFFSET.lastDataRecv),
    lastAckRecv: u32(OFFSET.lastAckRecv),
    pmtu: u32(OFFSET.pmtu),
    rtt: u32(OFFSET.rtt),
    rttvar: u32(OFFSET.rttvar),
    sndCwnd: u32(OFFSET.sndCwnd),
    receiveRtt: u32(OFFSET.receiveRtt),
    totalRetrans: u32(OFFSET.totalRetrans),
    pacingRate: u64(OFFSET.pacingRate),
    bytesAcked: u64(OFFSET.bytesAcked),
    bytesReceived: u64(OFFSET.bytesReceived),
    notsentBytes: u32(OFFSET.notsentBytes),
    minRtt: u32(OFFSET.minRtt),
    dataSegsIn: u32(OFFSET.dataSegsIn),
    deliveryRate: u64(OFFSET.deliveryRate),
    bytesSent: u64(OFFSET.bytesSent),
    bytesRetrans: u64(OFFSET.bytesRetrans),
    outOfOrder: u32(OFFSET.outOfOrder),
  }
}
