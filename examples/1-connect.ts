/**
 * Replaces net.connect in one line: the connection uses MPTCP, and goes through a Transport Converter if you name one.
 *
 *   npx tsx examples/1-connect.ts example.com 80                      # straight to the server; TCP if it has no MPTCP
 *   npx tsx examples/1-connect.ts example.com 80 192.0.2.1:5124       # through a converter
 */
// import { connect } from 'node:net'
import { connect } from 'atsss'

const [host = 'example.com', port = '80', converter] = process.argv.slice(2)

const socket = connect({ host, port: Number(port), ...(converter ? { converters: converter } : {}) })
socket.on('connect', () => {
  const { protocol, fallback, convert } = socket.mptcp
  const way = converter ? `through ${converter} (${convert})` : 'directly'
  console.error(`connected to ${socket.remoteAddress}:${socket.remotePort} ${way} over ${protocol}`)
  if (fallback) console.error(`  not MPTCP: ${fallback}`)
})
socket.on('error', error => {
  console.error(error.message)
  process.exitCode = 1
})
socket.end(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
socket.pipe(process.stdout)
