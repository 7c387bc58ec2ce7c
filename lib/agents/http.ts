/** `atsss/http`: agents for http and https, and for the libraries that take them. */
import http from 'node:http'
import https from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { MptcpConnectOptions } from '../socket/socket.js'
import { carry, checkVia, connectVia, reuseBlockedBy, onChange, type Via } from './source.js'

export type { Via } from './source.js'

type Made = (error: Error | null, stream: Duplex) => void

/**
 * An `http.Agent` whose connections go over MPTCP. Idle ones in its pool that no longer fit are closed as soon as rules or
 * accesses change, so that no request is sent into the void; busy ones are steered (`MaPduSession.reuseBlockedBy`).
 *
 * @example
 * http.get('http://example.com/', { agent: new HttpAgent(session) })
 */
export class HttpAgent extends http.Agent {
  readonly #via: Via
  readonly #release: () => void

  /**
   * @param via a session, or the options of `connect()`
   * @param options http.Agent's; `keepAlive` is true if not said otherwise
   * @throws ERR_ATSSS_OPTION
   */
  constructor(via: Via, options: http.AgentOptions = {}) {
    checkVia(via)
    super({ keepAlive: true, ...options })
    this.#via = via
    this.#release = onChange(via, () => retire(this, via))
  }

  override createConnection(options: object): Duplex {
    return connectVia(this.#via, options as MptcpConnectOptions)
  }

  /** What http.Agent asks of a socket whose response has ended: whether to keep it. */
  override keepSocketAlive(socket: Duplex): boolean {
    if (reuseBlockedBy(this.#via, socket as Socket) !== undefined) return false
    return super.keepSocketAlive(socket) as unknown as boolean
  }

  override destroy(): void {
    this.#release()
    super.destroy()
  }
}

/**
 * As {@link HttpAgent}, for https: TLS goes end to end over the MPTCP connection; sessions are resumed as https.Agent does.
 *
 * @example
 * https.get('https://example.com/', { agent: new HttpsAgent(session) })
 */
export class HttpsAgent extends https.Agent {
  readonly #via: Via
  readonly #release: () => void

  /**
   * @param via a session, or the options of `connect()`
   * @param options https.Agent's; `keepAlive` is true if not said otherwise
   * @throws ERR_ATSSS_OPTION
   */
  constructor(via: Via, options: https.AgentOptions = {}) {
    checkVia(via)
    super({ keepAlive: true, ...options })
    this.#via = via
    this.#release = onChange(via, () => retire(this, via))
  }

  override createConnection(options: object, made?: Made): Duplex {
    const socket = connectVia(this.#via, options as MptcpConnectOptions)
    const secure = super.createConnection({ ...options, socket } as never, made) as Socket
    carry(secure, socket)
    return secure
  }

  override keepSocketAlive(socket: Duplex): boolean {
    if (reuseBlockedBy(this.#via, socket as Socket) !== undefined) return false
    return super.keepSocketAlive(socket) as unknown as boolean
  }

  override destroy(): void {
    this.#release()
    super.destroy()
  }
}

function retire({ freeSockets }: http.Agent, via: Via): void {
  for (const sockets of Object.values(freeSockets))
    for (const socket of [...(sockets ?? [])]) if (reuseBlockedBy(via, socket) !== undefined) socket.destroy()
}
