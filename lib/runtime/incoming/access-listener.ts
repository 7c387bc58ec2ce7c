/**
 * Listens on one port over each access, with one socket for each interface and IP version. Each is bound to its device, so that
 * answers leave by the interface on which the request arrived, whatever the routes prefer. Interfaces may come and go.
 */
import { constants } from 'node:os'
import type { SystemError } from '../../errors.js'
import type { AccessType } from '../../policy/rules/rule.js'
import { BOTH } from '../../policy/steering/accesses.js'
import { EPOLLIN, IPV6_V6ONLY, int, SO_BINDTODEVICE, SO_REUSEADDR, SOL_IPV6, SOL_SOCKET } from '../kernel/constants.js'
import { takeSynData } from '../kernel/fast-open.js'
import { listenError } from '../kernel/listen-socket.js'
import { native } from '../kernel/native.js'
import { openProtocol, type Protocol } from '../kernel/open-socket.js'
import { reactor, type Wait } from '../kernel/reactor.js'
import { type AccessConfig, AccessLinks } from '../network/access-links.js'
import { linkNamed, type NetworkState } from '../network/link-monitor.js'

export interface AccessListenerOptions {
  accesses: Readonly<Record<AccessType, AccessConfig>>
  backlog: number
  /** Whether to take the data of SYNs. */
  fastOpen: boolean
  /** Receives an accepted connection. The addon owns the descriptor. */
  accept(fd: number, access: AccessType): void
  /** Listening on an interface that came up failed, or accept(2) failed, with EMFILE for example. Both are tried again. */
  failed(error: Error): void
}

type Family = 4 | 6

interface Open {
  fd: number
  access: AccessType
  family: Family
  /** The interface's index. */
  index: number
  wait: Wait | undefined
}

/** Milliseconds until the next try after accept(2) failed for lack of a resource. */
const ACCEPT_AGAIN = 100
/** Milliseconds until the next try after listening on an interface failed. Another program may use the port there. */
const LISTEN_AGAIN = 1_000
/** A port that the system chose for one socket may be in use on another interface. */
const PORTS_TO_TRY = 10
const FAMILIES: readonly Family[] = [4, 6]

export class AccessListener {
  readonly #options: AccessListenerOptions
  readonly #open: Open[] = []
  readonly #acceptTimers = new Set<NodeJS.Timeout>()
  #listenTimer: NodeJS.Timeout | undefined
  #state: NetworkState | undefined
  /** IP versions that this system does not have. */
  readonly #missing = new Set<Family>()
  /** What `failed` was last called with because a socket could not be opened: the same failure is reported once. */
  #reported = ''
  #port = 0
  #ref = true
  #isHeld = false
  /** The protocol of the sockets. */
  protocol: Protocol | undefined
  /** Whether this kernel lets these sockets take the data of SYNs. That sysctls allow it is another question. */
  takesSynData = false

  constructor(options: AccessListenerOptions) {
    this.#options = options
  }

  get port(): number {
    return this.#port
  }

  /** Listens on the interfaces that exist. @throws system errors; ENODEV if none of them exists */
  open(port: number, state: NetworkState): void {
    let error: SystemError | undefined
    for (let tries = port === 0 ? PORTS_TO_TRY : 1; tries > 0; tries--) {
      this.#port = port
      this.#state = state
      error = this.#listenWhereMissing()[0]
      if (!error) break
      this.close()
      if (error.code !== 'EADDRINUSE') break
    }
    if (error) throw error
    if (this.#open.length === 0) throw listenError(-constants.errno.ENODEV, this.#names, 0)
    this.#hold()
  }

  /** Follows the interfaces. One that comes back is a new interface to the kernel. */
  follow(state: NetworkState): void {
    this.#state = state
    clearTimeout(this.#listenTimer)
    const errors = this.#listenWhereMissing()
    if (errors.length > 0) this.#listenTimer = setTimeout(() => this.follow(this.#state!), LISTEN_AGAIN).unref()
    const reported = errors.map(({ message }) => message).join()
    if (reported === this.#reported) return
    this.#reported = reported
    for (const error of errors) this.#options.failed(error)
  }

  /** Whether it keeps the process alive, even while none of its interfaces exists. */
  ref(on: boolean): void {
    this.#ref = on
    this.#hold()
  }

  close(): void {
    this.#state = undefined
    this.#hold()
    clearTimeout(this.#listenTimer)
    for (const timer of this.#acceptTimers) clearTimeout(timer)
    this.#acceptTimers.clear()
    for (const each of [...this.#open]) this.#end(each)
  }

  #hold(): void {
    const wanted = this.#ref && this.#state !== undefined
    if (wanted === this.#isHeld) return
    this.#isHeld = wanted
    if (wanted) reactor().hold()
    else reactor().letGo()
  }

  /** Tries every interface and IP version, even if others fail. @returns why listening failed on some */
  #listenWhereMissing(): SystemError[] {
    const errors: SystemError[] = []
    const used = this.#state && new AccessLinks(this.#options.accesses, this.#state).interfaces
    for (const access of BOTH) {
      const { name = '' } = used?.[access] ?? {}
      const index = this.#state && linkNamed(this.#state, name)?.index
      for (const gone of this.#open.filter(each => each.access === access && each.index !== index)) this.#end(gone)
      if (index === undefined) continue
      for (const family of FAMILIES)
        if (!this.#missing.has(family) && !this.#open.some(each => each.access === access && each.family === family))
          try {
            this.#listen(access, name, index, family)
          } catch (error) {
            errors.push(error as SystemError)
          }
    }
    return errors
  }

  #listen(access: AccessType, name: string, index: number, family: Family): void {
    const addon = native()
    let opened: { fd: number; protocol: Protocol }
    try {
      opened = openProtocol(family, 'prefer')
    } catch (error) {
      if (family === 4 || (error as SystemError).code !== 'EAFNOSUPPORT') throw error
      this.#missing.add(family)
      return
    }
    const { fd, protocol } = opened
    try {
      addon.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, int(1))
      addon.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, Buffer.from(`${name}\0`))
      if (family === 6) addon.setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, int(1))
      // If the kernel does not support it, the converter sends its message after the handshake.
      if (this.#options.fastOpen) this.takesSynData = takeSynData(fd, this.#options.backlog)
      addon.bind(fd, family === 4 ? '0.0.0.0' : '::', this.#port)
      addon.listen(fd, this.#options.backlog)
      const open: Open = { fd, access, family, index, wait: undefined }
      open.wait = reactor().watchEdges(fd, EPOLLIN, () => this.#accept(open), { ref: false })
      this.#open.push(open)
    } catch (error) {
      addon.close(fd)
      const { errno } = error as SystemError
      throw errno === undefined ? error : listenError(errno, family === 4 ? '0.0.0.0' : '::', this.#port)
    }
    this.protocol = protocol
    if (this.#port === 0) this.#port = addon.getsockname(fd).port
  }

  /** Accepts all waiting connections: there is no further edge for them. */
  #accept(open: Open): void {
    while (this.#open.includes(open)) {
      let accepted: number | undefined
      try {
        accepted = native().accept(open.fd)
      } catch (error) {
        if ((error as SystemError).code === 'ECONNABORTED') continue // it ended before it was accepted
        const timer = setTimeout(() => {
          this.#acceptTimers.delete(timer)
          this.#accept(open)
        }, ACCEPT_AGAIN).unref()
        this.#acceptTimers.add(timer)
        return this.#options.failed(error as Error)
      }
      if (accepted === undefined) return
      this.#options.accept(accepted, open.access)
    }
  }

  #end(open: Open): void {
    this.#open.splice(this.#open.indexOf(open), 1)
    open.wait?.cancel()
    native().close(open.fd)
  }

  get #names(): string {
    return BOTH.map(access => this.#options.accesses[access].interface).join(' or ')
  }
}
