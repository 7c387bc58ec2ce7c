import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { expect, test } from 'vitest'
import { compiled } from '../support/compiled.js'

test("the lab's web server: a long answer to a slow reader, without a warning about listeners", async () => {
  const port = await freePort()
  const server = spawn(process.execPath, [compiled('lib/cli/lab/web-server.ts'), String(port), '127.0.0.1'])
  let complaints = ''
  server.stderr.setEncoding('utf8').on('data', text => (complaints += text))
  try {
    await once(server.stdout, 'data')
    const request = get({ host: '127.0.0.1', port, path: '/bytes/30000000', agent: false })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    let received = 0
    for await (const piece of response) received += piece.length
    expect(received).toBe(30_000_000)
    expect(complaints).toBe('')
  } finally {
    server.kill()
    await once(server, 'close')
  }
})

test("the lab's web server: a film comes at its rate, and no faster", async () => {
  const port = await freePort()
  const server = spawn(process.execPath, [compiled('lib/cli/lab/web-server.ts'), String(port), '127.0.0.1'])
  try {
    await once(server.stdout, 'data')
    const request = get({ host: '127.0.0.1', port, path: '/stream/8', agent: false })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    const begun = performance.now()
    let received = 0
    for await (const piece of response) {
      received += piece.length
      if (received > 400_000) break
    }
    // 8 Mbit/s are 1000 bytes a millisecond. A piece may be on its way already.
    expect(received).toBeLessThanOrEqual(1000 * (performance.now() - begun) + 2 * 65_536)
  } finally {
    server.kill()
    await once(server, 'close')
  }
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
