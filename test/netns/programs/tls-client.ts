/**
 * Asks an HTTPS server, one connection after the other, and says when the handshake was done and when the answer was there:
 * `tls-client.ts JSON`.
 */
import { once } from 'node:events'
import http2 from 'node:http2'
import https from 'node:https'
import type { Socket } from 'node:net'
import tls from 'node:tls'
import { HttpsAgent } from '../../../lib/agents/http.js'
import { connectTls } from '../../../lib/agents/tls.js'
import { connector } from '../../../lib/agents/undici.js'
import type { MptcpOptions } from '../../../lib/input/options.js'
import { preload } from '../../../lib/preload/preload.js'
import { cert } from '../../support/certificate.js'

export interface TlsPlan {
  way: 'stock' | 'agent' | 'connectTls' | 'connector' | 'preload' | 'preload-tls' | 'preload-http2' | 'preload-fetch'
  options: MptcpOptions
  host: string
  times: number
}

export interface Asked {
  event: 'asked'
  /** Milliseconds since the connection was begun. */
  secureConnect: number | undefined
  firstByte: number
  answer: string
}

const plan = JSON.parse(process.argv[2]!) as TlsPlan
const { way, options, host } = plan
const trusted = { ca: cert, servername: 'localhost' }
const to = { host, port: 443, ...trusted }
const REQUEST = 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'
if (way.startsWith('preload')) preload(options, { includeLocal: true })
else await import('node:tls')

for (let round = 0; round < plan.times; round++) {
  const began = performance.now()
  const since = () => performance.now() - began
  let secureConnect: number | undefined
  const noted = <S extends Socket>(socket: S): S =>
    socket.once('secureConnect', () => {
      secureConnect = since()
    })
  const { firstByte, answer } = await asked(noted, since)
  process.stdout.write(`${JSON.stringify({ event: 'asked', secureConnect, firstByte, answer } satisfies Asked)}\n`)
}
process.stdout.write('{"event":"done"}\n', () => process.exit())

type Answered = Pick<Asked, 'firstByte' | 'answer'>

async function asked(noted: <S extends Socket>(socket: S) => S, since: () => number): Promise<Answered> {
  switch (way) {
    case 'stock':
    case 'preload':
      return overHttps(new https.Agent({ keepAlive: false }), noted, since)
    case 'agent':
      return overHttps(new HttpsAgent(options, { keepAlive: false }), noted, since)
    case 'connector': {
      const { Client } = await import('undici7')
      const client = new Client(`https://${host}:443`, { connect: connector(options, { tls: trusted }) })
      const { body } = await client.request({ path: '/', method: 'GET' })
      const firstByte = since()
      const answer = await body.text()
      await client.close()
      return { firstByte, answer }
    }
    case 'preload-fetch': {
      // Node's own undici takes no certificates. It warns of this variable.
      process.removeAllListeners('warning')
      process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
      const response = await fetch(`https://${host}:443`)
      const firstByte = since()
      return { firstByte, answer: await response.text() }
    }
    case 'connectTls':
      return overTls(noted(connectTls(options, to)), since)
    case 'preload-tls':
      return overTls(noted(tls.connect(to)), since)
    case 'preload-http2': {
      const session = http2.connect(`https://${host}:8443`, trusted)
      const stream = session.request({ ':path': '/' })
      await once(stream, 'response')
      const firstByte = since()
      let answer = ''
      for await (const chunk of stream) answer += chunk
      session.close()
      return { firstByte, answer }
    }
  }
}

async function overHttps(
  agent: https.Agent,
  noted: (socket: Socket) => Socket,
  since: () => number,
): Promise<Answered> {
  const asking = https.get({ ...to, agent }).on('socket', noted)
  const [response] = await once(asking, 'response')
  const firstByte = since()
  let answer = ''
  for await (const chunk of response) answer += chunk
  return { firstByte, answer }
}

async function overTls(socket: tls.TLSSocket, since: () => number): Promise<Answered> {
  socket.write(REQUEST)
  const [first] = await once(socket, 'data')
  const firstByte = since()
  let answer = String(first)
  for await (const chunk of socket) answer += chunk
  return { firstByte, answer }
}
