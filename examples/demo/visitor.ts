/** A host in the data network that knows nothing of MPTCP. Fetches a URL, reports when a part of it has arrived, and then the result. */
import { createHash } from 'node:crypto'
import { get } from 'node:http'

/** Its last line. */
export interface Fetched {
  bytes: number
  sha256: string
  /** Milliseconds. */
  took: number
  /** The longest time in which nothing arrived, in milliseconds. */
  longestGap: number
  /** Local port of its connection. */
  localPort: number
}

const [url = '', part = '0'] = process.argv.slice(2)
process.stdin.resume() // it lives until the demo, having read its output, ends it
const begun = performance.now()
console.log(JSON.stringify({ begun: true }))
get(url, async response => {
  const hash = createHash('sha256')
  const { localPort = 0 } = response.socket
  let [bytes, longestGap, last] = [0, 0, performance.now()]
  for await (const chunk of response) {
    const now = performance.now()
    longestGap = Math.max(longestGap, now - last)
    last = now
    if (bytes < Number(part) && bytes + chunk.length >= Number(part)) console.log(JSON.stringify({ part: true }))
    bytes += chunk.length
    hash.update(chunk)
  }
  const fetched: Fetched = { bytes, sha256: hash.digest('hex'), took: last - begun, longestGap, localPort }
  console.log(JSON.stringify({ fetched }))
})
