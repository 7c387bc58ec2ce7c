/**
 * The userspace path manager by way of the steering helper (native/helper): for programs without CAP_NET_ADMIN. Each command brings
 * the MPTCP socket itself, which proves whose connection it is.
 */
import { constants } from 'node:os'
import { AtsssError, type SystemError, systemError } from '../../errors.js'
import { emitToApplication } from '../../input/application.js'
import { decodeGeneric } from '../../wire/netlink/generic.js'
import { decodeEvent, type MptcpEvent, type PmArguments, type PmCommand } from '../../wire/netlink/mptcp-pm.js'
import {
  decodeHelperCookie,
  decodeHelperReplies,
  encodeHelperRequest,
  HELPER_DATAGRAM_MAX,
  HELPER_REQUESTS_MAX,
  type HelperCommand,
  type HelperReply,
} from '../../wire/netlink/steering-helper.js'
import { EPOLLIN, SO_NETNS_COOKIE, SOL_SOCKET } from '../kernel/constants.js'
import { native } from '../kernel/native.js'
import { reactor } from '../kernel/reactor.js'
import type { NetlinkError } from './netlink.js'
import { pmName, SubflowCommands } from './subflow-commands.js'

/** Where the helper listens if the administrator has chosen nothing else. */
export const HELPER_SOCKET = '/run/atsss/helper.sock'

/** How long an answer may take, in milliseconds. The helper does one thing at a time for each client, and most take 50 µs. */
const ANSWER_MS = 2_000
/** How many requests may be without an answer: those behind wait here. A Unix socket has room for some 80 datagrams of these. */
const WINDOW = 512
/** include/uapi/asm-generic/errno.h; Node has no name for it. */
const ETOOMANYREFS = 109
/** Before the helper is tried again, in milliseconds: the first time, and at most. */
const RETRY_MS = { first: 20, most: 5_000 }

export interface SteeringHelperOptions {
  /** Milliseconds. @defaultValue 2000 */
  timeout?: number
  random?: () => number
}

/**
 * Resolves once the helper has answered. Rejects with a system error of `connect` (ENOENT: there is none; EACCES: this user may not
 * use it), or `ERR_ATSSS_HELPER`: it refuses this program, is of another version or namespace, or does not answer.
 */
export async function openSteeringHelper(path: string, options: SteeringHelperOptions = {}): Promise<SteeringHelper> {
  const link = await HelperLink.open(path, options.timeout ?? ANSWER_MS)
  return new SteeringHelper(path, link, options)
}

/** `away` when the helper has gone: it is tried again until it is `back`. What was requested meanwhile is rejected. */
export class SteeringHelper extends SubflowCommands {
  readonly path: string
  readonly #timeout: number
  readonly #random: () => number
  /** By token. */
  readonly #sockets = new Map<number, number>()
  readonly #refused = new Set<string>()
  #link: HelperLink | undefined
  #retry: NodeJS.Timeout | undefined
  #failures = 0
  #isClosed = false

  /** @internal use `openSteeringHelper` */
  constructor(path: string, link: HelperLink, { timeout = ANSWER_MS, random = Math.random }: SteeringHelperOptions) {
    super()
    this.path = path
    this.#timeout = timeout
    this.#random = random
    this.#use(link)
  }

  override get isReachable(): boolean {
    return this.#link !== undefined
  }

  override watch(token: number, fd: number): void {
    this.#sockets.set(token, fd)
    this.#tellToWatch(token, fd)
  }

  override forget(token: number): void {
    if (!this.#sockets.delete(token)) return
    this.#link?.request('forget', { token }).catch(() => {})
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#retry)
    this.#link?.close()
    this.#link = undefined
  }

  protected async request(command: PmCommand, given: PmArguments): Promise<void> {
    const fd = this.#sockets.get(given.token ?? 0)
    // As the kernel says of a connection that has ended.
    if (fd === undefined) throw systemError(constants.errno.ESRCH, pmName(command))
    if (!this.#link) throw new AtsssError('ERR_ATSSS_HELPER', `${pmName(command)}: the steering helper is away`)
    try {
      await this.#link.request(command as HelperCommand, given, fd)
    } catch (error) {
      if (isOfEndedSocket(error)) throw systemError(constants.errno.ESRCH, pmName(command))
      this.#noteRefusal(error as Error)
      throw error
    }
  }

  #use(link: HelperLink): void {
    this.#link = link
    link.onEvent = event => emitToApplication(this, 'event', event)
    link.onOverrun = () => {
      this.#watchAll()
      emitToApplication(this, 'overrun')
    }
    link.onEnd = why => this.#lost(why)
  }

  #lost(why: string): void {
    this.#link = undefined
    if (this.#isClosed) return
    this.#tryAgain()
    emitToApplication(this, 'away', why)
  }

  #tryAgain(): void {
    const pause = Math.min(RETRY_MS.first * 2 ** this.#failures++, RETRY_MS.most)
    this.#retry = setTimeout(() => void this.#reconnect(), pause * (0.5 + this.#random()))
    this.#retry.unref()
  }

  async #reconnect(): Promise<void> {
    let link: HelperLink
    try {
      link = await HelperLink.open(this.path, this.#timeout)
    } catch {
      if (!this.#isClosed) this.#tryAgain()
      return
    }
    if (this.#isClosed) return link.close()
    this.#failures = 0
    this.#use(link)
    this.#watchAll()
    emitToApplication(this, 'back')
  }

  #watchAll(): void {
    for (const [token, fd] of this.#sockets) this.#tellToWatch(token, fd)
  }

  #tellToWatch(token: number, fd: number): void {
    this.#link?.request('watch', { token }, fd).catch((error: Error) => this.#noteRefusal(error))
  }

  #noteRefusal(error: Error): void {
    const { refusal, message } = error as HelperRefusal
    if (refusal === undefined || isOfEndedSocket(error) || this.#refused.has(refusal)) return
    this.#refused.add(refusal)
    emitToApplication(this, 'refused', message)
  }
}

/** A socket may be closed, and its number be another one's, before the helper has seen it: that is no refusal. */
function isOfEndedSocket(error: unknown): boolean {
  const { code, refusal } = error as NodeJS.ErrnoException & { refusal?: string }
  return code === 'EBADF' || (refusal !== undefined && PASSING.has(refusal))
}

const PASSING: ReadonlySet<string> = new Set(['token', 'not-mptcp', 'not-connected', 'no-socket'])

/** Its `code` is `ERR_ATSSS_HELPER`. */
interface HelperRefusal extends AtsssError {
  /** The helper's own code: native/helper/refusal.h. */
  refusal?: string
}

interface Pending {
  command: HelperCommand
  sequence: number
  bytes: Uint8Array
  /** -1: none is passed. */
  fd: number
  resolve: (payload: Uint8Array) => void
  reject: (error: Error) => void
}

/** One connection to the helper. */
class HelperLink {
  onEvent: (event: MptcpEvent) => void = () => {}
  onOverrun: () => void = () => {}
  /** Not called by `close`. */
  onEnd: (why: string) => void = () => {}
  readonly #fd: number
  readonly #wait: { cancel(): void }
  readonly #timeout: number
  readonly #waiting: Pending[] = []
  /** By sequence number, in the order in which they were sent. */
  readonly #sent = new Map<number, Pending>()
  #sequence = 0
  #isTurnDue = false
  /** So many of those that wait are sent one by one: the datagram with all of them was refused for one. */
  #single = 0
  #endedBecause: string | undefined
  #overdue: NodeJS.Timeout | undefined
  #isOpen = true

  /** Rejects as `openSteeringHelper`. */
  static async open(path: string, timeout: number): Promise<HelperLink> {
    const link = new HelperLink(path, timeout)
    reactor().hold() // nothing else may keep the process until the helper has answered
    try {
      const cookie = decodeHelperCookie(await link.request('hello'))
      if (cookie !== link.#namespaceCookie())
        throw new AtsssError(
          'ERR_ATSSS_HELPER',
          `the steering helper at ${path} is in another network namespace than this program: each namespace needs its own`,
        )
      return link
    } catch (error) {
      link.close()
      const why = link.#endedBecause
      if (why === undefined || (error as AtsssError).code === 'ERR_ATSSS_HELPER') throw error
      throw new AtsssError('ERR_ATSSS_HELPER', `the steering helper at ${path} cannot be used: ${why}`)
    } finally {
      reactor().letGo()
    }
  }

  private constructor(path: string, timeout: number) {
    const addon = native()
    this.#timeout = timeout
    this.#fd = addon.packetSocket()
    try {
      addon.connectToPath(this.#fd, path)
      this.#wait = reactor().watchEdges(this.#fd, EPOLLIN, () => this.#turn(), { ref: false })
    } catch (error) {
      addon.close(this.#fd)
      if ((error as SystemError).syscall === 'connect') (error as SystemError).message += ` ${path}`
      throw error
    }
  }

  /**
   * What is requested in one turn leaves together: on a busy machine each datagram costs two switches between processes. Rejects with a
   * `NetlinkError` if the kernel refuses, with a `HelperRefusal` if the helper does, with a RangeError for what is not an address.
   */
  request(command: HelperCommand, given: PmArguments = {}, fd = -1): Promise<Uint8Array> {
    if (!this.#isOpen) return Promise.reject(systemError(constants.errno.ETIMEDOUT, pmName(command)))
    return new Promise((resolve, reject) => {
      const sequence = (this.#sequence % 0xffff_ffff) + 1
      const bytes = encodeHelperRequest(command, sequence, given)
      this.#sequence = sequence
      this.#waiting.push({ command, sequence, bytes, fd, resolve, reject })
      if (this.#isTurnDue) return
      this.#isTurnDue = true
      queueMicrotask(() => this.#turn())
    })
  }

  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    clearTimeout(this.#overdue)
    this.#wait.cancel()
    native().close(this.#fd)
    // The answer is lost, and it may have been done.
    for (const { command, reject } of [...this.#sent.values(), ...this.#waiting.splice(0)])
      reject(systemError(constants.errno.ETIMEDOUT, pmName(command)))
    this.#sent.clear()
  }

  /**
   * Receives until there is nothing, then sends what there is room for. Each answer makes room, so answers are all that is waited for:
   * EPOLLOUT would be reported for every request that the helper takes.
   */
  #turn(): void {
    this.#isTurnDue = false
    if (!this.#isOpen) return
    try {
      this.#receive()
      while (this.#isOpen && this.#waiting.length > 0 && this.#sent.size < WINDOW) if (!this.#sendNext()) break
    } catch (error) {
      this.#end((error as Error).message)
    }
  }

  #receive(): void {
    while (this.#isOpen) {
      const bytes = native().receiveDatagram(this.#fd, HELPER_DATAGRAM_MAX)
      if (bytes === undefined) return
      if (bytes.length === 0) return this.#end('it has ended')
      for (const reply of decodeHelperReplies(bytes)) if (this.#isOpen) this.#take(reply)
    }
  }

  /** @returns false if there is no room */
  #sendNext(): boolean {
    const count = this.#single > 0 ? 1 : Math.min(HELPER_REQUESTS_MAX, WINDOW - this.#sent.size)
    const next = this.#waiting.slice(0, count)
    try {
      const fds = Int32Array.from(next.filter(({ fd }) => fd >= 0).map(({ fd }) => fd))
      if (!native().sendDatagram(this.#fd, Buffer.concat(next.map(({ bytes }) => bytes)), fds)) return false
    } catch (error) {
      const { code, errno } = error as SystemError
      if (code === 'EPIPE' || code === 'ECONNRESET') {
        this.#receive() // why it has closed the connection
        throw error
      }
      // The user has as many descriptors on their way as may be open: the helper takes some of them.
      if (errno === -ETOOMANYREFS && this.#sent.size > 0) return false
      // EBADF: one of the sockets was closed meanwhile.
      this.#single = next.length === 1 ? Math.max(0, this.#single - 1) : next.length
      if (next.length === 1) this.#waiting.shift()!.reject(error as Error)
      return true
    }
    this.#single = Math.max(0, this.#single - 1)
    for (const one of this.#waiting.splice(0, next.length)) this.#sent.set(one.sequence, one)
    const { sequence } = next[0]!
    this.#overdue ??= setTimeout(() => this.#checkAnswers(sequence), this.#timeout).unref()
    return true
  }

  /** @param sequence the oldest request that had no answer when the time began */
  #checkAnswers(sequence: number): void {
    this.#overdue = undefined
    if (this.#sent.has(sequence)) return this.#end(`it has not answered for ${this.#timeout} ms`)
    const [oldest] = this.#sent.keys()
    if (oldest !== undefined) this.#overdue = setTimeout(() => this.#checkAnswers(oldest), this.#timeout).unref()
  }

  #take(reply: HelperReply): void {
    if (reply.kind === 'event') return this.#takeEvent(reply.payload)
    if (reply.kind === 'overrun') return this.onOverrun()
    if (reply.kind === 'refusal' && reply.sequence === 0) {
      const error = refusalOf('this program', reply)
      for (const { reject } of [...this.#sent.values(), ...this.#waiting.splice(0)]) reject(error)
      this.#sent.clear()
      return this.#end(error.message)
    }
    const pending = this.#sent.get(reply.sequence)
    if (!pending) return
    this.#sent.delete(reply.sequence)
    const name = pmName(pending.command)
    if (reply.kind === 'refusal') pending.reject(refusalOf(name, reply))
    else if (reply.errno === 0) pending.resolve(reply.payload)
    else pending.reject(kernelError(reply.errno, name, Buffer.from(reply.payload).toString()))
  }

  #takeEvent(payload: Uint8Array): void {
    let event: MptcpEvent
    try {
      event = decodeEvent(decodeGeneric(payload))
    } catch {
      // An event that cannot be read counts as lost.
      return this.onOverrun()
    }
    this.onEvent(event)
  }

  #end(why: string): void {
    if (!this.#isOpen) return
    this.#endedBecause = why
    this.close()
    this.onEnd(why)
  }

  #namespaceCookie(): bigint {
    return decodeHelperCookie(native().getsockopt(this.#fd, SOL_SOCKET, SO_NETNS_COOKIE, 8))
  }
}

function refusalOf(what: string, { code, sentence }: { code: string; sentence: string }): HelperRefusal {
  const error = new AtsssError('ERR_ATSSS_HELPER', `The steering helper refuses ${what}: ${sentence} (${code})`)
  return Object.assign(error, { refusal: code })
}

function kernelError(errno: number, name: string, words: string): NetlinkError {
  const error = Object.assign(systemError(errno, name), { kernelMessage: words === '' ? undefined : words })
  if (words !== '') error.message += `: ${words}`
  return error
}
