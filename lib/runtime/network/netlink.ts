/**
 * Netlink: connections that carry datagrams to and from the kernel, and a client for requests and dumps over one.
 * A connection either makes requests or listens to multicast groups, so that a flood of events cannot push an answer out of
 * its queue.
 */
import { constants } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { type SystemError, systemError } from '../../errors.js'
import { callApplication } from '../../input/application.js'
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
import { EPOLLIN, int, SO_RCVBUF, SO_RCVBUFFORCE, SOL_SOCKET } from '../kernel/constants.js'
import { native } from '../kernel/native.js'
import { reactor } from '../kernel/reactor.js'
import { isScarcity } from '../kernel/support.js'

/** What one of these throws is its own: it becomes an uncaught exception, and the next datagrams are delivered all the same. */
export interface NetlinkReceiver {
  /** One datagram from the kernel. */
  message(bytes: Uint8Array): void
  /** The receive buffer was full, and datagrams were lost (ENOBUFS): read again what they may have said. */
  overrun(): void
  /** Nothing more will come. */
  failed(error: Error): void
}

export interface NetlinkConnection {
  /**
   * Sends one datagram. The kernel's answer has mostly been received when this returns. Throws system errors; EBADF once the
   * connection is closed.
   */
  send(bytes: Uint8Array): void
  close(): void
}

export interface NetlinkGroups {
  /** Groups of routing netlink, as a bitmap for `bind`. Needs no privilege. */
  bitmap?: number
  /** One group of a generic family, by its number. EPERM if listening to it needs CAP_NET_ADMIN. */
  number?: number
  /** Only receives what has arrived when `send` returns, and wakes no thread. */
  onlyAnswers?: boolean
}

/** Tests replace the kernel by a function from requests to answers. */
export type OpenNetlink = (protocol: number, receiver: NetlinkReceiver, groups?: NetlinkGroups) => NetlinkConnection

export const NETLINK_ROUTE = 0
export const NETLINK_GENERIC = 16

/** Opens a netlink socket, which does not keep the event loop alive. Throws system errors. */
export const openNetlink: OpenNetlink = (protocol, receiver, groups = {}) => {
  const addon = native()
  const fd = openSocket(protocol, groups.bitmap ?? 0)
  let open = true
  const message = receiver.message.bind(receiver)
  const overrun = receiver.overrun.bind(receiver)
  const failed = receiver.failed.bind(receiver)
  // Edges are reported once, so the socket is read until it is empty, whatever the receiver throws.
  const drain = () => {
    while (open) {
      let datagram: Uint8Array | undefined
      try {
        datagram = addon.receiveNetlink(fd)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOBUFS') return void callApplication(failed, error as Error)
        callApplication(overrun)
        continue
      }
      if (datagram === undefined) return
      callApplication(message, datagram)
    }
  }
  try {
    prepare(fd, groups)
    const wait = groups.onlyAnswers ? undefined : reactor().watchEdges(fd, EPOLLIN, drain, { ref: false })
    return {
      send(bytes) {
        // The number may be another socket's by now.
        if (!open) throw systemError(constants.errno.EBADF, 'sendto')
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

function openSocket(protocol: number, groups: number): number {
  try {
    return native().netlinkSocket(protocol, groups)
  } catch (error) {
    if (!isScarcity(error as SystemError)) (error as SystemError).message += FORBIDDEN
    throw error
  }
}

/** A sandbox refuses with an errno of its choice. Without IPv4 the kernel has netlink all the same. */
const FORBIDDEN =
  ': this process may not open netlink sockets, by which links and subflows are watched and changed: allow AF_NETLINK (systemd: add it to RestrictAddressFamilies=; containers: to the seccomp profile)'

function prepare(fd: number, { bitmap, number }: NetlinkGroups): void {
  const addon = native()
  const set = (level: number, name: number, value: number) => addon.setsockopt(fd, level, name, int(value))
  // Error messages in words (Linux 4.12), without a copy of the whole request (4.3). Older kernels refuse both.
  for (const option of [NETLINK_EXT_ACK, NETLINK_CAP_ACK]) attempt(() => set(SOL_NETLINK, option, 1))
  if (number !== undefined) set(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, number)
  if (bitmap === undefined && number === undefined) return
  // SO_RCVBUFFORCE goes beyond net.core.rmem_max, and needs CAP_NET_ADMIN.
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

const SOL_NETLINK = 270
const NETLINK_ADD_MEMBERSHIP = 1
const NETLINK_CAP_ACK = 10
const NETLINK_EXT_ACK = 11
/** In bytes, which the kernel doubles: room for some thousand events while the event loop is busy. */
const EVENT_BUFFER = 2 ** 20

/** How long to wait for an answer, in milliseconds. The kernel mostly answers at once. */
export const NETLINK_TIMEOUT = 2000
/**
 * How long to wait before a dump is started again, in milliseconds, if what it reads has changed meanwhile or parts of it were lost.
 * Interfaces may come by the hundred, as when containers start.
 */
const DUMP_PAUSES = [0, 0, 0, 5, 10, 20, 40, 80, 160]

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

/** Its `syscall` is the name that the caller gave to the request. */
export interface NetlinkError extends SystemError {
  /** The kernel's explanation (NLMSGERR_ATTR_MSG), which `message` contains too. It tells the causes of EINVAL apart. */
  kernelMessage: string | undefined
}

/** Requests and dumps. They reject with a `NetlinkError` if the kernel refuses, with another system error otherwise. */
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
      // The lost datagrams may have been answers.
      overrun: () => this.#rejectAll(what => systemError(constants.errno.ENOBUFS, what)),
      failed: error => this.#rejectAll(() => error),
    })
  }

  /** Resolves with the messages that precede the kernel's acknowledgement. */
  async request(type: number, payload: Uint8Array, what: string): Promise<NetlinkMessage[]> {
    return (await this.#exchange(type, NLM_F_REQUEST | NLM_F_ACK, payload, what)) as NetlinkMessage[]
  }

  /** Resolves with all parts of one consistent state. Rejects with EINTR if the state kept changing. */
  dump(type: number, payload: Uint8Array, what: string): Promise<NetlinkMessage[]> {
    // The kernel allows one dump at a time for each socket (EBUSY).
    const dumped = this.#lastDump.then(() => this.#dump(type, payload, what))
    this.#lastDump = dumped.catch(() => {})
    return dumped
  }

  close(): void {
    this.#connection.close()
    this.#rejectAll(what => systemError(constants.errno.ECANCELED, what))
  }

  async #dump(type: number, payload: Uint8Array, what: string): Promise<NetlinkMessage[]> {
    for (const pause of [...DUMP_PAUSES, undefined]) {
      const answers = await this.#tryDump(type, payload, what, pause === undefined)
      if (answers !== 'interrupted') return answers
      if (pause !== undefined && pause > 0) await delay(pause, undefined, { ref: false })
    }
    throw systemError(constants.errno.EINTR, what)
  }

  async #tryDump(
    type: number,
    payload: Uint8Array,
    what: string,
    isLast: boolean,
  ): Promise<NetlinkMessage[] | 'interrupted'> {
    try {
      return await this.#exchange(type, NLM_F_REQUEST | NLM_F_DUMP, payload, what)
    } catch (error) {
      if (isLast || (error as SystemError).code !== 'ENOBUFS') throw error
      return 'interrupted'
    }
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
      if (pending === undefined) continue // it has timed out
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
