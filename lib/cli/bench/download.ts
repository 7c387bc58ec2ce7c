/** Measures downloads while they run. */
import { once } from 'node:events'
import { type ClientRequestArgs, get as getHttp, type IncomingMessage } from 'node:http'
import { get as getHttps } from 'node:https'
import { AtsssError } from '../../errors.js'
import type { MaPduSession } from '../../index.js'
import { openTo, type Transfer } from './transfer.js'

/**
 * Downloads the URL over the session until the time is over, repeatedly if the file is short.
 *
 * @param ms how long, from the first octet on
 * @throws ERR_ATSSS_OPTION for an answer without a download; the errors of the connection
 */
export async function download(session: MaPduSession, url: URL, ms: number): Promise<Transfer> {
  let bytes = 0
  let first: number | undefined
  let last = 0
  let longestGap = 0
  while (first === undefined || performance.now() - first < ms) {
    const response = await request(session, url)
    const before = bytes
    let isWhole = true
    for await (const chunk of response) {
      const now = performance.now()
      first ??= now
      if (last > 0) longestGap = Math.max(longestGap, now - last)
      last = now
      bytes += (chunk as Buffer).length
      isWhole = now - first < ms
      if (!isWhole) break
    }
    response.destroy()
    const size = bytes - before
    if (isWhole && size < LEAST_BYTES)
      throw new AtsssError(
        'ERR_ATSSS_OPTION',
        `${url} has ${size} bytes, which is too little to measure: give the URL of a file of some megabytes`,
      )
  }
  return { bytes, duration: last - first, longestGap }
}

/** Less than this is in the first round trips, and measures nothing but them. */
const LEAST_BYTES = 100_000

async function request(session: MaPduSession, url: URL): Promise<IncomingMessage> {
  // No `agent`, not even `false`: Node would not call createConnection.
  const options: ClientRequestArgs = { createConnection: () => openTo(session, url).stream }
  const sent = (url.protocol === 'https:' ? getHttps : getHttp)(url, options)
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  if (response.statusCode === 200) return response
  response.destroy()
  throw new AtsssError(
    'ERR_ATSSS_OPTION',
    `${url} answered with status ${response.statusCode}: give the URL of a large file`,
  )
}
