/**
 * The connection to a client that is reachable by a mapping: MPTCP, with the Convert message in the SYN. RFC 8803 §5.2: "the
 * Converter inserts an MP_CAPABLE option and Connect TLV in the SYN packet, and rewrites the source IP address to one of its
 * IP addresses".
 */
import { isIPv4, type Socket } from 'node:net'
import { type SystemError, systemError } from '../../errors.js'
import { connectedSocket } from '../../runtime/kernel/connected-socket.js'
import { INFO_MAX, IPPROTO_MPTCP, IPPROTO_TCP, SOL_TCP, TCP_INFO } from '../../runtime/kernel/constants.js'
import { allowSynData, lacksFastOpen } from '../../runtime/kernel/fast-open.js'
import { native } from '../../runtime/kernel/native.js'
import { fixReceiveBuffer } from '../../runtime/kernel/open-socket.js'
import { reactor } from '../../runtime/kernel/reactor.js'
import { decodeTcpInfo } from '../../wire/kernel/tcp-info.js'
import type { Place } from '../pcp/mapping.js'

export interface ClientDial {
  to: Place
  /** Our address, which the client knows as the converter's; with `0.0.0.0` and `::` the routes decide. */
  from: string
  protocol: 'mptcp' | 'tcp'
  /** The Convert message. */
  message: Uint8Array
  /** Whether the message goes in the SYN, or as the first bytes after the handshake. */
  zeroRtt: boolean
}

export interface Dialed {
  socket: Socket
  /**
   * Whether the message was acknowledged with the SYN. If it was sent with the SYN and was not acknowledged, the kernel
   * has fallen back to TCP and sent it again. The connection is kept: to the client, a second one would be another
   * connection.
   */
  zeroRtt: boolean
  /** Whether this system refused to send data in the SYN: the message followed the handshake. */
  noFastOpenHere: boolean
}

/**
 * `done` is called once, with either an error or a connection, and never before this returns.
 *
 * @returns gives the attempt up: `done` is not called any more. After `done` it does nothing.
 */
export function dialClient(
  dial: ClientDial,
  done: (error: NodeJS.ErrnoException | undefined, dialed?: Dialed) => void,
): () => void {
  const { to, from, protocol, message } = dial
  const addon = native()
  let fd: number | undefined
  let sent = 0
  let noFastOpenHere = false
  let cancel = (): void => {}
  const drop = () => {
    if (fd !== undefined) addon.reset(fd)
    fd = undefined
  }
  const open = () => {
    const opened = addon.socket(isIPv4(to.address) ? 4 : 6, protocol === 'mptcp' ? IPPROTO_MPTCP : IPPROTO_TCP)
    try {
      if (!ANY.has(from)) addon.bind(opened, from, 0)
      return opened
    } catch (error) {
      addon.close(opened)
      throw error
    }
  }
  const fail = (error: Error) => {
    drop()
    done(error)
  }
  try {
    fd = open()
    if (dial.zeroRtt)
      try {
        if (protocol === 'mptcp') fixReceiveBuffer(fd)
        allowSynData(fd)
        sent = addon.sendFastOpen(fd, to.address, to.port, message)
      } catch (error) {
        if (!lacksFastOpen(error as SystemError)) throw error
        noFastOpenHere = true
        // The kernel gives a socket whose MSG_FASTOPEN it refused no further subflow (EINVAL).
        addon.close(fd)
        fd = undefined
        fd = open()
      }
    if (!dial.zeroRtt || noFastOpenHere) addon.connect(fd, to.address, to.port)
    const wait = reactor().awaitConnected(fd, errno => {
      if (errno !== 0) return fail(systemError(errno, 'connect', to.address, to.port))
      let socket: Socket
      let zeroRtt = false
      try {
        const info = decodeTcpInfo(addon.getsockopt(fd!, SOL_TCP, TCP_INFO, INFO_MAX))
        zeroRtt = sent > 0 && info.synDataAcked === true
        const connected = fd!
        fd = undefined
        socket = connectedSocket(connected)
      } catch (error) {
        return fail(error as Error)
      }
      if (sent < message.length) socket.write(message.subarray(sent))
      done(undefined, { socket, zeroRtt, noFastOpenHere })
    })
    cancel = () => wait.cancel()
  } catch (error) {
    const immediate = setImmediate(() => fail(error as Error))
    cancel = () => clearImmediate(immediate)
  }
  return () => {
    cancel()
    drop()
  }
}

const ANY = new Set(['0.0.0.0', '::'])
