/**
 * The server of the kernels' trial: `node server.js ADDRESS PORT`. The first line of a connection is an instruction:
 * `push BYTES EVERY` sends BYTES bytes every EVERY milliseconds, `send BYTES` sends them at once and ends, `take` only reads. Each line on
 * standard input is a connection's remote port. The answer is the longest time without a byte from that connection, in milliseconds; then
 * the next measurement begins.
 */
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'

const [address, port] = process.argv.slice(2)
/** By the device's name for the connection. */
const arrivals = new Map<string, { gap: number; last: number; bytes: number }>()

const server = createServer({ noDelay: true }, socket => {
  socket.on('error', () => {}) // the device's end reports it
  socket.once('data', first => {
    const [line = ''] = first.toString('latin1').split('\n')
    const [what, ...words] = line.split(' ')
    if (what === 'push') push(socket, Number(words[0]), Number(words[1]))
    else if (what === 'send') socket.end(Buffer.alloc(Number(words[0])))
    else if (what === 'take') take(socket, words[0]!)
    else socket.destroy()
    socket.resume()
  })
})
server.listen(Number(port), address)
await once(server, 'listening')
process.stdout.write('ready\n')

createInterface(process.stdin).on('line', name => {
  const arrival = arrivals.get(name)
  if (arrival === undefined) return void process.stdout.write(`${JSON.stringify({ gap: null, bytes: 0 })}\n`)
  const gap = Math.max(arrival.gap, performance.now() - arrival.last)
  process.stdout.write(`${JSON.stringify({ gap, bytes: arrival.bytes })}\n`)
  Object.assign(arrival, { gap: 0, last: performance.now() })
})

function push(socket: Socket, bytes: number, every: number): void {
  const piece = Buffer.alloc(bytes)
  const timer = setInterval(() => socket.write(piece), every)
  socket.on('close', () => clearInterval(timer))
}

function take(socket: Socket, name: string): void {
  const arrival = { gap: 0, last: performance.now(), bytes: 0 }
  arrivals.set(name, arrival)
  socket.on('data', data => {
    const now = performance.now()
    arrival.gap = Math.max(arrival.gap, now - arrival.last)
    arrival.last = now
    arrival.bytes += data.length
  })
}
