/** Servers that speak just enough of a protocol for its clients to connect, ask one thing, and leave. */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import { cert, key } from './certificate.js'

const numbers = new WeakMap<object, number>()
let last = 0

/** What servers answer with: connections are numbered. */
export function numberOf(socket: object): string {
  if (!numbers.has(socket)) numbers.set(socket, ++last)
  return `connection ${numbers.get(socket)}`
}

/** Says `ready` in the clear; TLS follows, and the protocol in it. @param early of TLS, what has come already */
function upgrade(
  socket: Duplex,
  ready: string,
  speak: (secure: tls.TLSSocket) => void,
  early: Uint8Array = Buffer.alloc(0),
): void {
  socket.removeAllListeners('data')
  socket.pause()
  if (ready !== '') socket.write(ready)
  if (early.length > 0) socket.unshift(early)
  speak(new tls.TLSSocket(socket as Socket, { isServer: true, cert, key }))
}

/** RESP 2: an array of bulk strings; GET and QUIT, and "OK" to all that clients say of themselves. @param answer to the key of GET */
export function redis(socket: Duplex, answer: (key: string) => string = () => numberOf(socket)): void {
  let rest = ''
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => {
    rest += chunk.toString('latin1')
    for (;;) {
      const words = takeWords()
      if (!words) return
      const word = words[0]!.toUpperCase()
      if (word === 'GET') {
        const text = answer(words[1]!)
        socket.write(`$${text.length}\r\n${text}\r\n`)
      } else if (word === 'INFO') socket.write('$23\r\nredis_version:7.0.0\r\n\r\n\r\n')
      else socket.write('+OK\r\n')
      if (word === 'QUIT') socket.end()
    }
  })
  function takeWords(): string[] | undefined {
    const lines = rest.split('\r\n')
    const count = Number(/^\*(\d+)$/.exec(lines[0] ?? '')?.[1])
    if (!(count > 0) || lines.length < 2 * count + 2) return undefined
    rest = lines.slice(2 * count + 1).join('\r\n')
    return Array.from({ length: count }, (_, index) => lines[2 * index + 2]!)
  }
}

/** Eight octets, and 1234.5679 as the version. */
const SSL_REQUEST = Buffer.from('0000000804d2162f', 'hex')

/**
 * PostgreSQL's frontend/backend protocol 3.0, in the clear or after an SSLRequest: no password, simple queries, one row of one text column.
 *
 * @param answer to the text of a query
 */
export function postgres(socket: Duplex, answer: (query: string) => string = () => numberOf(socket)): void {
  const message = (type: string, ...parts: (Buffer | string)[]) => {
    const body = Buffer.concat(parts.map(part => Buffer.from(part as string)))
    const head = Buffer.alloc(5)
    head.write(type)
    head.writeInt32BE(body.length + 4, 1)
    return Buffer.concat([head, body])
  }
  const int16 = (value: number) => Buffer.from([value >> 8, value & 255])
  const int32 = (value: number) => Buffer.from([value >> 24, value >> 16, value >> 8, value])
  const ready = message('Z', 'I')
  let rest = Buffer.alloc(0)
  let started = false
  socket.on('error', () => {})
  socket.on('data', chunk => {
    rest = Buffer.concat([rest, chunk as Buffer])
    for (;;) {
      if (!started && rest.equals(SSL_REQUEST)) return void upgrade(socket, 'S', secure => postgres(secure))
      const at = started ? 1 : 0
      if (rest.length < at + 4 || rest.length < at + rest.readInt32BE(at)) return
      const type = started ? String.fromCharCode(rest[0]!) : 'startup'
      const body = rest.subarray(at + 4, at + rest.readInt32BE(at))
      rest = rest.subarray(at + rest.readInt32BE(at))
      if (type === 'startup') {
        started = true
        socket.write(Buffer.concat([message('R', int32(0)), ready]))
      } else if (type === 'Q') {
        const text = answer(body.subarray(0, -1).toString())
        const column = [int32(0), int16(0), int32(25), int16(-1), int32(-1), int16(0)]
        socket.write(
          Buffer.concat([
            message('T', int16(1), 'connection\0', ...column),
            message('D', int16(1), int32(text.length), text),
            message('C', 'SELECT 1\0'),
            ready,
          ]),
        )
      } else if (type === 'X') socket.end()
    }
  })
}

/** SMTP (RFC 5321), which takes mail after STARTTLS (RFC 3207) only. */
export function smtp(socket: Duplex, isSecure = false): void {
  let rest = ''
  let isMail = false
  socket.on('error', () => {})
  if (!isSecure) socket.write('220 mail.example ESMTP\r\n')
  socket.on('data', (chunk: Buffer) => {
    rest += chunk.toString('latin1')
    for (let end = rest.indexOf('\r\n'); end >= 0; end = rest.indexOf('\r\n')) {
      const line = rest.slice(0, end)
      rest = rest.slice(end + 2)
      const [word] = line.toUpperCase().split(' ')
      if (isMail) {
        if (line !== '.') continue
        isMail = false
        socket.write(`250 ${numberOf(socket)}\r\n`)
      } else if (word === 'EHLO')
        socket.write(isSecure ? '250 mail.example\r\n' : '250-mail.example\r\n250 STARTTLS\r\n')
      else if (word === 'STARTTLS') return upgrade(socket, '220 go ahead\r\n', secure => smtp(secure, true))
      else if (word === 'QUIT') socket.end('221 bye\r\n')
      else if (!isSecure) socket.write('530 STARTTLS first\r\n')
      else if (word === 'DATA') {
        isMail = true
        socket.write('354 go ahead\r\n')
      } else socket.write('250 ok\r\n')
    }
  })
}

/** CLIENT_PROTOCOL_41, SSL, TRANSACTIONS, SECURE_CONNECTION, PLUGIN_AUTH, LONG_PASSWORD. */
const MYSQL_CAPABILITIES = 0x0008_aa01

/** MySQL's protocol 10, which takes the login after an SSLRequest only; every password is right, and every command succeeds. */
export function mysql(socket: Duplex): void {
  const packet = (sequence: number, body: Buffer) =>
    Buffer.concat([Buffer.from([body.length & 255, body.length >> 8, 0, sequence]), body])
  const ok = (sequence: number) => packet(sequence, Buffer.from('00000002000000', 'hex'))
  const capabilities = Buffer.alloc(4)
  capabilities.writeUInt32LE(MYSQL_CAPABILITIES)
  const greeting = [
    ...[Buffer.from('\x0a8.0.0\0'), Buffer.from([1, 0, 0, 0]), Buffer.from('12345678\0'), capabilities.subarray(0, 2)],
    ...[Buffer.from([45, 2, 0]), capabilities.subarray(2), Buffer.from([21]), Buffer.alloc(10)],
    ...[Buffer.from('123456789012\0'), Buffer.from('mysql_native_password\0')],
  ]
  socket.on('error', () => {})
  socket.write(packet(0, Buffer.concat(greeting)))
  // An SSLRequest has 32 octets behind the head of a packet.
  socket.once('data', (chunk: Buffer) => upgrade(socket, '', speak, chunk.subarray(36)))

  function speak(secure: tls.TLSSocket): void {
    let rest = Buffer.alloc(0)
    let isLoggedIn = false
    secure.on('error', () => {})
    secure.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk])
      while (rest.length >= 4 && rest.length >= 4 + rest.readUIntLE(0, 3)) {
        const [sequence, command] = [rest[3]!, rest[4]!]
        rest = rest.subarray(4 + rest.readUIntLE(0, 3))
        if (isLoggedIn && command === MYSQL_QUIT) return void secure.end()
        isLoggedIn = true
        secure.write(ok(sequence + 1))
      }
    })
  }
}

const MYSQL_QUIT = 1
