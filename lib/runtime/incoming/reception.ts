/**
 * One connection that has come in from a converter, until it is an application's: who is it, whom does it bring, and yes.
 * RFC 8803 §5.2. Exactly the bytes of the Convert message are read, so that nothing of the stream behind them is.
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

/** What has come in. */
export interface Received {
  fd: number
  /** The remote host, as the converter says. */
  remote: { address: string; port: number }
  /** The converter's end of the first subflow, and ours. */
  peer: SocketAddress
  local: SocketAddress
  protocol: Protocol
  /** Whether the message came with the SYN. */
  zeroRtt: boolean
}

/** Why a connection was closed without being handed over. */
export type Refusal =
  /** It does not come from a converter of ours. */
  | 'wrong-source'
  /** Its first bytes are no Convert message, or none with a Connect TLV. */
  | 'not-convert'
  /** The Connect TLV names an address that cannot be a remote host's. RFC 8803 §6.2.5. */
  | 'forbidden-address'
  /** It said nothing, or not all of it, in time. */
  | 'timeout'
  /** It ended before it was complete. */
  | 'ended'

export interface ReceptionRules {
  /** The addresses that connections may come from. */
  isConverter(address: string): boolean
  /** Milliseconds. */
  messageTimeout: number
  /** Against RFC 8803 §6.2.5, for tests on one machine. */
  allowLoopback: boolean
}

/** Takes over `fd`, which is the addon's. Exactly one of both is called, in the same turn at the earliest. */
export class Reception {
  readonly #fd: number
  readonly #rules: ReceptionRules
  readonly #received: (received: Received) => void
  readonly #refused: (why: Refusal, peer: SocketAddress | undefined) => void
  #peer: SocketAddress | undefined
  #wait: Wait | undefined
  #stopWaiting = (): void => {}
  #timer: NodeJS.Timeout | undefined
  #over = false

  constructor(
    fd: number,
    rules: ReceptionRules,
    received: (received: Received) => void,
    refused: (why: Refusal, peer: SocketAddress | undefined) => void,
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
    this.#timer = setTimeout(() => this.refuse('timeout'), this.#rules.messageTimeout)
    this.#read(HEADER_LENGTH, header => {
      const length = messageLength(header)
      if (length === HEADER_LENGTH) return this.#hear(header)
      this.#read(length - HEADER_LENGTH, rest => this.#hear(Buffer.concat([header, rest])))
    })
  }

  /** Resets it. */
  refuse(why: Refusal): void {
    if (this.#over) return
    this.#stop()
    native().reset(this.#fd)
    this.#refused(why, this.#peer)
  }

  #read(length: number, then: (bytes: Buffer) => void): void {
    this.#wait = reactor().awaitBytes(
      this.#fd,
      length,
      (errno, bytes) => {
        if (errno !== 0 || bytes.length < length) return this.refuse('ended')
        try {
          then(bytes)
        } catch (error) {
          if (!(error instanceof WireError)) throw error
          this.refuse('not-convert')
        }
      },
      { ref: false },
    )
  }

  #hear(message: Buffer): void {
    const connect = decode(message)?.tlvs.find(tlv => tlv.type === 'connect')
    if (!connect) return this.refuse('not-convert')
    const forbidden = forbiddenTarget(connect.address)
    const isTest = forbidden === 'loopback' && this.#rules.allowLoopback
    if ((forbidden && !isTest) || connect.port === 0) return this.refuse('forbidden-address')
    try {
      this.#stopWaiting = whenWritable(this.#fd, () => this.#answer(connect))
    } catch {
      this.refuse('ended') // no more memory or watches
    }
  }

  #answer(remote: { address: string; port: number }): void {
    const yes = encode([])
    try {
      if (native().send(this.#fd, yes) < yes.length) return this.refuse('ended')
      const local = plain(native().getsockname(this.#fd))
      const info = decodeTcpInfo(native().getsockopt(this.#fd, SOL_TCP, TCP_INFO, INFO_MAX))
      this.#stop()
      const { address, port } = remote
      this.#received({
        ...{ fd: this.#fd, remote: { address, port }, peer: this.#peer!, local },
        protocol: protocolOf(this.#fd, undefined),
        zeroRtt: info.synDataAcked === true,
      })
    } catch {
      this.refuse('ended')
    }
  }

  #stop(): void {
    this.#over = true
    clearTimeout(this.#timer)
    this.#wait?.cancel()
    this.#stopWaiting()
  }
}

/** An IPv4 address on an IPv6 socket is an IPv4 address. */
function plain(address: SocketAddress): SocketAddress {
  const plain = plainAddress(address.address)
  return plain.includes(':') ? address : { ...address, address: plain, family: 4 }
}
