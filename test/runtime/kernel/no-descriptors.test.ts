/** A process that has no descriptors left when it first needs the addon. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect } from 'vitest'
import { entry } from '../../support/client-script.js'
import { compiledUrl } from '../../support/compiled.js'
import { mptcp } from '../../support/probes.js'
import { requires } from '../../support/requires.js'

const SCRIPT = `
import fs from 'node:fs'
import net from 'node:net'
import { connect } from ${JSON.stringify(entry)}
import { createConverter } from ${JSON.stringify(compiledUrl('lib/converter/index.ts'))}
const server = net.createServer(socket => socket.on('error', () => {}).end()).listen(0, '127.0.0.1')
await new Promise(resolve => server.once('listening', resolve))
const outcome = make => new Promise(resolve => {
  const socket = make({ port: server.address().port, host: '127.0.0.1' }).resume()
  socket.on('error', error => resolve(error.code)).on('connect', () => resolve('connected'))
})
const full = []
try { for (;;) full.push(fs.openSync('/dev/null')) } catch {}
const without = [await outcome(net.connect), await outcome(connect), await createConverter().listen().catch(e => e.code)]
for (const fd of full) fs.closeSync(fd)
const converter = createConverter()
await converter.listen()
console.log(JSON.stringify([...without, await outcome(connect), converter.listening[0].protocol]))
process.exit()`

requires('MPTCP', mptcp)(
  'the error is EMFILE, as with net.connect, and the addon is loaded the next time',
  async () => {
    const args = ['-c', 'ulimit -n 120; exec "$0" --input-type=module -e "$1"', process.execPath, SCRIPT]
    const child = spawn('sh', args)
    let [out, err] = ['', '']
    child.stdout.on('data', text => (out += text))
    child.stderr.on('data', text => (err += text))
    await once(child, 'close')
    expect(err).toBe('')
    expect(JSON.parse(out)).toEqual(['EMFILE', 'EMFILE', 'EMFILE', 'connected', 'mptcp'])
  },
)
