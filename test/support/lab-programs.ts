/** Small programs for the hosts of a lab: each is the source of a CommonJS script for `node -e`. */
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Namespace } from '../../lib/lab/index.js'
import { addonPath } from './native-addon.js'

export const MPTCP = 262

/** Starts a script, and waits for its first line. */
export async function start(host: Namespace, script: string): Promise<Program> {
  const child = host.spawn(process.execPath, ['-e', script])
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  let complaints = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints += text
  })
  const line = async () => {
    const { value, done } = await lines.next()
    if (done) throw new Error(`the program in ${host.name} has ended: ${complaints}`)
    return value
  }
  await line()
  return { child, line }
}

export interface Program {
  child: ChildProcessWithoutNullStreams
  /** The next line it says. */
  line(): Promise<string>
}

/** Runs a script to its end; gives what it says, as JSON. */
export async function result<T>(host: Namespace, script: string): Promise<T> {
  const { stdout, stderr, code } = await host.run(process.execPath, ['-e', script])
  if (code !== 0) throw new Error(`a program in ${host.name} ended with ${code}: ${stderr}`)
  return JSON.parse(stdout) as T
}

/** Sends back every datagram to UDP port 7, of both families. */
export const udpEcho = `
  const socket = require('dgram').createSocket('udp6')
  socket.on('message', (bytes, from) => socket.send(bytes, from.port, from.address))
  socket.bind(7, '::', () => console.log('ready'))`

/** Sends the numbers from 0 to UDP port 9, padded to a size, `burst` of them each millisecond. */
export const udpCount = (address: string, count: number, { size = 4, burst = 5 } = {}) => `
  const socket = require('dgram').createSocket('udp4')
  let next = 0
  const send = () => {
    for (let i = 0; i < ${burst} && next < ${count}; i++) socket.send(String(next++).padEnd(${size}), 9, '${address}')
    if (next < ${count}) setTimeout(send, 1)
    else setTimeout(() => console.log('{}') || socket.close(), 100)
  }
  send()`

/** The round trip times to the echo, in milliseconds, shortest first; those without an answer in a second are left out. */
export const udpPing = (address: string, count = 20) => `
  const socket = require('dgram').createSocket('${address.includes(':') ? 'udp6' : 'udp4'}')
  const times = []
  let sent = 0
  const ping = () => {
    if (sent++ === ${count}) return console.log(JSON.stringify(times.sort((a, b) => a - b))) || socket.close()
    const start = performance.now()
    const next = () => { clearTimeout(timer); socket.removeAllListeners('message'); ping() }
    const timer = setTimeout(next, 1000)
    socket.once('message', () => { times.push(performance.now() - start); next() })
    socket.send('ping', 7, '${address}')
  }
  ping()`

/** Counts what comes to TCP port 5001, and says megabits per second of each connection. */
export const tcpSink = `
  const server = require('net').createServer(socket => {
    let bytes = 0, start
    socket.on('data', data => { start ??= performance.now(); bytes += data.length })
    socket.on('end', () => console.log(bytes * 8 / (performance.now() - start) / 1000))
  })
  server.listen(5001, '::', () => console.log('ready'))`

/** Sends to port 5001 for as long as it is told. */
export const tcpSource = (address: string, seconds: number) => `
  const socket = require('net').connect(5001, '${address}')
  const block = Buffer.alloc(65536)
  const end = Date.now() + ${seconds * 1000}
  const send = () => { while (Date.now() < end && socket.write(block)); if (Date.now() >= end) socket.end() }
  socket.on('connect', send).on('drain', send).on('close', () => console.log('{}'))`

/** Sends back to its client what comes to MPTCP port 5002, SYN data included. */
export const mptcpEcho = `
  const addon = require(${JSON.stringify(addonPath)})
  const fd = addon.socket(6, ${MPTCP})
  addon.setsockopt(fd, 6, 23, new Uint8Array([16, 0, 0, 0])) // TCP_FASTOPEN
  addon.bind(fd, '::', 5002)
  addon.listen(fd, 16)
  addon.release(fd)
  // The kernel does not send what is written before the handshake is done.
  const server = require('net').createServer(socket => setTimeout(() => socket.pipe(socket), 100))
  server.listen({ fd }, () => console.log('ready'))`

/** Connects with "hello" in the SYN, or after the handshake; sends as many bytes more; says how many came back in all. */
export const mptcpHello = (address: string, { synData = true, more = 0 } = {}) => `
  const addon = require(${JSON.stringify(addonPath)})
  const net = require('net')
  const fd = addon.socket(${address.includes(':') ? 6 : 4}, ${MPTCP})
  const hello = Buffer.from('hello')
  let taken = 0
  if (${synData}) {
    addon.setsockopt(fd, 6, 34, new Uint8Array([1, 0, 0, 0])) // TCP_FASTOPEN_NO_COOKIE
    taken = addon.sendFastOpen(fd, '${address}', 5002, hello)
  } else addon.connect(fd, '${address}', 5002)
  const reactor = new addon.Reactor(({ status }) => {
    reactor.keepAlive(false)
    if (status !== 0) throw new Error('connect: errno ' + status)
    addon.release(fd)
    let bytes = 0
    const socket = new net.Socket({ fd })
    socket.on('data', data => {
      bytes += data.length
      if (bytes === hello.length + ${more}) socket.destroy()
    })
    socket.on('close', () => console.log(JSON.stringify({ bytes })))
    socket.write(hello.subarray(taken))
    if (${more} > 0) socket.write(Buffer.alloc(${more}))
  })
  reactor.keepAlive(true)
  reactor.awaitConnected(fd)`
