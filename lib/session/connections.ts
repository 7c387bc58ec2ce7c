/** A session's connections: where each goes, under which rule it is, what it has carried. */
import type { AccessType, Rule } from '../policy/rules/rule.js'
import type { Destination } from '../runtime/connect/steerer.js'
import { tokenOf } from '../runtime/kernel/open-socket.js'
import { Sampler } from '../runtime/kernel/sampler.js'
import { Accounts, keyOf } from '../runtime/steering/accounts.js'
import type { MptcpSocket } from '../socket/socket.js'
import type { SessionUpdate } from './events.js'

/** One that is steered. */
interface Live {
  socket: MptcpSocket
  destination: Destination
  rule: Rule | undefined
}

/** Where one began. */
export interface Place {
  destination: Destination
  /** Of its first subflow. */
  access: AccessType | undefined
  /** Without one it is TCP. */
  token: number | undefined
}

export class SessionConnections {
  readonly accounts: Accounts<MptcpSocket>
  /** By token: those that are steered. */
  readonly #live = new Map<number, Live>()
  /** Of all, whatever they speak. */
  readonly #places = new WeakMap<MptcpSocket, Place>()

  constructor() {
    const sampler = new Sampler()
    this.accounts = new Accounts(fds => sampler.sample(fds))
  }

  /** @returns its token; undefined when it is TCP, and cannot be steered */
  add(
    socket: MptcpSocket,
    fd: number,
    destination: Destination,
    access: AccessType | undefined,
    rule: Rule | undefined,
  ): number | undefined {
    const token = tokenOf(fd)
    const { host, port } = destination
    this.#places.set(socket, { destination, access, token })
    this.accounts.add({ socket, host, port, rule, fd, token, access })
    if (token !== undefined) this.#live.set(token, { socket, destination, rule })
    return token
  }

  placeOf(socket: MptcpSocket): Place | undefined {
    return this.#places.get(socket)
  }

  isSteered(token: number | undefined): boolean {
    return token !== undefined && this.#live.has(token)
  }

  socketOf(token: number): MptcpSocket | undefined {
    return this.#live.get(token)?.socket
  }

  /** It is steered no more. @returns whether it has been */
  release(token: number): boolean {
    return this.#live.delete(token)
  }

  /** It has become TCP: counted on, and steered no more. @returns where it goes, unless it has gone already */
  fellBack(token: number): Destination | undefined {
    const live = this.#live.get(token)
    if (!live || !this.#live.delete(token)) return undefined
    this.accounts.fellBack(live.socket)
    return live.destination
  }

  /** Those that are TCP, too: nothing steers them, but what they carry counts as the rules are. @returns those that are under another rule now */
  reassign(ruleOf: (destination: Destination) => Rule | undefined): SessionUpdate['moved'] {
    const moved: SessionUpdate['moved'] = []
    for (const { socket, rule: from } of this.accounts.open) {
      const to = ruleOf(this.#places.get(socket)!.destination)
      if (to?.precedence !== from?.precedence || to?.id !== from?.id) moved.push({ socket, from, to })
      this.accounts.assign(socket, to)
    }
    // One that is closing is counted no more, but steered to its end.
    for (const live of this.#live.values()) live.rule = ruleOf(live.destination)
    return moved
  }

  /** Under which rule each is, by precedence. */
  get assigned(): [token: number, rule: number][] {
    return [...this.#live].map(([token, { rule }]) => [token, keyOf(rule)])
  }
}
