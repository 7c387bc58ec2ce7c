/** Ways to ask an HTTPS server, each with a new connection for each request. */
import { once } from 'node:events'
import https from 'node:https'
import type { TLSSocket } from 'node:tls'
import { HttpsProxyAgent } from 'https-proxy-agent'
import { SocksProxyAgent } from 'socks-proxy-agent'
import { Client } from 'undici7'
import { cert } from '../test/support/certificate.js'
import type { HttpsContender } from './measures.js'
import type { Place } from './places.js'
import { connector, HttpsAgent, preload } from './shipped.js'

export interface Asked {
  /** Milliseconds since the request was made. */
  secureConnect: number
  firstByte: number
  isResumed: boolean
  /** The address that the server saw, and our own. */
  seenAddress: string
  ownAddress: string
}

/** @param isResumed whether the TLS session of the request before is resumed */
export type HttpsClient = (place: Place, isResumed: boolean) => () => Promise<Asked>

/** The certificate's name; the server is asked for by its address. */
const trusted = { ca: cert, servername: 'localhost' }

export const httpsClients: Record<HttpsContender, HttpsClient> = {
  https: (place, isResumed) => overAgent(place, new https.Agent({ keepAlive: false, maxCachedSessions: 0 }), isResumed),
  agent: (place, isResumed) => {
    const { converter: converters } = place
    return overAgent(place, new HttpsAgent({ converters }, { keepAlive: false, maxCachedSessions: 0 }), isResumed)
  },
  preload: (place, isResumed) => {
    preload({ converters: place.converter }, { includeLocal: true })
    return overAgent(place, new https.Agent({ keepAlive: false, maxCachedSessions: 0 }), isResumed)
  },
  'socks-agent': (place, isResumed) => {
    const { host, port } = place.socks!
    return overAgent(place, new SocksProxyAgent(`socks5://${host}:${port}`), isResumed)
  },
  'proxy-agent': (place, isResumed) => {
    const { host, port } = place.httpProxy!
    return overAgent(place, new HttpsProxyAgent(`http://${host}:${port}`), isResumed)
  },
  connector: (place, isResumed) => {
    const maxCachedSessions = isResumed ? 1 : 0
    const connect = connector({ converters: place.converter }, { tls: trusted, maxCachedSessions })
    return async () => {
      const began = performance.now()
      let secureConnect = 0
      let socket: TLSSocket | undefined
      const client = new Client(`https://${place.address}:${place.https}`, {
        connect: (target, done) =>
          connect(target, (error, connected) => {
            secureConnect = performance.now() - began
            socket = connected as TLSSocket
            if (error) done(error, null)
            else done(null, connected!)
          }),
      })
      const { body } = await client.request({ path: '/', method: 'GET' })
      const firstByte = performance.now() - began
      const ownAddress = socket!.localAddress!
      const wasResumed = socket!.isSessionReused()
      const seenAddress = await body.text()
      await client.close()
      return { secureConnect, firstByte, isResumed: wasResumed, seenAddress, ownAddress }
    }
  },
}

/** Sessions are handed on here, since agents for proxies do not keep them. */
function overAgent(
  { address: host, https: port }: Place,
  agent: https.Agent,
  isResumed: boolean,
): () => Promise<Asked> {
  let session: Buffer | undefined
  return async () => {
    const began = performance.now()
    let secureConnect = 0
    let socket: TLSSocket | undefined
    const options = { host, port, agent, ...trusted, ...(isResumed && { session }) }
    const request = https.get(options).on('socket', given => {
      socket = given as TLSSocket
      socket.once('secureConnect', () => {
        secureConnect = performance.now() - began
      })
      socket.on('session', made => {
        session = made
      })
    })
    const [response] = await once(request, 'response')
    const firstByte = performance.now() - began
    const { localAddress: ownAddress } = socket!
    const wasResumed = socket!.isSessionReused()
    let seenAddress = ''
    for await (const chunk of response) seenAddress += chunk
    return { secureConnect, firstByte, isResumed: wasResumed, seenAddress, ownAddress: ownAddress! }
  }
}
