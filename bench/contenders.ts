/** Against whom: ways to get a connected net.Socket, each with as little of the benchmark in it as can be. */
import { type Socket as NetSocket, Socket, connect as tcpConnect } from 'node:net'
import { SocksClient } from 'socks'
import type { MptcpSocket } from '../lib/index.js'
import type { SocketContender } from './measures.js'
import type { Place, Role } from './places.js'
import { connect as atsssConnect, IPPROTO_MPTCP, MaPduSession, MPTCP_INFO, native, SOL_MPTCP } from './shipped.js'

export interface Wishes {
  /** Written as soon as there is something to write to: at once, where the contender gives a socket at once. */
  request?: Uint8Array
  /** Upon 'connect'. Throws when the connection is not what the contender's name says. */
  connected(socket: NetSocket): void
  failed(error: Error): void
}

export type Contender = (place: Place, role: Role, wishes: Wishes) => void

export const contenders: Record<SocketContender, Contender> = {
  /** net.connect, as it is. */
  tcp({ address: host, ports }, role, wishes) {
    follow(tcpConnect({ host, port: ports.tcp[role] }), wishes, () => {})
  },

  /**
   * The same net.Socket.connect(), on a descriptor whose one difference is IPPROTO_MPTCP in its socket(2): this is
   * net.connect over the kernel's MPTCP, with no more of ours than that one call. (`manualStart`: no reading before
   * there is a connection.)
   */
  mptcp({ address: host, ports }, role, wishes) {
    const fd = native().socket(host.includes(':') ? 6 : 4, IPPROTO_MPTCP)
    native().release(fd)
    const socket = new Socket({ fd, manualStart: true } as { fd: number })
    follow(socket.connect({ host, port: ports.mptcp[role] }), wishes, isMptcp)
  },

  /** connect(), straight to an MPTCP server. */
  atsss({ address: host, ports }, role, wishes) {
    const socket = atsssConnect({ host, port: ports.mptcp[role], mptcp: 'require' })
    follow(socket, wishes, isMptcp)
  },

  /** connect() through the reference converter, to a TCP server. */
  converter(place, role, wishes) {
    throughConverter(place, role, wishes, false)
  },

  /** The same, the request in the SYN. */
  'early-data'(place, role, wishes) {
    throughConverter(place, role, wishes, true)
  },

  /** The same as `converter`, by a session that is made for it. Both accesses have the names of the lab's one link. */
  session(place, role, wishes) {
    throughSession(place, role, wishes, 'worker')
  },

  'session-inline'(place, role, wishes) {
    throughSession(place, role, wishes, 'inline')
  },

  /** A host that knows of TCP only, to a UE behind the converter. */
  incoming({ incoming }, _role, wishes) {
    follow(tcpConnect({ host: incoming!.address, port: incoming!.port }), wishes, () => {})
  },

  /** The npm package `socks`, through microsocks. It has no socket to write to before SOCKS is done. */
  socks5({ address: host, ports, socks }, role, { request, connected, failed }) {
    const proxy = { ...socks!, type: 5 } as const
    SocksClient.createConnection({ proxy, command: 'connect', destination: { host, port: ports.tcp[role] } }).then(
      ({ socket }) => {
        socket.on('error', failed)
        if (request) socket.write(request)
        connected(socket)
        socket.resume()
      },
      failed,
    )
  },
}

function throughConverter(place: Place, role: Role, wishes: Wishes, earlyData: boolean): void {
  const { address: host, ports, converter: converters } = place
  const options = { host, port: ports.tcp[role], converters, earlyData, allowLoopback: true, mptcp: 'require' } as const
  follow(atsssConnect(options), wishes, socket => {
    isMptcp(socket)
    const { convert, synDataAccepted, earlyBytes } = (socket as MptcpSocket).mptcp
    if (!place.zeroRtt) return
    if (convert !== '0rtt' || !synDataAccepted) throw new Error('the Convert message was not taken with the SYN')
    if (earlyData && earlyBytes !== wishes.request?.length) throw new Error('the request was not in the SYN')
  })
}

function throughSession(place: Place, role: Role, wishes: Wishes, controller: 'worker' | 'inline'): void {
  const { address: host, ports, converter: converters } = place
  const accesses = { '3gpp': 'link', 'non-3gpp': 'none0' }
  const session = new MaPduSession({ accesses, converters, controller, allowLoopback: true, mptcp: 'require' })
  follow(session.connect({ host, port: ports.tcp[role] }), wishes, isMptcp)
}

let checked = false

/** The check costs system calls: it is done for the first connection of a process, which is never measured. */
function follow(socket: NetSocket, { request, connected, failed }: Wishes, check: (socket: NetSocket) => void): void {
  socket.on('error', failed)
  socket.on('connect', () => {
    connected(socket)
    if (!checked) check(socket)
    checked = true
  })
  if (request) socket.write(request)
}

function isMptcp(socket: NetSocket): void {
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle
  native().getsockopt(fd, SOL_MPTCP, MPTCP_INFO, 512) // EOPNOTSUPP: it is TCP
}
