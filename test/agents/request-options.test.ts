/**
 * Agents get all options of a request, whoever they are for. Those that only have a name of ours are passed over, as Node's agents pass
 * them over; what the agent itself was given counts.
 */
import http from 'node:http'
import https from 'node:https'
import type net from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { HttpAgent, HttpsAgent } from '../../lib/agents/http.js'
import { MaPduSession } from '../../lib/session/session.js'
import { cert, key } from '../support/certificate.js'
import { listening } from '../support/mptcp-server.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'

/** With these names, other libraries mean other things. */
const OF_OTHERS: object[] = [
  { cookies: { a: 'b' } },
  { info: 'request 1' },
  { interfaces: [] },
  { converter: 7 },
  { convert: true },
  { interface: 'web' },
  { fallback: () => {} },
  { mptcp: 'off' },
  { converters: '192.0.2.1:9' },
  { connectTimeout: 'soon' },
  { earlyData: 1, pipelining: 4, tcpOptions: 'all' },
  { rules: [], rule: 1 },
  { watch: true, application: 'web', controller: {}, accesses: 'all', container: document },
]

function document() {}

const answered = (get: typeof http.get, options: object) =>
  new Promise<unknown>(resolve => {
    try {
      const request = get(options as http.RequestOptions, response =>
        response
          .resume()
          .on('end', () => resolve((response.socket as { mptcp?: { protocol: string } }).mptcp?.protocol ?? 'node')),
      )
      request.on('error', ({ message }) => resolve(message))
    } catch (error) {
      resolve((error as Error).message)
    }
  })

requires('MPTCP', mptcp).describe('options of a request', () => {
  const sources = {
    'options of connect()': () => ({ mptcp: 'require' as const }),
    'a session': () => {
      const session = new MaPduSession({
        ...{ accesses: { '3gpp': 'nowhere0', 'non-3gpp': 'lo' }, rules: 'handover', controller: 'inline' },
        mptcp: 'require',
      } as const)
      onTestFinished(() => session.close())
      return session
    },
  }
  for (const [what, source] of Object.entries(sources)) {
    test(`http, with ${what}`, async () => {
      await using server = await listening(http.createServer((_, response) => response.end('ok')) as net.Server)
      const agent = new HttpAgent(source(), { keepAlive: false })
      for (const extra of OF_OTHERS)
        expect([extra, await answered(http.get, { host: '127.0.0.1', port: server.port, agent, ...extra })]).toEqual([
          extra,
          'mptcp',
        ])
    })

    test(`https, with ${what}`, async () => {
      const made = https.createServer({ cert, key }, (_, response) => response.end('ok'))
      await using server = await listening(made as unknown as net.Server)
      const agent = new HttpsAgent(source(), { keepAlive: false })
      for (const extra of OF_OTHERS) {
        const place = { host: '127.0.0.1', port: server.port, agent, ca: cert, servername: 'localhost' }
        const got = await answered(https.get as typeof http.get, { ...place, ...extra })
        expect([extra, got]).toEqual([extra, 'node']) // the TLSSocket above it
      }
    })
  }
})

describe('proxies that Node’s own agents know', () => {
  for (const Agent of [HttpAgent, HttpsAgent]) {
    test.each(['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy'])(
      `${Agent.name}, %s: refused at once`,
      name => {
        const options = { proxyEnv: { [name]: 'http://192.0.2.1:8080' } } as http.AgentOptions
        expect(() => new Agent({}, options)).toThrow(
          expect.objectContaining({
            code: 'ERR_ATSSS_OPTION',
            message: expect.stringContaining('"proxyEnv" has no effect'),
          }),
        )
      },
    )

    test.each([[{}], [{ NO_PROXY: '*' }], [{ HTTP_PROXY: '' }], [undefined]])(
      `${Agent.name}: %j names none`,
      proxyEnv => {
        expect(() => new Agent({}, { proxyEnv } as http.AgentOptions)).not.toThrow()
      },
    )
  }
})
