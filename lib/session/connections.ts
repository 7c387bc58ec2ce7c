/** A session's connections: the destination and the rule of each, and what it has carried. */
import type { AccessType, Rule } from '../policy/rules/rule.js'
import type { Destination } from '../runtime/connect/steerer.js'
import { tokenOf } from '../runtime/kernel/open-socket.js'
import { Sampler } from '../runtime/kernel/sampler.js'
import { Accounts } from '../runtime/steering/accounts.js'
import type { MptcpSocket } from '../socket/socket.js'
import type { SessionUpdate } from './events.js'

/** A connection that is steered. */
interface SteeredSocket {
  socket: MptcpSocket
  destination: Destination
  rule: Rule | undefined
}

/** How a connection began. */
export interface Origin {
  destination: Destination
  /** Of its first subflow; undefined: the routing table chose it. */
  access: AccessType | undefined
  /** The kernel's, for an MPTCP connection; undefined for TCP. */
  token: number | undefined
}

export class SessionConnections {
  readonly accounts: Accounts<MptcpSocket>
  readonly #byToken = new Map<number, SteeredSocket>()
  /** Of all connections, TCP and MPTCP. */
  readonly #origins = new WeakMap<MptcpSocket, Origin>()

  constructor() {
    const sampler = new Sampler()
    this.accounts = new Accounts(fds => sampler.sample(fds))
  }

  /**
   * @param isPlain whether it was made as TCP, and has not become it
   * @returns its token; undefined when it is TCP, and cannot be steered
   */
  add(
    socket: MptcpSocket,
    fd: number,
    destination: Destination,
    access: AccessType | undefined,
    rule: Rule | undefined,
    isPlain = false,
  ): number | undefined {
    const token = tokenOf(fd)
    const { host, port } = destination
    this.#origins.set(socket, { destination, access, token })
    this.accounts.add({ socket, host, port, rule, fd, token, access, isPlain })
    if (token !== undefined) this.#byToken.set(token, { socket, destination, rule })
    return token
  }

  originOf(socket: MptcpSocket): Origin | undefined {
    return this.#origins.get(socket)
  }

  isSteered(token: number | undefined): boolean {
    return token !== undefined && this.#byToken.has(token)
  }

  socketOf(token: number): MptcpSocket | undefined {
    return this.#byToken.get(token)?.socket
  }

  /** It has ended, and is no longer steered. */
  release(token: number): void {
    this.#byToken.delete(token)
  }

  /** Its socket has been closed. @returns its token if it was steered until now */
  closed(socket: MptcpSocket): number | undefined {
    const token = this.#origins.get(socket)?.token
    if (token === undefined || this.#byToken.get(token)?.socket !== socket) return undefined
    this.#byToken.delete(token)
    return token
  }

  /** It has become TCP: it stays in the counters, and is no longer steered. @returns its destination, unless it had ended already */
  fellBack(token: number): Destination | undefined {
    const steered = this.#byToken.get(token)
    if (!steered || !this.#byToken.delete(token)) return undefined
    this.accounts.fellBack(steered.socket)
    return steered.destination
  }

  /**
   * Puts every connection under the rule that matches it now. TCP connections too: they are not steered, but what they carry counts
   * under their rule.
   *
   * @returns those whose rule is another one now
   */
  reassign(ruleOf: (destination: Destination) => Rule | undefined): SessionUpdate['moved'] {
    const moved: SessionUpdate['moved'] = []
    for (const { socket, rule: from } of this.accounts.open) {
      const to = ruleOf(this.#origins.get(socket)!.destination)
      if (to?.precedence !== from?.precedence || to?.id !== from?.id) moved.push({ socket, from, to })
      this.accounts.assign(socket, to)
    }
    // One that is closing is no longer counted, but steered to its end.
    for (const steered of this.#byToken.values()) steered.rule = ruleOf(steered.destination)
    return moved
  }

  /** Each steered connection's rule. */
  get assigned(): [token: number, rule: Rule | undefined][] {
    return [...this.#byToken].map(([token, { rule }]) => [token, rule])
  }
}
