/**
 * One port of ours, listened on over each access: a socket for each interface and family, bound to the device, so that what
 * is answered leaves by the interface that it came by, whatever the routes prefer. An interface may come and go.
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
import type { AccessConfig } from '../network/access-links.js'
import type { NetworkState } from '../network/link-monitor.js'

export interface AccessListenerOptions {
  accesses: Record<AccessType, AccessConfig>
  backlog: number
  /** A connection, the addon's. */
  accept(fd: number, access: AccessType): void
  /** What accept(2) says: EMFILE, for example. It is tried again. */
  failed(error: Error): void
}

interface Open {
  fd: number
  access: AccessType
  index: number
  wait: Wait
}

/** After accept(2) has failed for lack of something, milliseconds. */
const RETRY = 100
const FAMILIES = [4, 6] as const

export class AccessListener {
  readonly #options: AccessListenerOptions
  readonly #open: Open[] = []
  readonly #retries = new Set<NodeJS.Timeout>()
  #port = 0
  #ref = true
  /** What the sockets speak. */
  protocol: Protocol | undefined

  constructor(options: AccessListenerOptions) {
    this.#options = options
  }

  get port(): number {
    return this.#port
  }

  /** Listens on the interfaces that there are. @throws system errors; ENODEV when there is none of them */
  open(port: number, state: NetworkState): void {
    this.#port = port
    try {
      this.follow(state)
    } catch (error) {
      this.close()
      throw error
    }
    if (this.#open.length === 0) throw listenError(-constants.errno.ENODEV, this.#names, 0)
  }

  /** An interface that comes back is another one to the kernel. */
  follow({ links }: NetworkState): void {
    for (const access of BOTH) {
      const name = this.#options.accesses[access].interface
      const index = [...links.values()].find(link => link.name === name)?.index
      for (const gone of this.#open.filter(each => each.access === access && each.index !== index)) this.#end(gone)
      if (index === undefined || this.#open.some(each => each.access === access)) continue
      for (const family of FAMILIES) this.#listen(access, name, index, family)
    }
  }

  ref(on: boolean): void {
    this.#ref = on
    for (const each of this.#open) {
      each.wait.cancel()
      each.wait = this.#watch(each)
    }
  }

  close(): void {
    for (const timer of this.#retries) clearTimeout(timer)
    for (const each of [...this.#open]) this.#end(each)
  }

  #listen(access: AccessType, name: string, index: number, family: 4 | 6): void {
    const addon = native()
    let opened: { fd: number; protocol: Protocol }
    try {
      opened = openProtocol(family, 'prefer')
    } catch (error) {
      if (family === 6 && (error as SystemError).code === 'EAFNOSUPPORT') return
      throw error
    }
    const { fd, protocol } = opened
    try {
      addon.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, int(1))
      addon.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, Buffer.from(`${name}\0`))
      if (family === 6) addon.setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, int(1))
      // Where the kernel cannot, the converter sends its message after the handshake.
      takeSynData(fd, this.#options.backlog)
      addon.bind(fd, family === 4 ? '0.0.0.0' : '::', this.#port)
      addon.listen(fd, this.#options.backlog)
    } catch (error) {
      addon.close(fd)
      const { errno } = error as SystemError
      throw errno === undefined ? error : listenError(errno, family === 4 ? '0.0.0.0' : '::', this.#port)
    }
    this.protocol = protocol
    if (this.#port === 0) this.#port = addon.getsockname(fd).port
    const open: Omit<Open, 'wait'> = { fd, access, index }
    this.#open.push({ ...open, wait: this.#watch(open) })
  }

  #watch({ fd, access }: Omit<Open, 'wait'>): Wait {
    return reactor().watchEdges(fd, EPOLLIN, () => this.#accept(fd, access), { ref: this.#ref })
  }

  /** Until nobody waits: of the ones that do there will be no other edge. */
  #accept(fd: number, access: AccessType): void {
    while (this.#open.some(each => each.fd === fd))
      try {
        const accepted = native().accept(fd)
        if (accepted === undefined) return
        this.#options.accept(accepted, access)
      } catch (error) {
        if ((error as SystemError).code === 'ECONNABORTED') continue // it had gone before it was accepted
        this.#options.failed(error as Error)
        const timer = setTimeout(() => {
          this.#retries.delete(timer)
          this.#accept(fd, access)
        }, RETRY).unref()
        this.#retries.add(timer)
        return
      }
  }

  #end(open: Open): void {
    this.#open.splice(this.#open.indexOf(open), 1)
    open.wait.cancel()
    native().close(open.fd)
  }

  get #names(): string {
    return BOTH.map(access => this.#options.accesses[access].interface).join(' or ')
  }
}
