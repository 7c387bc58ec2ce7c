/** Measures uploads while they run. */
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import { AtsssError } from '../../errors.js'
import type { MaPduSession, MptcpSocket } from '../../index.js'
import { openTo, type Transfer } from './transfer.js'

/** How often is looked at what has been acknowledged, in milliseconds. */
const PERIOD_MS = 5
const PIECE = Buffer.alloc(65_536, 'The quick brown fox jumps over the lazy dog. ')

/**
 * Uploads to the URL over the session, by POST, until the time is over. Bytes count when the peer has acknowledged them, headers and
 * encryption included. Then the connection is reset: the request never ends.
 *
 * @param ms how long, from the first acknowledgement on
 * @throws ERR_ATSSS_OPTION for a server that answers before that; the errors of the connection
 */
export async function upload(session: MaPduSession, url: URL, ms: number): Promise<Transfer> {
  let carrier: MptcpSocket | undefined
  const createConnection = () => {
    const opened = openTo(session, url)
    carrier = opened.carrier
    return opened.stream
  }
  const headers = { 'content-type': 'application/octet-stream' }
  // No `agent`, not even `false`: Node would not call createConnection.
  const request = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, {
    method: 'POST',
    headers,
    createConnection,
  })
  const answered = new Promise<never>((_, reject) => {
    request.on('error', reject).on('response', response => {
      reject(
        new AtsssError(
          'ERR_ATSSS_OPTION',
          `${url} answered an upload with status ${response.statusCode} before its end: give a URL that takes large ones, by POST`,
        ),
      )
    })
  })
  const write = () => {
    while (!request.destroyed && request.write(PIECE));
  }
  request.on('drain', write)
  write()
  try {
    return await Promise.race([observed(() => carrier && acknowledged(session, carrier), ms), answered])
  } finally {
    request.on('error', () => {}).destroy()
  }
}

async function observed(read: () => number | undefined, ms: number): Promise<Transfer> {
  let first: { at: number; bytes: number } | undefined
  let last = { at: 0, bytes: 0 }
  let longestGap = 0
  for (;;) {
    const bytes = read() ?? 0
    const at = performance.now()
    if (bytes > last.bytes) {
      if (first) longestGap = Math.max(longestGap, at - last.at)
      last = { at, bytes }
      first ??= last
    }
    if (first && at - first.at >= ms)
      return {
        bytes: last.bytes - first.bytes,
        duration: last.at - first.at,
        // It may not be over.
        longestGap: Math.max(longestGap, at - last.at),
      }
    await sleep(PERIOD_MS)
  }
}

/** Where the kernel does not count what the peer has acknowledged, what was sent comes nearest. */
function acknowledged(session: MaPduSession, carrier: MptcpSocket): number | undefined {
  const found = session.stats().connections.find(({ socket }) => socket === carrier)
  if (!found) return undefined
  const sent = Object.values(found.carried).reduce((sum, each) => sum + each.bytesSent - each.bytesRetransmitted, 0)
  return found.bytesAcknowledged ?? sent
}
