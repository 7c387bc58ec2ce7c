/** Started by test/socket/server.test.ts: as nobody, listens on a privileged port with net and with ours, and sends the errors. */
import net from 'node:net'
import { isSupported } from '../../lib/runtime/kernel/support.js'
import { createServer } from '../../lib/socket/server.js'

isSupported() // loads the addon while it may still be read
if (process.getuid?.() === 0) process.setuid?.(65_534)
const errors: object[] = []
for (const create of [net.createServer, createServer])
  for (const host of ['127.0.0.1', undefined])
    errors.push(
      await new Promise<object>(resolve => {
        const server = (create as typeof net.createServer)().listen(7, host)
        server.on('error', error => resolve({ ...error, message: error.message }))
        server.on('listening', () => server.close(() => resolve({ listening: true })))
      }),
    )
process.send?.([errors.slice(0, 2), errors.slice(2)])
process.disconnect?.()
