/** Wrong options of TLS: what stock Node throws is thrown, and nothing has been opened or looked up before. */
import https from 'node:https'
import net from 'node:net'
import tls from 'node:tls'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { HttpsAgent } from '../../lib/agents/http.js'
import { connectTls, type SecureOptions } from '../../lib/agents/tls.js'
import { connector } from '../../lib/agents/undici.js'
import { cert, key } from '../support/certificate.js'
import { leavesNothingOpen, open } from '../support/open-things.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { plain, thrownBy } from '../support/same-as-net.js'

const mptcpTest = requires('MPTCP', mptcp)

leavesNothingOpen()

const WRONG: Record<string, object> = {
  minVersion: { minVersion: 'TLSv9' },
  maxVersion: { maxVersion: 'TLSv0' },
  'minVersion and secureProtocol': { minVersion: 'TLSv1.2', secureProtocol: 'TLSv1_2_method' },
  ciphers: { ciphers: 'no-such-cipher' },
  'ciphers, the type': { ciphers: 7 },
  ecdhCurve: { ecdhCurve: 'no-such-curve' },
  sigalgs: { sigalgs: 'no-such-algorithm' },
  cert: { cert: 'no certificate' },
  key: { key: 'no key' },
  'key of another certificate': { cert, key: key.slice(0, 200) },
  ca: { ca: 7 },
  crl: { crl: 'no list' },
  pfx: { pfx: 'no pfx' },
  dhparam: { dhparam: 'no parameters' },
  secureProtocol: { secureProtocol: 'no_such_method' },
  sessionTimeout: { sessionTimeout: 'long' },
  ALPNProtocols: { ALPNProtocols: ['x'.repeat(256)] },
  'servername, the type': { servername: 7 },
  'session, the type': { session: 'no buffer' },
  session: { session: Buffer.from('no session') },
  checkServerIdentity: { checkServerIdentity: 'no function' },
  minDHSize: { minDHSize: 'large' },
  'minDHSize, the range': { minDHSize: 0 },
}

/** What the process gets that nobody has caught, while a test runs. */
const uncaught: unknown[] = []
const onUncaught = (error: unknown) => uncaught.push(error)
let theirs: NodeJS.UncaughtExceptionListener[]
beforeEach(() => {
  uncaught.length = 0
  theirs = process.listeners('uncaughtException') as typeof theirs
  process.removeAllListeners('uncaughtException').on('uncaughtException', onUncaught)
})
afterEach(() => {
  process.off('uncaughtException', onUncaught)
  for (const listener of theirs) process.on('uncaughtException', listener)
})

/** Notes the names that are looked up; none is found. */
function lookups() {
  const names: string[] = []
  const lookup = ((name: string, _: object, done: (error: Error) => void) => {
    names.push(name)
    setImmediate(() => done(Object.assign(new Error(`nothing is known of ${name}`), { code: 'ENOTFOUND' })))
  }) as unknown as net.LookupFunction
  return { names, lookup }
}

/** What stock tls.connect throws, with a socket that is not its own; undefined where it takes the option. */
const stock = (options: object) =>
  thrownBy(() => {
    const socket = new net.Socket()
    const secure = tls.connect({ ...options, socket }).on('error', () => {})
    secure.destroy()
  })

/** Time for everything that might come of a connection. */
const later = () => new Promise(resolve => setTimeout(resolve, 50))

mptcpTest.describe('thrown as tls.connect throws it, before anything is opened or looked up', () => {
  for (const [name, wrong] of Object.entries(WRONG))
    for (const host of ['127.0.0.1', 'server.example'])
      test(`${name}, ${host}`, async () => {
        const expected = stock(wrong)
        const { names, lookup } = lookups()
        const to = { host, port: 1, lookup, ...wrong } as SecureOptions & { port: number }
        const elsewhere = { port: 2, lookup: lookups().lookup }
        const before = open()

        let secure: tls.TLSSocket | undefined
        const thrown = thrownBy(() => {
          secure = connectTls({}, to)
          secure.on('error', () => {})
        })
        expect(thrown, 'connectTls').toEqual(expected)
        if (expected === undefined) {
          // This Node takes the option.
          secure!.destroy()
          return
        }

        const agent = new HttpsAgent({})
        const request = (options: https.RequestOptions) => https.get({ path: '/', ...options }).on('error', () => {})
        // Stock https leaves a connection behind in some of the cases: it goes to another port.
        const theirs = thrownBy(() => request({ ...to, ...elsewhere, agent: new https.Agent() } as never))
        expect(
          thrownBy(() => request({ ...to, agent } as never)),
          'HttpsAgent',
        ).toEqual(theirs)

        const connected = connector({}, { tls: to as tls.ConnectionOptions })
        const target = { protocol: 'https:', hostname: host, port: '1' }
        const reported = new Promise(resolve =>
          connected({ ...target, ...('servername' in wrong ? (wrong as object) : {}) } as never, (...[error]) =>
            resolve(plain(error)),
          ),
        )
        expect(open(), 'open').toEqual(before)
        expect(await reported, 'the connector').toEqual(expected)

        await later()
        expect(uncaught.filter(error => (error as { port?: number }).port === 1)).toEqual([])
        if (theirs !== undefined) expect(names).toEqual([])
        agent.destroy()
      })
})
