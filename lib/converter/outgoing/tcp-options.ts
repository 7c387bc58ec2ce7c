/** The TCP options that clients ask for, and those that a server answered with: RFC 8803 §6.2.5, §6.2.6 and §7. Pure. */
import type { TcpOption } from '../../wire/convert/index.js'
import type { PeerOptions } from '../relay/kernel.js'

export const TCP_OPTION = { mss: 2, windowScale: 3, sackPermitted: 4, sack: 5, timestamps: 8, mptcp: 30 } as const

/** RFC 8803 §7.1–7.3: "a Transport Converter MUST ignore" EOL, NOP, MSS, window scale and SACK. */
const IGNORED: ReadonlySet<number> = new Set([0, 1, 2, 3, 5])

/**
 * The kinds of an extended Connect that cannot be put into the SYN to the server: those that the kernel does not send,
 * and those with a value to be copied, since the kernel makes its own values.
 * @param supported without TCP-AO (29), which §7.7 refuses, and Fast Open (34), whose cookie the kernel keeps
 */
export function unsupportedKinds(options: readonly TcpOption[], supported: ReadonlySet<number>): number[] {
  const kinds = options
    .filter(({ kind, value }) => !IGNORED.has(kind) && (!supported.has(kind) || value.length > 0))
    .map(({ kind }) => kind)
  return [...new Set(kinds)]
}

/**
 * The TCP options of the server's SYN+ACK, as far as a socket knows them, laid out as Linux lays them out.
 *
 * User space never sees the SYN+ACK itself. Which of these options it had, and the window scale, are known. The MSS is the
 * smaller of what the server announced and what the path takes. Timestamps are unknown, and sent as zero. MPTCP's option is
 * MP_CAPABLE in the form without a key (RFC 8684 §3.1). Other options are unknown, and left out.
 */
export function synAckOptions(peer: PeerOptions): Uint8Array {
  const bytes = [TCP_OPTION.mss, 4, peer.mss >> 8, peer.mss & 0xff]
  if (peer.sackPermitted) bytes.push(TCP_OPTION.sackPermitted, 2)
  if (peer.timestamps) {
    if (!peer.sackPermitted) bytes.push(NOP, NOP)
    bytes.push(TCP_OPTION.timestamps, 10, 0, 0, 0, 0, 0, 0, 0, 0)
  } else if (peer.sackPermitted) bytes.push(NOP, NOP)
  if (peer.windowScale !== undefined) bytes.push(NOP, TCP_OPTION.windowScale, 3, peer.windowScale)
  if (peer.mptcp) bytes.push(TCP_OPTION.mptcp, 4, MP_CAPABLE_VERSION_1, HMAC_SHA256)
  return Uint8Array.from(bytes)
}

const NOP = 1
/** RFC 8684 §3.1: subtype 0 in the upper four bits, the version in the lower. */
const MP_CAPABLE_VERSION_1 = 0x01
/** RFC 8684 §3.1: flag "H", the only algorithm that is defined. */
const HMAC_SHA256 = 0x01
