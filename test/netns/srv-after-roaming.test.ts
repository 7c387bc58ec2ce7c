/** A device changes networks, and /etc/resolv.conf names other name servers: converters by SRV are found as those by name are. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { entry } from '../support/client-script.js'
import { all, mptcp, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'

/** In namespaces of its own, where its argument is /etc/resolv.conf. That the converter refuses shows that it has been found. */
const SCRIPT = `
import dgram from 'node:dgram'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect } from ${JSON.stringify(entry)}

const labels = name => Buffer.concat(name.split('.').map(part => Buffer.concat([Buffer.of(part.length), Buffer.from(part)])))
const RECORDS = {
  33: Buffer.concat([Buffer.of(0, 0, 0, 0, 0, 1), labels('converter.operator.test'), Buffer.of(0)]),
  1: Buffer.of(127, 0, 0, 1),
}
async function nameServer(address) {
  const socket = dgram.createSocket('udp4')
  socket.on('message', (query, from) => {
    const end = query.indexOf(0, 12) + 5
    const type = query.readUInt16BE(end - 4)
    const data = RECORDS[type]
    const record = data ? Buffer.concat([Buffer.of(0xc0, 12, 0, type, 0, 1, 0, 0, 0, 1, 0, data.length), data]) : Buffer.alloc(0)
    const header = Buffer.concat([query.subarray(0, 2), Buffer.of(0x81, 0x80, 0, 1, 0, data ? 1 : 0, 0, 0, 0, 0)])
    socket.send(Buffer.concat([header, query.subarray(12, end), record]), from.port, from.address)
  })
  socket.bind(53, address)
  await once(socket, 'listening')
  return socket
}
const outcome = () => new Promise(resolve => {
  const options = { host: '203.0.113.1', port: 80, converters: '_convert._tcp.operator.test', connectTimeout: 8000 }
  connect(options).on('error', error => resolve(error.code))
})
const home = await nameServer('127.0.0.53')
await nameServer('127.0.0.54')
const before = await outcome()
home.close()
writeFileSync(process.argv[1], 'nameserver 127.0.0.54\\n')
console.log(before, await outcome())
process.exit()`

requires('network namespaces and MPTCP', all(root, netns, mptcp))(
  'a converter by SRV is found by the name servers of the new network',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'atsss-'))
    try {
      const file = join(folder, 'resolv.conf')
      writeFileSync(file, 'nameserver 127.0.0.53\n')
      const inside =
        'ip link set lo up && mount --bind "$0" /etc/resolv.conf && exec "$1" --input-type=module -e "$2" "$0"'
      const child = spawn('unshare', ['-mn', 'sh', '-c', inside, file, process.execPath, SCRIPT])
      let [out, err] = ['', '']
      child.stdout.on('data', text => (out += text))
      child.stderr.on('data', text => (err += text))
      await once(child, 'close')
      expect(err).toBe('')
      expect(out.trim()).toBe('ECONNREFUSED ECONNREFUSED')
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
  30_000,
)
