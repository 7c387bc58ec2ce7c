/** Whether a few links are still as they were, at the least cost: one datagram asks for all, and no thread is woken for the answers. */
import { WireError } from '../../errors.js'
import { decodeMessages, encodeMessage, NLM_F_REQUEST } from '../../wire/netlink/message.js'
import { decodeRtnetlink, type LinkInfo, linkRequest, RTM } from '../../wire/netlink/route.js'
import { NETLINK_ROUTE, type NetlinkConnection, type OpenNetlink } from './netlink.js'

export class LinkGlimpse {
  readonly #connection: NetlinkConnection
  /** Of the links that the kernel has just described, by their index. */
  readonly #seen = new Map<number, LinkInfo>()
  /** For the links of these indices. Answers need no sequence: all have been received before the next question. */
  #request = { of: [] as number[], bytes: new Uint8Array() }
  /** What was read last. Mostly the kernel says the same again, and to compare is cheaper than to read. */
  #read: { bytes: Uint8Array; links: LinkInfo[] }[] = []

  /** Throws system errors. */
  constructor(open: OpenNetlink) {
    const receiver = { message: (bytes: Uint8Array) => this.#receive(bytes), overrun() {}, failed() {} }
    this.#connection = open(NETLINK_ROUTE, receiver, { onlyAnswers: true })
  }

  /** True too when the kernel does not answer for one of them. Throws system errors. */
  hasChanged(links: readonly LinkInfo[]): boolean {
    this.#seen.clear()
    if (links.length === 0) return false
    this.#connection.send(this.#requestFor(links.map(({ index }) => index)))
    return links.some(link => {
      const seen = this.#seen.get(link.index)
      return seen === undefined || differs(link, seen)
    })
  }

  close(): void {
    this.#connection.close()
  }

  #requestFor(indices: number[]): Uint8Array {
    const { of, bytes } = this.#request
    if (of.length === indices.length && of.every((index, i) => index === indices[i])) return bytes
    const header = { type: RTM.getLink, flags: NLM_F_REQUEST, sequence: 1 }
    // Its length is a multiple of four: the next message may follow.
    const requests = indices.map(index => encodeMessage(header, linkRequest(index)))
    this.#request = { of: indices, bytes: Buffer.concat(requests) }
    return this.#request.bytes
  }

  #receive(bytes: Uint8Array): void {
    let read = this.#read.find(before => Buffer.compare(before.bytes, bytes) === 0)
    if (!read) {
      read = { bytes, links: linksIn(bytes) }
      this.#read = [read, ...this.#read.slice(0, READ_KEPT - 1)]
    }
    for (const link of read.links) this.#seen.set(link.index, link)
  }
}

/** More than one has interfaces to look at. */
const READ_KEPT = 4

/** None in what cannot be read. */
function linksIn(bytes: Uint8Array): LinkInfo[] {
  try {
    return decodeMessages(bytes).flatMap(message => {
      const said = decodeRtnetlink(message)
      return said?.type === 'link' && !said.gone ? [said.link] : []
    })
  } catch (error) {
    if (error instanceof WireError) return []
    throw error
  }
}

/** In what a lost carrier shows. */
export function differs(before: LinkInfo | undefined, now: LinkInfo): boolean {
  return before === undefined || before.carrier !== now.carrier || before.flags !== now.flags
}
