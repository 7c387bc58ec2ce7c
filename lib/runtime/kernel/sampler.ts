/**
 * The counters of many sockets, with one native call.
 *
 * The native call writes the kernel's own structures into one buffer, in the layout of `HEADER` and `SUBFLOW`, which
 * native/addon/sampler.h defines; the fields of the structures are those of lib/wire/kernel. Nothing that the kernel
 * reports about a descriptor says whether a subflow is a backup: the code that sets the flag must remember it.
 */
import { MPTCP_INFO_OFFSET } from '../../wire/kernel/mptcp-info.js'
import { HOST_ENDIAN } from '../../wire/kernel/struct.js'
import { TCP_INFO_OFFSET } from '../../wire/kernel/tcp-info.js'
import { native, type SocketAddress } from './native.js'

/** What to ask the kernel for. */
export const ASKING = {
  /** Everything, with MPTCP_FULL_INFO where the kernel has it (6.5). */
  whole: 0,
  /** Everything, as on older kernels: for tests. */
  inParts: 1,
  /** The connections without their subflows. */
  connections: 2,
} as const

/** One subflow, as struct tcp_info describes it. */
export interface SubflowSample {
  /**
   * Names this subflow, and no other one of the connection, for the connection's lifetime. From 1; 0: plain TCP.
   * Kernels before 6.5 have no such id: there it is a hash of the addresses, above 2^32.
   */
  id: number
  /** One of `TCP_STATES`. A destroyed first subflow stays, in `close` (7). */
  state: number
  localPort: number
  /** Timeouts in a row without an acknowledgement. */
  retransmits: number
  /** Segments in flight. */
  unacked: number
  /** Segments thought lost. */
  lost: number
  /** Since data was last sent on it, ms. */
  lastDataSent: number
  /** Since data was last received on it, ms. */
  lastDataRecv: number
  /** Since an acknowledgement was last received on it, ms. */
  lastAckRecv: number
  /** Smoothed round-trip time, µs. */
  rtt: number
  /** Its mean deviation, µs. */
  rttvar: number
  /** µs. */
  minRtt: number
  /** Congestion window, segments. */
  sndCwnd: number
  /** Segments retransmitted so far. */
  totalRetrans: number
  /** Bytes per second. */
  pacingRate: number
  /** Bytes per second. */
  deliveryRate: number
  /** Bytes; the SYN counts as one where this side sent it. */
  bytesAcked: number
  /** Bytes. */
  bytesReceived: number
  /** Bytes, retransmissions included. */
  bytesSent: number
  /** Bytes. */
  bytesRetrans: number
  /** Bytes in the send buffer that were never sent. */
  notsentBytes: number
  /** Segments received, including the SYN+ACK and bare acknowledgements. */
  segsIn: number
  /** Segments with data received, retransmissions included. Undefined: this kernel does not report it. */
  dataSegsIn: number | undefined
  /**
   * Round-trip time of what is received, µs: from an acknowledgement sent to the data that it allowed, so with the queue on the
   * way and with the sender's pauses. 0: not measured yet. Undefined: this kernel does not report it.
   */
  receiveRtt: number | undefined
  /** Segments received out of order, as after a loss. Undefined: this kernel does not report it (before 5.4). */
  outOfOrder: number | undefined
}

/** One connection, as struct mptcp_info describes it. `undefined`: this kernel does not report it. */
export interface SocketSample {
  fd: number
  /**
   * 0, or a positive errno: EBADF, ENOTSOCK. EOPNOTSUPP (95) for a connection over plain TCP, which still has its only
   * subflow.
   */
  errno: number
  /** 0 without one. Compare it: the descriptor's number may belong to another connection by now. */
  token: number
  /** Bytes; each counts once, whichever subflows carried it. */
  bytesSent: number | undefined
  bytesReceived: number | undefined
  bytesAcked: number | undefined
  /** Bytes sent again on another subflow. */
  bytesRetrans: number | undefined
  /** How often data was sent again on another subflow. */
  retransmits: number | undefined
  /** Bytes that the application has written and the peer has not acknowledged. */
  outstanding: number | undefined
  /** Since data was last sent, ms. */
  lastDataSent: number | undefined
  /** Since data was last received, ms. */
  lastDataRecv: number | undefined
  /** Since an acknowledgement was last received, ms. */
  lastAckRecv: number | undefined
  /** At most 32. */
  subflows: SubflowSample[]
}

export interface SubflowAddresses {
  /** As in the samples. */
  id: number
  /** `::ffff:192.0.2.1` for IPv4 on an IPv6 socket. */
  local: SocketAddress
  remote: SocketAddress
}

/** The fields of a record of `sampleConnections`, in their order. They mean what they mean in SocketSample. */
export const SOCKET = {
  fd: 0,
  errno: 1,
  token: 2,
  bytesSent: 3,
  bytesReceived: 4,
  bytesAcked: 5,
  bytesRetrans: 6,
  retransmits: 7,
  outstanding: 8,
  length: 9,
} as const

/** Keeps its buffers from one call to the next. */
export class Sampler {
  #structs = new Structs(0)
  #records = new Float64Array(0)

  /** Samples all of them with one native call, in their order. Works on any descriptors. */
  sample(fds: Int32Array): SocketSample[] {
    const samples: SocketSample[] = []
    while (samples.length < fds.length) {
      const rest = fds.subarray(samples.length)
      const structs = this.#room(rest.length)
      structs.decode(native().sample(rest, structs.bytes, ASKING.whole), samples)
    }
    return samples
  }

  /**
   * Samples the connections without their subflows, to find out which ones are idle. Takes about half the time.
   *
   * @returns a record of `SOCKET.length` doubles for each descriptor, in their order; NaN stands for what this kernel does
   * not report. Valid until the next call.
   */
  sampleConnections(fds: Int32Array): Float64Array {
    const structs = this.#room(fds.length)
    if (this.#records.length < fds.length * SOCKET.length) this.#records = new Float64Array(fds.length * SOCKET.length)
    structs.decodeConnections(native().sample(fds, structs.bytes, ASKING.connections), this.#records)
    return this.#records
  }

  #room(sockets: number): Structs {
    const size = roomFor(sockets)
    if (this.#structs.bytes.length < size) this.#structs = new Structs(size)
    return this.#structs
  }
}

/** The descriptors of these sockets, as `Sampler` takes them. */
export function fdsOf(sockets: readonly { fd: number }[]): Int32Array {
  const fds = new Int32Array(sockets.length)
  for (let i = 0; i < fds.length; i++) fds[i] = sockets[i]!.fd
  return fds
}

/** For an id that a sample shows for the first time. A plain TCP connection has one, with the id 0. Throws system errors. */
export function subflowAddresses(fd: number): SubflowAddresses[] {
  return native().subflowAddresses(fd, ASKING.whole)
}

/** Where things begin, in bytes: for each socket a header, in it its struct mptcp_info; then its subflows' tcp_info. */
const HEADER = { fd: 0, errno: 4, infoLength: 8, subflows: 12, info: 16, size: 112 } as const
const TCP_INFO_SIZE = 232
/** Behind all tcp_info of a socket, one for each of them. */
const SUBFLOW = { localPort: 0, tcpInfoLength: 4, id: 8, size: 16 } as const
const MOST_SUBFLOWS = 32

/** Few sockets have more than four subflows. One with the most must fit. */
function roomFor(sockets: number): number {
  return sockets * (HEADER.size + 4 * (TCP_INFO_SIZE + SUBFLOW.size)) + MOST_SUBFLOWS * (TCP_INFO_SIZE + SUBFLOW.size)
}

/** The buffer that the native call writes into. Typed arrays, since a DataView's 64-bit numbers are slow bigints. */
export class Structs {
  readonly bytes: Uint8Array
  readonly #u32: Uint32Array
  readonly #i32: Int32Array
  readonly #f64: Float64Array

  /** @param size a multiple of 8 */
  constructor(size: number) {
    const memory = new ArrayBuffer(size)
    this.bytes = new Uint8Array(memory)
    this.#u32 = new Uint32Array(memory)
    this.#i32 = new Int32Array(memory)
    this.#f64 = new Float64Array(memory)
  }

  /** Appends the first `count` sockets to `samples`. */
  decode(count: number, samples: SocketSample[]): void {
    let at = 0
    for (let i = 0; i < count; i++) {
      const socket = at
      const subflows: SubflowSample[] = []
      const there = this.#u32[(socket + HEADER.subflows) >> 2]!
      let name = socket + HEADER.size + there * TCP_INFO_SIZE
      for (at += HEADER.size; subflows.length < there; at += TCP_INFO_SIZE, name += SUBFLOW.size)
        subflows.push(this.#subflow(at, name))
      at = name
      samples.push(this.#socket(socket, subflows))
    }
  }

  /** Writes a record of `SOCKET` for each of the first `count` sockets, none of which has subflows. */
  decodeConnections(count: number, records: Float64Array): void {
    for (let i = 0, at = 0, to = 0; i < count; i++, at += HEADER.size, to += SOCKET.length) {
      records[to + SOCKET.fd] = this.#i32[(at + HEADER.fd) >> 2]!
      records[to + SOCKET.errno] = this.#i32[(at + HEADER.errno) >> 2]!
      records[to + SOCKET.token] = this.#token(at)
      records[to + SOCKET.bytesSent] = this.#info64(at, MPTCP_INFO_OFFSET.bytesSent)
      records[to + SOCKET.bytesReceived] = this.#info64(at, MPTCP_INFO_OFFSET.bytesReceived)
      records[to + SOCKET.bytesAcked] = this.#info64(at, MPTCP_INFO_OFFSET.bytesAcked)
      records[to + SOCKET.bytesRetrans] = this.#info64(at, MPTCP_INFO_OFFSET.bytesRetrans)
      records[to + SOCKET.retransmits] = this.#info32(at, MPTCP_INFO_OFFSET.retransmits)
      records[to + SOCKET.outstanding] = this.#outstanding(at)
    }
  }

  #socket(at: number, subflows: SubflowSample[]): SocketSample {
    return {
      fd: this.#i32[(at + HEADER.fd) >> 2]!,
      errno: this.#i32[(at + HEADER.errno) >> 2]!,
      token: this.#token(at),
      bytesSent: reported(this.#info64(at, MPTCP_INFO_OFFSET.bytesSent)),
      bytesReceived: reported(this.#info64(at, MPTCP_INFO_OFFSET.bytesReceived)),
      bytesAcked: reported(this.#info64(at, MPTCP_INFO_OFFSET.bytesAcked)),
      bytesRetrans: reported(this.#info64(at, MPTCP_INFO_OFFSET.bytesRetrans)),
      retransmits: reported(this.#info32(at, MPTCP_INFO_OFFSET.retransmits)),
      outstanding: reported(this.#outstanding(at)),
      lastDataSent: reported(this.#info32(at, MPTCP_INFO_OFFSET.lastDataSent)),
      lastDataRecv: reported(this.#info32(at, MPTCP_INFO_OFFSET.lastDataRecv)),
      lastAckRecv: reported(this.#info32(at, MPTCP_INFO_OFFSET.lastAckRecv)),
      subflows,
    }
  }

  #subflow(at: number, name: number): SubflowSample {
    const tcpInfoLength = this.#u32[(name + SUBFLOW.tcpInfoLength) >> 2]!
    return {
      id: this.#f64[(name + SUBFLOW.id) >> 3]!,
      state: this.bytes[at + TCP_INFO_OFFSET.state]!,
      localPort: this.#u32[(name + SUBFLOW.localPort) >> 2]!,
      retransmits: this.bytes[at + TCP_INFO_OFFSET.retransmits]!,
      unacked: this.#u32[(at + TCP_INFO_OFFSET.unacked) >> 2]!,
      lost: this.#u32[(at + TCP_INFO_OFFSET.lost) >> 2]!,
      lastDataSent: this.#u32[(at + TCP_INFO_OFFSET.lastDataSent) >> 2]!,
      lastDataRecv: this.#u32[(at + TCP_INFO_OFFSET.lastDataRecv) >> 2]!,
      lastAckRecv: this.#u32[(at + TCP_INFO_OFFSET.lastAckRecv) >> 2]!,
      rtt: this.#u32[(at + TCP_INFO_OFFSET.rtt) >> 2]!,
      rttvar: this.#u32[(at + TCP_INFO_OFFSET.rttvar) >> 2]!,
      minRtt: this.#u32[(at + TCP_INFO_OFFSET.minRtt) >> 2]!,
      sndCwnd: this.#u32[(at + TCP_INFO_OFFSET.sndCwnd) >> 2]!,
      totalRetrans: this.#u32[(at + TCP_INFO_OFFSET.totalRetrans) >> 2]!,
      pacingRate: this.#u64(at + TCP_INFO_OFFSET.pacingRate),
      deliveryRate: this.#u64(at + TCP_INFO_OFFSET.deliveryRate),
      bytesAcked: this.#u64(at + TCP_INFO_OFFSET.bytesAcked),
      bytesReceived: this.#u64(at + TCP_INFO_OFFSET.bytesReceived),
      bytesSent: this.#u64(at + TCP_INFO_OFFSET.bytesSent),
      bytesRetrans: this.#u64(at + TCP_INFO_OFFSET.bytesRetrans),
      notsentBytes: this.#u32[(at + TCP_INFO_OFFSET.notsentBytes) >> 2]!,
      segsIn: this.#u32[(at + TCP_INFO_OFFSET.segsIn) >> 2]!,
      dataSegsIn: this.#tcpInfo32(at, TCP_INFO_OFFSET.dataSegsIn, tcpInfoLength),
      receiveRtt: this.#tcpInfo32(at, TCP_INFO_OFFSET.receiveRtt, tcpInfoLength),
      outOfOrder: this.#tcpInfo32(at, TCP_INFO_OFFSET.outOfOrder, tcpInfoLength),
    }
  }

  /** A field of tcp_info; undefined if the kernel wrote less. */
  #tcpInfo32(at: number, field: number, length: number): number | undefined {
    return field + 4 <= length ? this.#u32[(at + field) >> 2]! : undefined
  }

  #token(socket: number): number {
    const token = this.#info32(socket, MPTCP_INFO_OFFSET.token)
    return Number.isNaN(token) ? 0 : token
  }

  /** Both sequence numbers start at random and wrap at 2^64: the difference of the upper halves wraps at 2^32. */
  #outstanding(socket: number): number {
    if (!this.#wrote(socket, MPTCP_INFO_OFFSET.sndUna + 8)) return Number.NaN
    const written = (socket + HEADER.info + MPTCP_INFO_OFFSET.writeSeq) >> 2
    const acked = (socket + HEADER.info + MPTCP_INFO_OFFSET.sndUna) >> 2
    const upper = (this.#u32[written + UPPER]! - this.#u32[acked + UPPER]!) | 0
    return upper * 2 ** 32 + (this.#u32[written + LOWER]! - this.#u32[acked + LOWER]!)
  }

  /** A field of mptcp_info; NaN if this kernel does not report it. */
  #info32(socket: number, field: number): number {
    return this.#wrote(socket, field + 4) ? this.#u32[(socket + HEADER.info + field) >> 2]! : Number.NaN
  }

  #info64(socket: number, field: number): number {
    return this.#wrote(socket, field + 8) ? this.#u64(socket + HEADER.info + field) : Number.NaN
  }

  /** Whether the kernel wrote the first `length` bytes of mptcp_info. */
  #wrote(socket: number, length: number): boolean {
    return length <= this.#u32[(socket + HEADER.infoLength) >> 2]!
  }

  /** Exact up to 2^53. */
  #u64(at: number): number {
    return this.#u32[(at >> 2) + UPPER]! * 2 ** 32 + this.#u32[(at >> 2) + LOWER]!
  }
}

/** The halves of a 64-bit number. */
const [LOWER, UPPER] = HOST_ENDIAN === 'LE' ? [0, 1] : [1, 0]

function reported(value: number): number | undefined {
  return Number.isNaN(value) ? undefined : value
}
