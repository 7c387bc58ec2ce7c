/**
 * The server: `peer.ts ADDRESS PORT`. A connection says in its first line what it is: `up`, and what follows is counted,
 * timed and hashed, and a receipt given at its end; or `down BYTES`, and it gets so many bytes of the pattern.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { patternChunk } from '../places.js'
import { clock, type Gap, type Receipt } from './tasks.js'

const GAPS_KEPT = 512
const BACKLOG = 4096
const [address, port] = process.argv.slice(2)
const chunk = patternChunk()

const server = createServer({ allowHalfOpen: true }, socket => {
  socket.on('error', () => {})
  socket.once('data', (data: Buffer) => {
    const end = data.indexOf('\n')
    const [word, amount] = data.subarray(0, end).toString().split(' ')
    if (word === 'up') receive(socket, data.subarray(end + 1))
    else void send(socket, Number(amount))
  })
})
server.listen({ host: address, port: Number(port), backlog: BACKLOG }, () => console.log('ready'))

function receive(socket: Socket, first: Buffer): void {
  const hash = createHash('sha256')
  const receipt: Receipt = { bytes: 0, sha256: '', firstAt: 0, lastAt: 0, gaps: [] }
  const take = (data: Buffer) => {
    if (data.length === 0) return
    const now = clock()
    if (receipt.bytes === 0) receipt.firstAt = now
    else note(receipt.gaps, [receipt.lastAt, now])
    receipt.lastAt = now
    receipt.bytes += data.length
    hash.update(data)
  }
  take(first)
  socket.on('data', take)
  socket.on('end', () => socket.end(JSON.stringify({ ...receipt, sha256: hash.digest('hex') })))
}

/** Longest first. */
function note(gaps: Gap[], gap: Gap): void {
  const length = ([from, to]: Gap) => to - from
  if (gaps.length === GAPS_KEPT && length(gap) <= length(gaps.at(-1)!)) return
  const at = gaps.findIndex(other => length(other) < length(gap))
  gaps.splice(at < 0 ? gaps.length : at, 0, gap)
  gaps.length = Math.min(gaps.length, GAPS_KEPT)
}

async function send(socket: Socket, amount: number): Promise<void> {
  for (let sent = 0; sent < amount && !socket.destroyed; sent += chunk.length)
    if (!socket.write(chunk.subarray(0, Math.min(chunk.length, amount - sent))))
      await once(socket, 'drain').catch(() => {})
  socket.end()
}
