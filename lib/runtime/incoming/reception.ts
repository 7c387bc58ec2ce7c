/**
 * Handles an accepted connection until the application gets it: verifies that a converter opened it, reads the Connect TLV, replies,
 * hands the connection over. RFC 8803 §5.2. It reads exactly the bytes of the Convert message, and none of the stream behind them.
 */

import { WireError } from '../../errors.js'
import { plainAddress } from '../../input/addresses.js'
import { decode, encode, forbiddenTarget, HEADER_LENGTH, messageLength } from '../../wire/convert/index.js'
import { decodeTcpInfo } from '../../wire/kernel/tcp-info.js'
import { INFO_MAX, SOL_TCP, TCP_INFO } from '../kernel/constants.js'
import { native, type SocketAddress } from '../kernel/native.js'
import { type Protocol, protocolOf } from '../kernel/open-socket.js'
import { reactor, type Wait } from '../kernel/reactor.js'
import { whenWritable } from '../kernel/when-writable.js'

/** A connection that a converter has opened for a remote host. */
export interface Received {
  /** A descriptor of the addon. */
  fd: number
  /** The remote host, from the Connect TLV. */
  remote: { address: string; port: number }
  /** The two ends of the first subflow: the converter's, and ours. */
  peer: SocketAddress
  local: SocketAddress
  protocol: Protocol
  /** Whether the Convert message came in the SYN. */
  zeroRtt: boolean
}

/** Why a connection was reset instead of handed over. */
export type RefusalReason =
  /** The peer is not a converter of the session. */
  | 'wrong-source'
  /** The first bytes are not a Convert message, or have no Connect TLV. */
  | 'not-convert'
  /** The address in the Connect TLV cannot belong to a remote host. RFC 8803 §6.2.5. */
  | 'forbidden-address'
  /** The Convert message was not complete in time. */
  | 'timeout'
  /** The connection ended before the Convert message was complete. */
  | 'ended'

export interface ReceptionRules {
  /** Whether connections may come from this address. */
  isConverter(address: string): boolean
  /** Milliseconds. */
  messageTimeout: number
  /** Allows a loopback address in the Connect TLV, against RFC 8803 §6.2.5: for tests on one machine. */
  allowLoopback: boolean
}

/**
 * Takes over `fd`, a descriptor of the addon. Calls either `received` or `refused` exactly once, and last, because both call the
 * application.
 */
export class Reception {
  readonly #fd: number
  readonly #rules: ReceptionRules
  readonly #received: (received: Received) => void
  readonly #refused: (why: RefusalReason, peer: SocketAddress | undefined) => void
  #peer: SocketAddress | undefined
  #wait: Wait | undefined
  #stopWaiting = (): void => {}
  #timer: NodeJS.Timeout | undefined
  #over = false

  constructor(
    fd: number,
    rules: ReceptionRules,
    received: (received: Received) => void,
    refused: (why: RefusalReason, peer: SocketAddress | undefined) => void,
  ) {
    this.#fd = fd
    this.#rules = rules
    this.#received = received
    this.#refused = refused
  }

  start(): void {
    try {
      this.#peer = plain(native().getpeername(this.#fd))
    } catch {
      return this.refuse('ended')
    }
    if (!this.#rules.isConverter(this.#peer.address)) return this.refuse('wrong-source')
    this.#timer = setTimeout(() => this.refuse('timeout'), this.#rules.messageTimeout).unref()
    this.#read(HEADER_LENGTH, header => this.#readMessage(header))
  }

  /** Resets the connection. */
  refuse(why: RefusalReason): void {
    if (this.#over) return
    this.#stop()
    native().reset(this.#fd)
    this.#refused(why, this.#peer)
  }

  #read(length: number, then: (bytes: Buffer) => void): void {
    const done = (errno: number, bytes: Buffer) =>
      errno !== 0 || bytes.length < length ? this.refuse('ended') : then(bytes)
    try {
      this.#wait = reactor().awaitBytes(this.#fd, length, done, { ref: false })
    } catch {
      this.refuse('ended') // no more memory or watches
    }
  }

  #readMessage(header: Buffer): void {
    const length = unlessMalformed(() => messageLength(header))
    if (length === undefined) return this.refuse('not-convert')
    if (length === HEADER_LENGTH) return this.#checkMessage(header)
    this.#read(length - HEADER_LENGTH, rest => this.#checkMessage(Buffer.concat([header, rest])))
  }

  #checkMessage(message: Buffer): void {
    const connect = unlessMalformed(() => decode(message))?.tlvs.find(tlv => tlv.type === 'connect')
    if (!connect) return this.refuse('not-convert')
    const forbidden = forbiddenTarget(connect.address)
    const isTest = forbidden === 'loopback' && this.#rules.allowLoopback
    if ((forbidden && !isTest) || connect.port === 0) return this.refuse('forbidden-address')
    let isWaiting = false
    let isWritable = false
    try {
      this.#stopWaiting = whenWritable(this.#fd, () => {
        isWritable = true
        if (isWaiting) this.#answer(connect)
      })
    } catch {
      return this.refuse('ended') // no more memory or watches
    }
    isWaiting = true
    // The message was complete at once. This is outside of the `try`, because it ends in the application's code.
    if (isWritable) this.#answer(connect)
  }

  #answer({ address, port }: { address: string; port: number }): void {
    let received: Received
    try {
      const reply = encode([])
      if (native().send(this.#fd, reply) < reply.length) return this.refuse('ended')
      const local = plain(native().getsockname(this.#fd))
      const info = decodeTcpInfo(native().getsockopt(this.#fd, SOL_TCP, TCP_INFO, INFO_MAX))
      received = {
        ...{ fd: this.#fd, remote: { address, port }, peer: this.#peer!, local },
        protocol: protocolOf(this.#fd, undefined),
        zeroRtt: info.synDataAcked === true,
      }
    } catch {
      return this.refuse('ended')
    }
    this.#stop()
    this.#received(received)
  }

  #stop(): void {
    this.#over = true
    clearTimeout(this.#timer)
    this.#wait?.cancel()
    this.#stopWaiting()
  }
}

/** What a codec decodes; `undefined` if the bytes are malformed. */
function unlessMalformed<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof WireError) return undefined
    throw error
  }
}

/** An IPv4 address on an IPv6 socket is an IPv4 address. */
function plain(found: SocketAddress): SocketAddress {
  const address = plainAddress(found.address)
  return address.includes(':') ? found : { ...found, address, family: 4 }
}
