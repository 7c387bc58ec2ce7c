/** What a connection got: `socket.mptcp`. */
import type { ViaConverter } from '../../policy/connect/candidates.js'
import type { OneRttReason } from '../../policy/connect/converter-memory.js'
import type { Tlv } from '../../wire/convert/index.js'

export interface MptcpReport {
  /** The connection's protocol; undefined until `'connect'`. */
  protocol: 'mptcp' | 'tcp' | undefined
  /** Why it is TCP, although MPTCP was wanted. */
  fallback: string | undefined
  /** The converter that the connection goes through; undefined when it is direct. */
  converter: { readonly name: string; readonly address: string; readonly port: number } | undefined
  /** Why it does not go through a converter although some are configured: the last error of the last one. */
  converterError: Error | undefined
  /** Whether it went past the converters, since the server is known to speak MPTCP (option `bypass`). */
  bypass: boolean
  /** Where the Convert message was sent: in the SYN, or as the first bytes after the handshake. */
  convert: '0rtt' | '1rtt' | undefined
  /** Whether the SYN's data was acknowledged with the SYN+ACK; undefined when the SYN had none. */
  synDataAccepted: boolean | undefined
  /** How many of the application's bytes were in the SYN (`earlyData`). */
  earlyBytes: number
  /** How many of them left before the converter had answered (`pipelining`), early ones included. */
  pipelinedBytes: number
  /** The TLVs of the converter's answer (RFC 8803 §6.2); empty for the bare header, which says "connected". */
  answer: Tlv[]
  /** How many SYNs were sent, each on a new socket: all addresses and fresh SYNs count, not the kernel's repetitions. */
  attempts: number
  /** Why sending data in the SYN was given up on the way; empty if it was not. */
  lessons: OneRttReason[]
  /** The interface that the first subflow is bound to. */
  interface: string | undefined
}

export function emptyReport(): MptcpReport {
  return {
    protocol: undefined,
    fallback: undefined,
    converter: undefined,
    converterError: undefined,
    bypass: false,
    convert: undefined,
    synDataAccepted: undefined,
    earlyBytes: 0,
    pipelinedBytes: 0,
    answer: [],
    attempts: 0,
    lessons: [],
    interface: undefined,
  }
}

/**
 * The same report as one object for many sockets. Each socket keeps its report, and most connections of a program are made in the
 * same way.
 *
 * @param report must not be changed after this
 */
export function shared(report: Partial<MptcpReport>): Readonly<Partial<MptcpReport>> {
  if (!isEqual(report, latest)) latest = report
  return latest
}

/** Module state, because it is for all sockets of the thread. */
let latest: Readonly<Partial<MptcpReport>> = {}

/** Reports with lists or errors are equal to none but themselves. */
function isEqual(one: Readonly<Partial<MptcpReport>>, other: Readonly<Partial<MptcpReport>>): boolean {
  const names = Object.keys(one) as (keyof MptcpReport)[]
  if (names.length !== Object.keys(other).length) return false
  return names.every(name => one[name] === other[name] || (name === 'converter' && sameConverter(one, other)))
}

function sameConverter({ converter: one }: Partial<MptcpReport>, { converter: other }: Partial<MptcpReport>): boolean {
  return one?.name === other?.name && one?.address === other?.address && one?.port === other?.port
}

/** The converter's part of the report. */
export function converterOf({ name, endpoint, form }: ViaConverter): Pick<MptcpReport, 'converter' | 'convert'> {
  const { address, port } = endpoint
  return { converter: Object.freeze({ name, address, port }), convert: form }
}
