/**
 * Talking with the kernel over netlink: connections that carry datagrams, and a client that asks and dumps over one.
 * A connection either asks or listens to multicast groups: so no flood of events can push an answer out of the queue.
 */
import { constants } from 'node:os'
import { type SystemError, systemError } from '../../errors.js'
import {
  decodeAcknowledgement,
  decodeMessages,
  encodeMessage,
  type NetlinkMessage,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_MIN_TYPE,
} from '../../wire/netlink/message.js'
import { int, SOL_SOCKET } from '../kernel/constants.js'
import { native } from '../kernel/native.js'
import { reactor } from '../kernel/reactor.js'

export interface NetlinkReceiver {
  /** One datagram from the kernel. */
  message(bytes: Uint8Array): void
  /** Datagrams were lost for want of room (ENOBUFS): what was known from them must be read again. */
  overrun(): void
  /** Nothing more will come. */
  failed(error: Error): void
}

export interface NetlinkConnection {
  /** One datagram. What the kernel answers has mostly been received when this returns. Throws system errors. */
  send(bytes: Uint8Array): void
  close(): void
}

export interface NetlinkGroups {
  /** As `bind` takes them, which needs no privilege: routing netlink's. */
  bitmap?: number
  /** One group of a generic family by its number. EPERM where listening needs CAP_NET_ADMIN. */
  number?: number
  /** Nothing is received but what is there when `send` returns; nobody is woken for it. */
  onlyAnswers?: boolean
}

/** Tests give a kernel of their own: a function from requests to answers. */
export type OpenNetlink = (protocol: number, receiver: NetlinkReceiver, groups?: NetlinkGroups) => NetlinkConnection

export const NETLINK_ROUTE = 0
export const NETLINK_GENERIC = 16

/** The real thing. It does not keep the event loop alive. Throws system errors. */
export const openNetlink: OpenNetlink = (protocol, receiver, groups = {}) => {
  const addon = native()
  const fd = addon.netlinkSocket(protocol, groups.bitmap ?? 0)
  let open = true
  const drain = () => {
    while (open) {
      try {
        const datagram = addon.receiveNetlink(fd)
        if (datagram === undefined) return
        receiver.message(datagram)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOBUFS') return receiver.failed(error as Error)
        receiver.overrun()
      }
    }
  }
  try {
    prepare(fd, groups)
    const wait = groups.onlyAnswers ? undefined : reactor().watchEdges(fd, EPOLLIN, drain, { ref: false })
    return {
      send(bytes) {
        addon.sendNetlink(fd, bytes)
        drain()
      },
      close() {
        if (!open) return
        open = false
        wait?.cancel()
        addon.close(fd)
      },
    }
  } catch (error) {
    addon.close(fd)
    throw error
  }
}

function prepare(fd: number, { bitmap, number }: NetlinkGroups): void {
  const addon = native()
  const set = (level: number, name: number, value: number) => addon.setsockopt(fd, level, name, int(value))
  // Words with errors (4.12), and not the whole request with each of them (4.3): older kernels do without.
  for (const option of [NETLINK_EXT_ACK, NETLINK_CAP_ACK]) attempt(() => set(SOL_NETLINK, option, 1))
  if (number !== undefined) set(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, number)
  if (bitmap === undefined && number === undefined) return
  // Beyond net.core.rmem_max only with CAP_NET_ADMIN.
  if (!attempt(() => set(SOL_SOCKET, SO_RCVBUFFORCE, EVENT_BUFFER))) set(SOL_SOCKET, SO_RCVBUF, EVENT_BUFFER)
}

function attempt(call: () => void): boolean {
  try {
    call()
    return true
  } catch {
    return false
  }
}

const EPOLLIN = 1
const SO_RCVBUF = 8
const SO_RCVBUFFORCE = 33
const SOL_NETLINK = 270
const NETLINK_ADD_MEMBERSHIP = 1
const NETLINK_CAP_ACK = 10
const NETLINK_EXT_ACK = 11
/** Bytes, which the kernel doubles: some thousand events, while the event loop is busy. */
const EVENT_BUFFER = 2 ** 20

/** Answers come at once; this is for a kernel that never does. Milliseconds. */
export const NETLINK_TIMEOUT = 2000
/** How often a dump is begun anew when what it dumps has changed meanwhile. */
const DUMP_ATTEMPTS = 5

export interface NetlinkClientOptions {
  /** @defaultValue the kernel */
  open?: OpenNetlink
  /** Milliseconds. @defaultValue 2000 */
  timeout?: number
}

interface Pending {
  what: string
  answers: NetlinkMessage[]
  interrupted: boolean
  resolve: (answers: NetlinkMessage[] | 'interrupted') => void
  reject: (error: Error) => void
}

/** `syscall` is what the caller calls the request. */
export interface NetlinkError extends SystemError {
  /** The kernel's own words (NLMSGERR_ATTR_MSG), which are in the message too: for EINVAL they may tell its causes apart. */
  kernelMessage: string | undefined
}

/** Requests and dumps. What the kernel refuses rejects with a `NetlinkError`, anything else with a system error. */
export class NetlinkClient {
  readonly #connection: NetlinkConnection
  readonly #timeout: number
  readonly #pending = new Map<number, Pending>()
  #sequence = 0
  #lastDump: Promise<unknown> = Promise.resolve()

  /** Throws system errors. */
  constructor(protocol: number, { open = openNetlink, timeout = NETLINK_TIMEOUT }: NetlinkClientOptions = {}) {
    this.#timeout = timeout
    this.#connection = open(protocol, {
      message: bytes => this.#receive(bytes),
      // An answer may be among what was lost.
      overrun: () => this.#rejectAll(what => systemError(constants.errno.ENOBUFS, what)),
      failed: error => this.#rejectAll(() => error),
    })
  }

  /** Resolves with what came before the kernel's acknowledgement. */
  async request(type: number, payload: Uint8Array, what: string): Promise<NetlinkMessage[]> {
    return (await this.#exchange(type, NLM_F_REQUEST | NLM_F_ACK, payload, what)) as NetlinkMessage[]
  }

  /** Resolves with all parts, of one consistent state. EINTR: it kept changing. */
  dump(type: number, payload: Uint8Array, what: string): Promise<NetlinkMessage[]> {
    // The kernel does one at a time for a socket, else EBUSY.
    const dumped = this.#lastDump.then(() => this.#dump(type, payload, what))
    this.#lastDump = dumped.catch(() => {})
    return dumped
  }

  close(): void {
    this.#connection.close()
    this.#rejectAll(what => systemError(constants.errno.ECANCELED, what))
  }

  async #dump(type: number, payload: Uint8Array, what: string): Promise<NetlinkMessage[]> {
    for (let i = 0; i < DUMP_ATTEMPTS; i++) {
      const answers = await this.#exchange(type, NLM_F_REQUEST | NLM_F_DUMP, payload, what)
      if (answers !== 'interrupted') return answers
    }
    throw systemError(constants.errno.EINTR, what)
  }

  #exchange(type: number, flags: number, payload: Uint8Array, what: string): Promise<NetlinkMessage[] | 'interrupted'> {
    this.#sequence = (this.#sequence % 0xffff_ffff) + 1
    const sequence = this.#sequence
    return new Promise((resolve, reject) => {
      this.#pending.set(sequence, { what, answers: [], interrupted: false, resolve, reject })
      try {
        this.#connection.send(encodeMessage({ type, flags, sequence }, payload))
      } catch (error) {
        this.#pending.delete(sequence)
        reject(error)
      }
      const pending = this.#pending.get(sequence)
      if (pending === undefined) return
      const timer = setTimeout(() => {
        this.#pending.delete(sequence)
        reject(systemError(constants.errno.ETIMEDOUT, what))
      }, this.#timeout)
      pending.resolve = answers => {
        clearTimeout(timer)
        resolve(answers)
      }
      pending.reject = error => {
        clearTimeout(timer)
        reject(error)
      }
    })
  }

  #receive(bytes: Uint8Array): void {
    let messages: NetlinkMessage[]
    try {
      messages = decodeMessages(bytes)
    } catch (error) {
      return this.#rejectAll(() => error as Error)
    }
    for (const message of messages) {
      const pending = this.#pending.get(message.sequence)
      if (pending === undefined) continue // given up meanwhile
      if ((message.flags & NLM_F_DUMP_INTR) !== 0 && message.type !== NLMSG_ERROR) pending.interrupted = true
      if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
        this.#pending.delete(message.sequence)
        settle(pending, message)
      } else if (message.type >= NLMSG_MIN_TYPE) {
        pending.answers.push(message)
      }
    }
  }

  #rejectAll(errorOf: (what: string) => Error): void {
    const all = [...this.#pending.values()]
    this.#pending.clear()
    for (const { what, reject } of all) reject(errorOf(what))
  }
}

function settle(pending: Pending, last: NetlinkMessage): void {
  try {
    const { errno, message, missingAttribute } = decodeAcknowledgement(last)
    if (errno === 0) return pending.resolve(pending.interrupted ? 'interrupted' : pending.answers)
    const error: NetlinkError = Object.assign(systemError(errno, pending.what), { kernelMessage: message })
    const words = message ?? (missingAttribute === undefined ? undefined : `attribute ${missingAttribute} is missing`)
    if (words !== undefined) error.message += `: ${words}`
    pending.reject(error)
  } catch (error) {
    pending.reject(error as Error)
  }
}
