/** Whether a few links are still as they were, at the least cost: one request for each, and no thread woken for its answer. */
import { WireError } from '../errors.js'
import { decodeMessages, encodeMessage, NLM_F_REQUEST } from '../wire/netlink.js'
import { decodeRtnetlink, type LinkInfo, linkRequest, RTM } from '../wire/rtnetlink.js'
import { NETLINK_ROUTE, type NetlinkConnection, type OpenNetlink } from './netlink.js'

export class LinkGlimpse {
  readonly #connection: NetlinkConnection
  /** Of the links that the kernel has just described, by their index. */
  readonly #seen = new Map<number, LinkInfo>()
  #sequence = 0

  /** Throws system errors. */
  constructor(open: OpenNetlink) {
    const receiver = { message: (bytes: Uint8Array) => this.#receive(bytes), overrun() {}, failed() {} }
    this.#connection = open(NETLINK_ROUTE, receiver, { onlyAnswers: true })
  }

  /** True too when the kernel does not answer for one of them. Throws system errors. */
  hasChanged(links: readonly LinkInfo[]): boolean {
    this.#seen.clear()
    for (const { index } of links) {
      this.#sequence = (this.#sequence % 0xffff_ffff) + 1
      const header = { type: RTM.getLink, flags: NLM_F_REQUEST, sequence: this.#sequence }
      this.#connection.send(encodeMessage(header, linkRequest(index)))
    }
    return links.some(link => {
      const seen = this.#seen.get(link.index)
      return seen === undefined || differs(link, seen)
    })
  }

  close(): void {
    this.#connection.close()
  }

  #receive(bytes: Uint8Array): void {
    try {
      for (const message of decodeMessages(bytes)) {
        const said = decodeRtnetlink(message)
        if (said?.type === 'link' && !said.gone) this.#seen.set(said.link.index, said.link)
      }
    } catch (error) {
      // What cannot be read is no answer.
      if (!(error instanceof WireError)) throw error
    }
  }
}

/** In what a lost carrier shows. */
export function differs(before: LinkInfo | undefined, now: LinkInfo): boolean {
  return before === undefined || before.carrier !== now.carrier || before.flags !== now.flags
}
