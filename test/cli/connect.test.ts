import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { cert, key } from '../support/certificate.js'
import { referenceConverter } from '../support/reference-converter.js'
import { atsss } from './atsss.js'

const directory = mkdtempSync(join(tmpdir(), 'atsss-connect-'))
afterAll(() => rmSync(directory, { recursive: true }))

/** Answers with what it got, and how much that was, once the client has ended its side. */
function answer(socket: net.Socket): void {
  const chunks: Buffer[] = []
  socket.on('data', chunk => chunks.push(chunk)).on('error', () => {})
  socket.on('end', () => {
    const all = Buffer.concat(chunks)
    socket.end(`${all.length} bytes\n${all}`)
  })
}

async function listening(server: net.Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as net.AddressInfo).port
}

test('standard input ends one side; what comes after that is printed', async () => {
  const port = await listening(net.createServer({ allowHalfOpen: true }, answer))
  const input = 'x'.repeat(200_000)
  const { status, stdout, stderr } = await atsss(['connect', '127.0.0.1', String(port)], input)
  expect(stdout).toBe(`200000 bytes\n${input}`)
  expect([status, stderr]).toEqual([0, ''])
})

test('through a converter, with a report on standard error', async () => {
  const port = await listening(net.createServer({ allowHalfOpen: true }, answer))
  await using running = await referenceConverter()
  const args = ['connect', '-v', '--converter', running.name, '--allow-loopback', `127.0.0.1:${port}`]
  const { status, stdout, stderr } = await atsss(args, 'hello')
  expect([status, stdout]).toEqual([0, '5 bytes\nhello'])
  expect(running.connections.length).toBeGreaterThan(0)
  const report = new RegExp(
    `^connected after \\d+ ms: (MPTCP|TCP \\(.*\\)) to 127.0.0.1 port ${port}, through the converter ${running.name}, [01]-RTT`,
  )
  expect(stderr).toMatch(report)
  expect(stderr).toMatch(/\nended: 5 bytes sent, 13 received\n$/)
})

test('TLS, checked against the authority given; with another one it fails', async () => {
  const port = await listening(tls.createServer({ cert, key, allowHalfOpen: true }, answer))
  const ca = join(directory, 'ca.pem')
  writeFileSync(ca, cert)
  const place = ['127.0.0.1', String(port)]
  const [good, bad, insecure] = await Promise.all([
    atsss(['connect', '--tls', '--ca', ca, '--servername', 'localhost', '-v', ...place], 'secret'),
    atsss(['connect', '--tls', ...place], 'secret'),
    atsss(['connect', '--tls', '--insecure', ...place], 'secret'),
  ])
  expect([good.status, good.stdout]).toEqual([0, '6 bytes\nsecret'])
  expect(good.stderr).toContain('TLSv1.3, TLS_')
  expect([bad.status, bad.stdout]).toEqual([1, ''])
  expect(bad.stderr).toMatch(/^atsss connect: self-signed certificate.*\n$/) // newer Nodes add advice
  expect([insecure.status, insecure.stdout]).toEqual([0, '6 bytes\nsecret'])
}, 20_000)

test('a refused connection: one line, status 1, even while standard input is open', async () => {
  const server = net.createServer()
  const port = await listening(server)
  await new Promise(resolve => server.close(resolve))
  const { status, stderr } = await atsss(['connect', '127.0.0.1', String(port)], 'hello')
  expect([status, stderr]).toEqual([1, `atsss connect: connect ECONNREFUSED 127.0.0.1:${port}\n`])
})

test('--keep-open: the end of standard input ends nothing; the end of the server does', async () => {
  const ended: boolean[] = []
  const port = await listening(
    net.createServer({ allowHalfOpen: true }, socket => {
      socket.on('data', () => setTimeout(() => socket.end(`ended ${ended.length}`), 300)).on('error', () => {})
      socket.on('end', () => ended.push(true))
    }),
  )
  const { status, stdout } = await atsss(['connect', '--keep-open', '127.0.0.1', String(port)], 'hello')
  expect([status, stdout]).toEqual([0, 'ended 0'])
})

test('the peer resets: status 1', async () => {
  const port = await listening(net.createServer(socket => socket.once('data', () => socket.resetAndDestroy())))
  const { status, stderr } = await atsss(['connect', '127.0.0.1', String(port)], 'hello')
  expect([status, stderr]).toEqual([1, 'atsss connect: read ECONNRESET\n'])
})

test.each([
  [['--3gpp', 'wwan0', 'a:1'], '--3gpp and --non-3gpp must be given together'],
  [['--rules', 'handover', 'a:1'], '--rules needs a session: also give --3gpp INTERFACE and --non-3gpp INTERFACE'],
  [['--mptcp', 'always', 'a:1'], "--mptcp must be 'prefer', 'require' or 'off'; it is 'always'"],
])('%j is a wrong command line', async (args, message) => {
  const { status, stderr } = await atsss(['connect', ...args])
  expect([status, stderr]).toEqual([2, `atsss connect: ${message}\nSee atsss connect --help\n`])
})
