/**
 * One client's connection from its acceptance to its end: RFC 8803's "transport session entry" (§4.3).
 *
 *   reading ──► dialing ──► confirming ──► relaying ──► closed
 *      └───────────┴────────────┴──► lingering ────────────┘
 *
 * The client is written to only after its handshake is complete and its key is known (`whenWritable`); reading does not wait.
 */
import { isIPv4, type Socket } from 'node:net'
import { clientKey, plainAddress } from '../../input/addresses.js'
import { type ConvertErrorValue, ERROR_CODES, encodeErrorValue } from '../../wire/convert/error.js'
import { encode, type Tlv } from '../../wire/convert/index.js'
import type { Settings } from '../options/settings.js'
import type { Admission, Clients } from '../relay/clients.js'
import { isMptcp, peerOptions, reset, tcpInfo, whenWritable } from '../relay/kernel.js'
import { relay } from '../relay/relay.js'
import { type Place, refusal } from './admission.js'
import { dial } from './dial.js'
import { failureOf } from './failure.js'
import { type NotConvert, type Request, readRequest, type Target } from './request.js'
import { synAckOptions, TCP_OPTION } from './tcp-options.js'

export interface ConnectionInfo {
  /** Counts up from 1 within a converter; with `workers`, within a worker process. */
  readonly id: number
  /** With `workers`: the number of the worker process that has the connection, from 1. */
  readonly worker?: number
  readonly client: Target
  /** The server that was asked for. */
  target?: Target
  state: 'reading' | 'dialing' | 'confirming' | 'relaying' | 'lingering' | 'closed'
  /** What the client's connection is now. */
  protocol: 'mptcp' | 'tcp'
  /** Whether data came with the client's SYN. */
  zeroRtt: boolean
  /** The protocol of the connection to the server, once there is one. */
  serverProtocol?: 'mptcp' | 'tcp'
  /** The Error TLV that was sent, or that the limit on errors held back. */
  error?: { name: ConvertErrorValue['name']; code: number }
  /** Bytes of the application, without the Convert messages. */
  bytes: { fromClient: number; fromServer: number }
  /** Milliseconds since the connection was accepted. */
  times: { message?: number; connected?: number; answered?: number; closed?: number }
}

/** Why a connection ended without an answer from the converter. */
export type Ignored = NotConvert | 'timeout' | 'ended' | 'reset' | 'errors-limited'

/** What a session needs of its converter. The functions are called last, when the session's state is complete. */
export interface Host {
  readonly settings: Settings
  readonly place: Place
  readonly clients: Clients
  /** The setting, or `tcp` where there is no MPTCP. */
  readonly serverProtocol: 'tcp' | 'mptcp'
  readonly worker: number | undefined
  established(info: ConnectionInfo): void
  refused(info: ConnectionInfo, error: ConvertErrorValue): void
  ignored(info: ConnectionInfo, why: Ignored): void
  closed(session: TransportSession): void
}

export class TransportSession {
  readonly info: ConnectionInfo
  readonly #host: Host
  readonly #client: Socket
  readonly #key: string
  readonly #accepted = performance.now()
  #server: Socket | undefined
  #timer: NodeJS.Timeout | undefined
  #stopWaiting = (): void => {}
  #stopDialing = (): void => {}
  #received: Uint8Array = Buffer.alloc(0)
  /** `undefined`: over the client's limits. */
  #admission: Admission | undefined

  constructor(id: number, client: Socket, host: Host) {
    this.#host = host
    this.#client = client
    const address = plainAddress(client.remoteAddress ?? '')
    this.#key = clientKey(address)
    this.info = {
      id,
      ...(host.worker !== undefined && { worker: host.worker }),
      client: { address, port: client.remotePort ?? 0 },
      state: 'reading',
      protocol: isMptcp(client) ? 'mptcp' : 'tcp',
      zeroRtt: tcpInfo(client)?.synDataAcked ?? false,
      bytes: { fromClient: 0, fromServer: 0 },
      times: {},
    }
  }

  start(): void {
    const client = this.#client
    client.on('error', () => this.#clientFailed())
    client.on('close', () => this.#closedOne())
    const { settings, clients } = this.#host
    const admission = clients.admit(this.#key)
    if (typeof admission === 'string') {
      this.#refuse({ name: 'resource-exceeded', delaySeconds: settings.retryDelay })
      return
    }
    this.#admission = admission
    this.#within(settings.messageTimeout, () => this.#ignore('timeout'))
    client.on('data', this.#read)
    client.on('end', this.#endedEarly)
  }

  /** Resets both connections. */
  abort(): void {
    this.#stop()
    reset(this.#client)
    if (this.#server) reset(this.#server)
  }

  #read = (chunk: Buffer): void => {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk])
    const reading = readRequest(this.#received)
    if (!reading) return
    this.info.times.message = this.#elapsed()
    this.#client.off('data', this.#read).off('end', this.#endedEarly).pause()
    this.#received = Buffer.alloc(0)
    clearTimeout(this.#timer)
    if ('ignored' in reading) this.#ignore(reading.ignored)
    else if ('refusal' in reading) this.#refuse(reading.refusal)
    else this.#serve(reading.request)
  }

  #endedEarly = (): void => this.#ignore('ended')

  #serve(request: Request): void {
    const { settings, place } = this.#host
    if (request.target) this.info.target = request.target
    const error = refusal(request, this.info.client.address, settings, place, settings.now())
    if (error) this.#refuse(error)
    else if (request.target) this.#dial(request.target, request)
    else this.#inform(request)
  }

  #dial(target: Target, request: Request): void {
    const { settings, serverProtocol } = this.#host
    this.info.state = 'dialing'
    this.#within(settings.connectTimeout, () =>
      this.info.state === 'dialing' ? this.#refuse(this.#failure('ETIMEDOUT')) : this.#ignore('timeout'),
    )
    const asked = request.tcpOptions.some(({ kind }) => kind === TCP_OPTION.mptcp)
    const protocol = asked ? 'mptcp' : serverProtocol
    this.#stopDialing = dial(target, protocol, (failed, server) => {
      this.#stopDialing = () => {}
      if (server) this.#connected(server, protocol, request)
      else this.#refuse(this.#failure(failed?.code))
    })
  }

  /** The server has accepted. Bytes for it are relayed at once, bytes from it after the answer has been sent. */
  #connected(server: Socket, dialed: 'mptcp' | 'tcp', request: Request): void {
    const { info } = this
    const client = this.#client
    this.#server = server
    info.state = 'confirming'
    info.times.connected = this.#elapsed()
    info.serverProtocol = dialed === 'mptcp' && isMptcp(server) ? 'mptcp' : 'tcp'
    server.on('error', error => this.#serverFailed(error))
    server.on('close', () => this.#closedOne())
    const answer = encode(this.#answer(server, request))
    if (request.rest.length > 0) {
      info.bytes.fromClient += request.rest.length
      server.write(request.rest)
    }
    relay(client, server, this.#admission?.turns, bytes => (info.bytes.fromClient += bytes))
    this.#whenWritable(() => {
      clearTimeout(this.#timer)
      client.write(answer)
      info.state = 'relaying'
      if (info.protocol === 'mptcp' && !isMptcp(client)) info.protocol = 'tcp'
      info.times.answered = this.#elapsed()
      this.#admission?.settle()
      relay(server, client, this.#admission?.turns, bytes => (info.bytes.fromServer += bytes))
      // What is relayed passes through both sockets: while both are open, the silence of one is the connection's.
      for (const side of [client, server]) side.setTimeout(this.#host.settings.idleTimeout, () => this.abort())
      this.#host.established(info)
    })
  }

  #answer(server: Socket, request: Request): Tlv[] {
    const tlvs: Tlv[] = []
    // §6.2.6: "A Transport Converter MUST return this TLV if the Client sent an Extended Connect TLV".
    if (request.isExtended) tlvs.push({ type: 'extended-tcp-header', options: synAckOptions(peerOptions(server)) })
    if (request.wantsExtensions) tlvs.push(this.#extensions())
    return tlvs
  }

  #extensions(): Tlv {
    return { type: 'supported-tcp-extensions', kinds: [...this.#host.place.tcpOptions] }
  }

  /** A request without Connect TLV: the client only asks for information. */
  #inform(request: Request): void {
    this.info.state = 'lingering'
    this.#within(this.#host.settings.connectTimeout, () => this.#ignore('timeout'))
    this.#whenWritable(() => {
      this.info.times.answered = this.#elapsed()
      this.#admission?.settle()
      this.#linger(encode(request.wantsExtensions ? [this.#extensions()] : []))
    })
  }

  #refuse(error: ConvertErrorValue): void {
    if (this.info.state === 'lingering' || this.info.state === 'closed') return
    const { settings, clients } = this.#host
    this.info.state = 'lingering'
    this.#stopDialing()
    if (this.#server) reset(this.#server)
    this.info.error = { name: error.name, code: error.name === 'unknown' ? error.code : ERROR_CODES[error.name] }
    this.#admission?.settle()
    if (!clients.mayAnswerError(this.#key, settings.now())) {
      this.#ignore('errors-limited')
      return
    }
    this.#within(settings.connectTimeout, () => this.#ignore('timeout'))
    this.#whenWritable(() => {
      this.#linger(encode([encodeErrorValue(error)]))
      this.#host.refused(this.info, error)
    })
  }

  /**
   * Sends `last`, then FIN; what the client still sends is discarded. §6.2.2: "The Transport Converter MUST NOT send an RST
   * immediately after the detection of an error to let the Error TLV reach the Client."
   */
  #linger(last: Uint8Array): void {
    const client = this.#client
    client.removeAllListeners('data').on('data', () => {})
    client.end(last)
    client.resume()
    this.#within(this.#host.settings.lingerTimeout, () => this.abort())
  }

  /** Ends it without an answer. */
  #ignore(why: Ignored): void {
    if (this.info.state === 'closed') return
    this.abort()
    this.#host.ignored(this.info, why)
  }

  #failure(code: string | undefined): ConvertErrorValue {
    return failureOf(code, isIPv4(this.info.target!.address) ? 4 : 6, this.#host.settings.retryDelay)
  }

  #clientFailed(): void {
    const { state } = this.info
    this.abort()
    if (state === 'reading' || state === 'dialing' || state === 'confirming') this.#host.ignored(this.info, 'reset')
  }

  #serverFailed(error: NodeJS.ErrnoException): void {
    // The server accepted and then reset, before the client was answered: the client gets an Error TLV. That also means that
    // the server has seen none of the client's bytes; once it may have, the client is reset instead.
    if (this.info.state === 'confirming' && this.info.bytes.fromClient === 0) this.#refuse(this.#failure(error.code))
    else this.abort()
  }

  #closedOne(): void {
    // If both close in the same turn, this is called twice with both closed.
    if (this.info.state === 'closed' || !this.#client.closed || (this.#server && !this.#server.closed)) return
    this.#stop()
    this.#admission?.close()
    this.info.state = 'closed'
    this.info.times.closed = this.#elapsed()
    this.#host.closed(this)
  }

  #whenWritable(then: () => void): void {
    this.#stopWaiting()
    if (this.#host.settings.answerEarly) then()
    else this.#stopWaiting = whenWritable(this.#client, then)
  }

  #within(milliseconds: number, otherwise: () => void): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(otherwise, milliseconds)
  }

  #stop(): void {
    clearTimeout(this.#timer)
    this.#stopWaiting()
    this.#stopDialing()
  }

  #elapsed(): number {
    return performance.now() - this.#accepted
  }
}
