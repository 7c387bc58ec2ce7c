/** `doctor --online`: whether MPTCP gets through the open Internet over an access, as a public server sees it. */
import { once } from 'node:events'
import { connect, type MptcpOptions } from '../../index.js'
import type { Finding } from './finding.js'

interface Where {
  host: string
  /** A port that middleboxes mostly leave alone, and the one on which operators have proxies. */
  ports: { https: number; http: number }
}

/** Run by the maintainers of MPTCP in Linux. It tells clients that are named like curl in one line what they use. */
export const PUBLIC_SERVER: Where = { host: 'check.mptcp.dev', ports: { https: 443, http: 80 } }

/** What was seen on one port. */
type Seen = { protocol: 'mptcp' | 'tcp' } | { failure: string }

export interface Online {
  interface: string | undefined
  host: string
  https: Seen
  http: Seen
  /** What the server says to an HTTP request, if it says it. */
  says?: string
}

/** Milliseconds. */
const TIMEOUT = 5000

/** Two connections, without a converter: one is closed at once, one has an HTTP request. */
export async function askOnline(device: string | undefined, { host, ports }: Where = PUBLIC_SERVER): Promise<Online> {
  const over: MptcpOptions = { connectTimeout: TIMEOUT, ...(device !== undefined && { interface: device }) }
  const [https, { seen: http, text }] = await Promise.all([
    tried({ host, port: ports.https, ...over }).then(({ seen }) => seen),
    tried({ host, port: ports.http, ...over }, requestOf(host)),
  ])
  const says = /You are (?:not )?using MPTCP/.exec(text)?.[0]
  return { interface: device, host, https, http, ...(says !== undefined && { says }) }
}

function requestOf(host: string): string {
  return `GET / HTTP/1.0\r\nHost: ${host}\r\nUser-Agent: curl/8 (atsss doctor)\r\nConnection: close\r\n\r\n`
}

async function tried(
  to: { host: string; port: number } & MptcpOptions,
  request?: string,
): Promise<{ seen: Seen; text: string }> {
  const socket = connect(to)
  const failed: Error[] = []
  let text = ''
  try {
    await once(socket, 'connect')
    const { protocol } = socket.mptcp
    if (request !== undefined) {
      socket.on('error', error => failed.push(error)).setEncoding('latin1')
      socket.setTimeout(TIMEOUT, () => socket.destroy()).end(request)
      socket.on('data', (more: string) => {
        text += more
        if (text.length > MOST) socket.destroy() // the beginning is enough
      })
      await once(socket, 'close')
    }
    return { seen: { protocol: protocol === 'mptcp' ? 'mptcp' : 'tcp' }, text }
  } catch (error) {
    return { seen: { failure: (error as Error).message || String((error as NodeJS.ErrnoException).code) }, text }
  } finally {
    socket.on('error', () => {}).destroy()
  }
}

const MOST = 65_536

/** Pure. */
export function aboutOnline(online: Online): Finding {
  const { host, https, http, says } = online
  const over = online.interface === undefined ? '' : ` over ${online.interface}`
  const said = says === undefined ? '' : `, and it says "${says}"`
  const about = {
    id: `online-${online.interface ?? 'default'}`,
    title: `Internet${over}`,
    found: `${host}, port 443: ${inWords(https)}; port 80: ${inWords(http)}${said}`,
  }
  if ('failure' in https)
    return {
      ...about,
      state: 'bad',
      why: `the server could not be tried${over}: without it nothing is known of MPTCP in the Internet`,
      fixes: [
        { command: '', note: `check the names (getent hosts ${host}) and the way to the Internet, then try again` },
      ],
    }
  if (https.protocol === 'tcp')
    return {
      ...about,
      state: 'bad',
      why: 'something on the path removes the options of MPTCP: connections over this access become TCP, and cannot be steered',
      fixes: [{ command: '', note: 'try another network, or ask its operator; a VPN on this access may help' }],
    }
  const isIntercepted = 'failure' in http || http.protocol === 'tcp' || says?.includes('not') === true
  if (isIntercepted)
    return {
      ...about,
      state: 'warning',
      why: 'connections to port 80 end at a proxy of the network: plain HTTP over this access becomes TCP, HTTPS does not',
      fixes: [{ command: '', note: 'use HTTPS, or a converter on another port than 80' }],
    }
  return { ...about, state: 'good', why: 'MPTCP gets through the Internet over this access', fixes: [] }
}

function inWords(seen: Seen): string {
  if ('failure' in seen) return `not reached (${seen.failure})`
  return seen.protocol === 'mptcp' ? 'MPTCP' : 'TCP only'
}
