/**
 * What `getsockopt(fd, SOL_MPTCP, MPTCP_INFO)` wrote: `struct mptcp_info` of Linux, include/uapi/linux/mptcp.h.
 * The structure grows at its end: a field is `undefined` when the kernel wrote less, and what follows is ignored.
 * (A connection that fell back to TCP before it was established gives EOPNOTSUPP instead.)
 */
import { structReader } from './struct.js'

interface MptcpInfo {
  /** Subflows beside the first one. */
  subflows: number | undefined
  /** Addresses announced to the peer. */
  addAddrSignal: number | undefined
  /** Addresses accepted from the peer. */
  addAddrAccepted: number | undefined
  /** The most subflows beside the first one. */
  subflowsMax: number | undefined
  addAddrSignalMax: number | undefined
  addAddrAcceptedMax: number | undefined
  /** All bits of `mptcpi_flags`. */
  flags: number | undefined
  /** The connection goes on as plain TCP: MPTCP_INFO_FLAG_FALLBACK. */
  fallback: boolean | undefined
  /** The peer's key is known: MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED. */
  remoteKeyReceived: boolean | undefined
  /** Identifies the connection to the path manager. RFC 8684 §3.2. */
  token: number | undefined
  /** Data sequence number of the next byte to be written. */
  writeSeq: bigint | undefined
  /** Data sequence number of the first byte not acknowledged. */
  sndUna: bigint | undefined
  /** Data sequence number of the next byte expected. */
  rcvNxt: bigint | undefined
  localAddrUsed: number | undefined
  localAddrMax: number | undefined
  csumEnabled: boolean | undefined
  /** Data retransmitted on another subflow than its first, times. */
  retransmits: number | undefined
  /** Bytes. */
  bytesRetrans: number | undefined
  /** Bytes. */
  bytesSent: number | undefined
  /** Bytes. */
  bytesReceived: number | undefined
  /** Bytes. */
  bytesAcked: number | undefined
  /** Subflows, the first one included when it lives. */
  subflowsTotal: number | undefined
  /** Since data was last sent, ms. */
  lastDataSent: number | undefined
  /** Since data was last received, ms. */
  lastDataRecv: number | undefined
  /** Since the last acknowledgement was received, ms. */
  lastAckRecv: number | undefined
}

export const MPTCP_INFO_FLAG_FALLBACK = 0x1
const MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED = 0x2

/** Where each field begins, in bytes. */
export const MPTCP_INFO_OFFSET = {
  subflows: 0,
  addAddrSignal: 1,
  addAddrAccepted: 2,
  subflowsMax: 3,
  addAddrSignalMax: 4,
  addAddrAcceptedMax: 5,
  flags: 8,
  token: 12,
  writeSeq: 16,
  sndUna: 24,
  rcvNxt: 32,
  localAddrUsed: 40,
  localAddrMax: 41,
  csumEnabled: 42,
  retransmits: 44,
  bytesRetrans: 48,
  bytesSent: 56,
  bytesReceived: 64,
  bytesAcked: 72,
  subflowsTotal: 80,
  lastDataSent: 84,
  lastDataRecv: 88,
  lastAckRecv: 92,
} as const
const OFFSET = MPTCP_INFO_OFFSET

export function decodeMptcpInfo(bytes: Uint8Array): MptcpInfo {
  const { u8, u32, u64, bigU64 } = structReader(bytes)
  const flags = u32(OFFSET.flags)
  const csumEnabled = u8(OFFSET.csumEnabled)
  return {
    subflows: u8(OFFSET.subflows),
    addAddrSignal: u8(OFFSET.addAddrSignal),
    addAddrAccepted: u8(OFFSET.addAddrAccepted),
    subflowsMax: u8(OFFSET.subflowsMax),
    addAddrSignalMax: u8(OFFSET.addAddrSignalMax),
    addAddrAcceptedMax: u8(OFFSET.addAddrAcceptedMax),
    flags,
    fallback: flags === undefined ? undefined : (flags & MPTCP_INFO_FLAG_FALLBACK) !== 0,
    remoteKeyReceived: flags === undefined ? undefined : (flags & MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED) !== 0,
    token: u32(OFFSET.token),
    writeSeq: bigU64(OFFSET.writeSeq),
    sndUna: bigU64(OFFSET.sndUna),
    rcvNxt: bigU64(OFFSET.rcvNxt),
    localAddrUsed: u8(OFFSET.localAddrUsed),
    localAddrMax: u8(OFFSET.localAddrMax),
    csumEnabled: csumEnabled === undefined ? undefined : csumEnabled !== 0,
    retransmits: u32(OFFSET.retransmits),
    bytesRetrans: u64(OFFSET.bytesRetrans),
    bytesSent: u64(OFFSET.bytesSent),
    bytesReceived: u64(OFFSET.bytesReceived),
    bytesAcked: u64(OFFSET.bytesAcked),
    subflowsTotal: u8(OFFSET.subflowsTotal),
    lastDataSent: u32(OFFSET.lastDataSent),
    lastDataRecv: u32(OFFSET.lastDataRecv),
    lastAckRecv: u32(OFFSET.lastAckRecv),
  }
}
