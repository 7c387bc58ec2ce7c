/**
 * Whether both ends treat a connection as TCP when this end's kernel has fallen back. Pure.
 *
 * With data in the SYN, Linux (measured up to 6.18) may complete the handshake without its key when the SYN was repeated or the
 * third ACK was lost. The peer falls back to TCP at the next segment in order that lacks the key. If bytes were lost before
 * that, the peer answers without a DATA_ACK; this makes this end fall back (RFC 8684 §3.7), and the peer does not know. It gets no
 * DATA_ACK, so it sends its bytes again, which this end takes for new ones; and it resets the connection at the first bytes
 * from this end, since they have no mapping.
 */
import { TCP_STATES, type TcpInfo } from '../../wire/kernel/tcp-info.js'

/**
 * - `turned`: the peer treats the connection as TCP, too. Either this end has sent nothing after its SYN, so that its ACK was in
 *   order; or all that it sent arrived at the first try: with the key in it, the answer would have had a DATA_ACK.
 * - `not-known`: something was lost, and the ends may disagree.
 * - `soon`: what was sent has been neither acknowledged nor repeated yet.
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
