/**
 * One connection of a remote host to a client, from its acceptance to its end. RFC 8803 §5.2.
 *
 *   reaching ──► confirming ──► relaying ──► closed
 *
 * What the remote host sends follows the Convert message as soon as the client has acknowledged that message. Only what
 * the client sends waits for the client's answer.
 */
import type { Socket } from 'node:net'
import { WireError } from '../../errors.js'
import { clientKey, plainAddress } from '../../input/addresses.js'
import { decode, encode, HEADER_LENGTH } from '../../wire/convert/index.js'
import type { Settings } from '../options/settings.js'
import type { Mapping, Place } from '../pcp/mapping.js'
import type { Admission, Clients } from '../relay/clients.js'
import { isMptcp, reset } from '../relay/kernel.js'
import { relay } from '../relay/relay.js'
import { type ClientMemory, type Reached, reachClient } from './reach-client.js'

export interface IncomingInfo {
  /** Counts up from 1 within a converter. */
  readonly id: number
  readonly remote: Place
  readonly external: Place
  /** Which of the client's addresses answered, once one has. */
  client?: Place
  state: 'reaching' | 'confirming' | 'relaying' | 'closed'
  /** Of the client's connection, once there is one. */
  protocol?: 'mptcp' | 'tcp'
  /** Whether the message went with the SYN. */
  zeroRtt?: boolean
  /** Why it ended before anything was relayed. */
  failure?: IncomingFailure
  /** The system's error, where the client was not reached because of one. */
  error?: string
  /** Bytes of the application. */
  bytes: { fromRemote: number; fromClient: number }
  /** Milliseconds since it was accepted. */
  times: { reached?: number; answered?: number; closed?: number }
}

export type IncomingFailure = 'limited' | 'unreachable' | 'timeout' | 'refused' | 'not-convert' | 'remote-gone'

interface IncomingHost {
  readonly settings: Settings
  readonly clients: Clients
  readonly memory: ClientMemory
  readonly protocol: 'mptcp' | 'tcp'
  established(info: IncomingInfo): void
  closed(session: IncomingSession): void
}

export class IncomingSession {
  readonly info: IncomingInfo
  readonly #host: IncomingHost
  readonly #remote: Socket
  readonly #key: string
  readonly #accepted = performance.now()
  #client: Socket | undefined
  #stopReaching = (): void => {}
  #timer: NodeJS.Timeout | undefined
  #received: Buffer = Buffer.alloc(0)
  /** `undefined`: over the client's limits, or not asked for yet. */
  #admission: Admission | undefined

  /** @param remote paused */
  constructor(id: number, remote: Socket, mapping: Mapping, host: IncomingHost) {
    this.#host = host
    this.#remote = remote
    this.#key = clientKey(mapping.paths[0]?.address ?? '')
    this.info = {
      id,
      remote: { address: plainAddress(remote.remoteAddress ?? ''), port: remote.remotePort ?? 0 },
      external: mapping.external,
      state: 'reaching',
      bytes: { fromRemote: 0, fromClient: 0 },
      times: {},
    }
  }

  start(mapping: Mapping): void {
    const { settings, clients, memory, protocol } = this.#host
    this.#remote.on('error', () => this.#end('remote-gone'))
    this.#remote.on('close', () => this.#closedOne())
    if (this.#remote.destroyed || this.info.remote.port === 0) return this.#end('remote-gone')
    const admission = clients.admit(this.#key)
    if (typeof admission === 'string') return this.#end('limited')
    this.#admission = admission
    this.#timer = setTimeout(
      () => this.#end(this.info.state === 'reaching' ? 'unreachable' : 'timeout'),
      settings.connectTimeout,
    )
    const { address, port } = this.info.remote
    // Tests on one machine have remote hosts on loopback.
    const message = encode([{ type: 'connect', address, port, tcpOptions: [] }], {
      allowLoopback: settings.allowLoopback,
    })
    this.#stopReaching = reachClient(mapping, { protocol, message }, memory, settings.now, (error, reached) => {
      this.#stopReaching = () => {}
      if (reached) return this.#reached(reached, mapping)
      if (error) this.info.error = error.message
      this.#end('unreachable')
    })
  }

  /** Resets both connections. */
  abort(): void {
    clearTimeout(this.#timer)
    this.#stopReaching()
    reset(this.#remote)
    if (this.#client) reset(this.#client)
  }

  #reached({ socket, zeroRtt, path }: Reached, mapping: Mapping): void {
    const { info } = this
    this.#client = socket
    info.state = 'confirming'
    info.client = { address: path.address, port: mapping.internalPort }
    info.protocol = isMptcp(socket) ? 'mptcp' : 'tcp'
    info.zeroRtt = zeroRtt
    info.times.reached = this.#elapsed()
    socket.on('error', () => this.#end('refused'))
    socket.on('close', () => this.#closedOne())
    socket.on('data', this.#read)
    socket.on('end', this.#endedEarly)
    relay(this.#remote, socket, this.#admission?.turns, bytes => {
      info.bytes.fromRemote += bytes
    })
  }

  /** The client's answer is a Convert header, with or without TLVs; the application's bytes follow it. */
  #read = (chunk: Buffer): void => {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk])
    let length: number
    try {
      const decoded = decode(this.#received)
      if (!decoded) return
      // In RFC 8803 only converters send an Error TLV; a client refuses with a reset.
      if (decoded.tlvs.some(({ type }) => type === 'error')) return this.#end('refused')
      length = decoded.length
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      return this.#end('not-convert')
    }
    this.#answered(this.#received.subarray(Math.max(length, HEADER_LENGTH)))
  }

  #endedEarly = (): void => this.#end('refused')

  #answered(rest: Buffer): void {
    const { info } = this
    const [client, remote] = [this.#client!, this.#remote]
    clearTimeout(this.#timer)
    client.off('data', this.#read).off('end', this.#endedEarly).pause()
    this.#received = Buffer.alloc(0)
    info.state = 'relaying'
    info.times.answered = this.#elapsed()
    this.#admission?.settle()
    if (rest.length > 0) {
      info.bytes.fromClient += rest.length
      remote.write(rest)
    }
    relay(client, remote, this.#admission?.turns, bytes => {
      info.bytes.fromClient += bytes
    })
    for (const side of [client, remote]) side.setTimeout(this.#host.settings.idleTimeout, () => this.abort())
    this.#host.established(info)
  }

  #end(failure: IncomingFailure): void {
    if (this.info.state === 'closed') return
    if (this.info.state !== 'relaying') this.info.failure ??= failure
    this.abort()
    this.#closedOne()
  }

  #closedOne(): void {
    if (this.info.state === 'closed') return
    if (!this.#remote.closed || (this.#client && !this.#client.closed)) {
      // The remote host has gone, and no client has been reached yet.
      if (this.#remote.closed && !this.#client) this.#stopReaching()
      else return
    }
    if (this.info.state !== 'relaying') this.info.failure ??= 'remote-gone'
    clearTimeout(this.#timer)
    this.#stopReaching()
    this.#admission?.close()
    this.info.state = 'closed'
    this.info.times.closed = this.#elapsed()
    this.#host.closed(this)
  }

  #elapsed(): number {
    return performance.now() - this.#accepted
  }
}
