/** A host of the data network that knows nothing of MPTCP: fetches a URL, says when a part has come, and then how it went. */
import { createHash } from 'node:crypto'
import { get } from 'node:http'

/** Its last line. */
export interface Fetched {
  bytes: number
  sha256: string
  /** Milliseconds. */
  took: number
  /** For how long nothing came at most, milliseconds. */
  longestGap: number
  /** Of its connection. */
  localPort: number
}

const [url = '', part = '0'] = process.argv.slice(2)
process.stdin.resume() // the demo ends it, when it has read all of this
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
