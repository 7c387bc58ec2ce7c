/** What downloads and uploads have in common. */
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { MaPduSession, MptcpSocket } from '../../index.js'

/** Down: to this device. */
export type Direction = 'down' | 'up'

export interface Transfer {
  bytes: number
  /** Milliseconds from the first octet to the last. */
  duration: number
  /** The longest time without an octet, in milliseconds, after the first one: of an upload, without an acknowledgement of more. */
  longestGap: number
}

/** @returns the stream to the URL's host, and the connection under it */
export function openTo(
  session: MaPduSession,
  { protocol, hostname, port }: URL,
): { stream: Socket; carrier: MptcpSocket } {
  const host = hostname.replace(/^\[|\]$/g, '')
  const secure = protocol === 'https:'
  const carrier = session.connect({ host, port: Number(port) || (secure ? 443 : 80) })
  const stream = secure ? connectTls({ socket: carrier, servername: host, ALPNProtocols: ['http/1.1'] }) : carrier
  return { stream, carrier }
}
