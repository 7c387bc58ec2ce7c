/**
 * Whether both ends of a connection hold it for TCP, when this end's kernel has turned to TCP half-way. Pure.
 *
 * With data in the SYN, Linux (6.18 and before, as measured) may complete the handshake without its key, where the SYN was
 * repeated or the third ACK lost. The peer turns to TCP at the next segment in order that lacks the key. Before that, for
 * bytes on the way were lost, it answers without a DATA_ACK; by which this end turns to TCP (RFC 8684 §3.7), and the peer
 * does not know. For want of a DATA_ACK it sends its bytes again, as new ones to this end, and it resets the connection at the
 * first bytes that come from here, which have no mapping.
 */
import { TCP_STATES, type TcpInfo } from '../../wire/kernel/tcp-info.js'

/**
 * - `turned`: the peer holds the connection for TCP, too. This end has sent nothing behind its SYN, so that its ACK was in
 *   order; or what it has sent has arrived, and at once: had it brought the key, the answer would have had a DATA_ACK.
 * - `not-known`: something was lost, and it may be the connection's fate.
 * - `soon`: what was sent has not been acknowledged yet, nor sent again.
 *
 * @param inSyn how many bytes were in the SYN
 * @param behind how many were sent after it
 */
export function otherEnd(info: TcpInfo, inSyn: number, behind: number): 'turned' | 'not-known' | 'soon' {
  const { bytesAcked = 0, bytesRetrans = 1, state } = info
  if (behind === 0) return 'turned'
  if (bytesRetrans > 0) return 'not-known'
  if (bytesAcked > 1 + inSyn) return 'turned' // the SYN counts as one
  return state === TCP_STATES.close ? 'not-known' : 'soon'
}
