/**
 * Reads a few links at the least cost, to see whether they have changed: one datagram asks for all of them, and no thread
 * is woken for the answers.
 */
import { decodeMessages, encodeMessage, NLM_F_REQUEST } from '../../wire/netlink/message.js'
import { decodeRtnetlink, type LinkInfo, linkRequest, RTM } from '../../wire/netlink/route.js'
import { NETLINK_ROUTE, type OpenNetlink } from './netlink.js'

export interface LinkPoll {
  /** Also true if the kernel does not answer for one of them, or the answer cannot be read. Throws system errors. */
  hasChanged(links: readonly LinkInfo[]): boolean
  close(): void
}

/** Throws system errors. */
export function openLinkPoll(open: OpenNetlink): LinkPoll {
  /** The links that the kernel has just described, by index. */
  const described = new Map<number, LinkInfo>()
  let request = { indices: [] as readonly number[], bytes: new Uint8Array() as Uint8Array }
  /** The last answers. The kernel mostly repeats itself, and comparing bytes costs less than decoding them. */
  let decoded: { bytes: Uint8Array; links: LinkInfo[] }[] = []
  const receive = (bytes: Uint8Array) => {
    let answer = decoded.find(before => Buffer.compare(before.bytes, bytes) === 0)
    if (!answer) {
      answer = { bytes, links: linksIn(bytes) }
      decoded = [answer, ...decoded.slice(0, DECODED_KEPT - 1)]
    }
    for (const link of answer.links) described.set(link.index, link)
  }
  const connection = open(NETLINK_ROUTE, { message: receive, overrun() {}, failed() {} }, { onlyAnswers: true })
  return {
    hasChanged(links) {
      described.clear()
      if (links.length === 0) return false
      const indices = links.map(({ index }) => index)
      if (indices.length !== request.indices.length || indices.some((index, i) => index !== request.indices[i]))
        request = { indices, bytes: requestFor(indices) }
      connection.send(request.bytes)
      return links.some(link => {
        const now = described.get(link.index)
        return now === undefined || differs(link, now)
      })
    },
    close: () => connection.close(),
  }
}

/** Whether the fields differ that show a lost carrier. */
export function differs(before: LinkInfo | undefined, now: LinkInfo): boolean {
  return before === undefined || before.carrier !== now.carrier || before.flags !== now.flags
}

/** The number of interfaces whose last answer is kept: more than a session has accesses. */
const DECODED_KEPT = 4

/** The answers need no sequence number: all of them have been received before the next request is sent. */
function requestFor(indices: readonly number[]): Uint8Array {
  const header = { type: RTM.getLink, flags: NLM_F_REQUEST, sequence: 1 }
  // The length of each is a multiple of four, so the next message may follow it directly.
  return Buffer.concat(indices.map(index => encodeMessage(header, linkRequest(index))))
}

/** No links if the bytes cannot be read (EPROTO). */
function linksIn(bytes: Uint8Array): LinkInfo[] {
  try {
    return decodeMessages(bytes).flatMap(message => {
      const said = decodeRtnetlink(message)
      return said?.type === 'link' && !said.gone ? [said.link] : []
    })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EPROTO') return []
    throw error
  }
}
