/** When the TLS handshake of an HTTPS request is done, and when the answer begins. */
import { type Asked, httpsClients } from '../https.js'
import type { HttpsContender } from '../measures.js'
import type { Place } from '../places.js'
import { median } from '../statistics.js'
import type { Figures } from './trial.js'

export async function https(place: Place, name: HttpsContender, size: number, isResumed: boolean): Promise<Figures> {
  const ask = httpsClients[name](place, isResumed)
  await ask()
  const all: Asked[] = []
  for (let count = 0; count < size; count++) {
    const asked = await ask()
    const isDirect = asked.seenAddress === asked.ownAddress
    if (isDirect !== (name === 'https')) throw new Error(`the server saw ${asked.seenAddress}`)
    if (asked.isResumed !== isResumed) throw new Error(`the TLS session was ${asked.isResumed ? '' : 'not '}resumed`)
    all.push(asked)
  }
  return {
    secureConnect: median(all.map(({ secureConnect }) => secureConnect)),
    firstByte: median(all.map(({ firstByte }) => firstByte)),
  }
}
