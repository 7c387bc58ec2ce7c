import { createHash, randomBytes } from 'node:crypto'
import { Socket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import type { PcpOptions } from '../../../lib/converter/options/pcp.js'
import { encodePcpRequest, type PcpOption, RESULTS } from '../../../lib/wire/pcp/index.js'
import { hex } from '../../support/hex.js'
import { tcpFilters } from '../../support/probes.js'
import { requires } from '../../support/requires.js'
import { closing, until } from '../rig.js'
import { clientListener, incomingRig, NONCE, pcpClient, remote, somePorts } from './rig.js'

const needsFilters = requires('filters on TCP sockets', tcpFilters)
/** A bare header: yes. */
const YES = hex('01 01 22 63')

needsFilters.describe('a remote host and a client', () => {
  test('the client gets the address of the remote host; bytes and the ends of both streams are relayed', async () => {
    const { pcpPort, heard, converter } = await incomingRig()
    const client = await clientListener(YES, socket => socket.pipe(socket))
    const { port, lifetime, result } = await (await pcpClient(pcpPort)).map(client.port)
    expect([result, lifetime]).toEqual([0, 600])
    expect(heard.mappings).toEqual([`made ${port}`])
    const host = remote(port)
    host.socket.end('hello')
    await host.ended()
    expect(host.text()).toBe('hello')
    const from = heard.closed[0] ?? heard.established[0]!
    // RFC 8803 §6.1, §6.2.5: header of 6 words, Connect of 5, the remote host's port and IPv4-mapped address.
    const portDigits = from.remote.port.toString(16).padStart(4, '0')
    expect(client.messages).toEqual([
      Buffer.from(hex(`01 06 22 63 0a 05 ${portDigits} 00 00 00 00 00 00 00 00 00 00 ff ff 7f 00 00 01`)),
    ])
    await until(() => heard.closed.length === 1)
    expect(heard.closed[0]).toMatchObject({
      ...{
        state: 'closed',
        external: { address: '127.0.0.1', port },
        client: { address: '127.0.0.1', port: client.port },
      },
      ...{ bytes: { fromRemote: 5, fromClient: 5 } },
    })
    expect(converter.stats().incoming).toMatchObject({
      ...{ mappings: 1, connections: 0, accepted: 1, established: 1, failed: {}, requests: { success: 1 } },
    })
  })

  test('5 MB both ways come whole', async () => {
    const { pcpPort } = await incomingRig()
    const client = await clientListener(YES, socket => socket.pipe(socket))
    const { port } = await (await pcpClient(pcpPort)).map(client.port)
    const bytes = randomBytes(5_000_000)
    const host = remote(port)
    host.socket.end(bytes)
    await host.ended()
    expect(host.hash()).toBe(createHash('sha256').update(bytes).digest('hex'))
  })

  test('an answer in pieces, with TLVs, and the first bytes behind it', async () => {
    const { pcpPort } = await incomingRig()
    // Supported TCP Extensions: MPTCP.
    const answer = Buffer.concat([hex('01 03 22 63 15 02 00 00 1e 00 00 00'), Buffer.from('welcome')])
    const client = await clientListener(undefined, async socket => {
      for (const octet of answer) {
        socket.write(Buffer.of(octet))
        await new Promise(resolve => setTimeout(resolve, 2))
      }
      socket.end()
    })
    const { port } = await (await pcpClient(pcpPort)).map(client.port)
    const host = remote(port)
    await host.ended()
    expect(host.text()).toBe('welcome')
    host.socket.end()
  })

  test('without a mapping not a word, nor after its end; connections that are there stay', async () => {
    const ports = somePorts()
    const { pcpPort, heard } = await incomingRig({ ports: [ports] })
    const [first] = ports.split('-').map(Number)
    const before = remote(first!)
    expect(await before.isIgnored()).toBe(true)
    before.socket.destroy()
    const client = await clientListener(YES, socket => socket.pipe(socket))
    const pcp = await pcpClient(pcpPort)
    const { port } = await pcp.map(client.port)
    const host = remote(port)
    host.socket.write('one')
    await until(() => host.text() === 'one')
    expect(await pcp.map(client.port, { lifetime: 0 })).toMatchObject({ result: 0, lifetime: 0 })
    expect(heard.mappings).toEqual([`made ${port}`, `ended ${port}`])
    const after = remote(port)
    expect(await after.isIgnored()).toBe(true)
    after.socket.destroy()
    host.socket.end(' two')
    await host.ended()
    expect(host.text()).toBe('one two')
  })

  test('filters: other hosts get no answer at all', async () => {
    const { pcpPort } = await incomingRig()
    const client = await clientListener(YES, socket => socket.end('you may'))
    const pcp = await pcpClient(pcpPort)
    const only = (address: string, prefixLength = 32): PcpOption[] => [
      { type: 'clear-filters' },
      { type: 'filter', address, prefixLength, port: 0 },
    ]
    const { port, options } = await pcp.map(client.port, { options: only('127.0.0.2') })
    expect(options).toEqual(only('127.0.0.2'))
    const [stranger, friend] = [remote(port, '127.0.0.3'), remote(port, '127.0.0.2')]
    await friend.ended()
    expect(friend.text()).toBe('you may')
    expect(await stranger.isIgnored(100)).toBe(true)
    stranger.socket.destroy()
    friend.socket.end()
    // A prefix, then nobody at all.
    await pcp.map(client.port, { options: only('127.0.0.2', 31) })
    const neighbour = remote(port, '127.0.0.3')
    await neighbour.ended()
    neighbour.socket.end()
    await pcp.map(client.port, { options: [{ type: 'clear-filters' }] })
    const anybody = remote(port, '127.9.9.9')
    await anybody.ended()
    anybody.socket.end()
  })
})

needsFilters.describe('a client that is not as it should be', () => {
  const fails = async (answer: Uint8Array | undefined, failure: string, options = {}) => {
    const { pcpPort, heard, converter } = await incomingRig({}, options)
    const client = await clientListener(answer, socket => answer?.length === 0 && socket.end())
    const { port } = await (await pcpClient(pcpPort)).map(client.port)
    const host = remote(port)
    await host.closed()
    expect(host.error?.code).toBe('ECONNRESET')
    expect(host.text()).toBe('')
    await until(() => heard.closed.length === 1)
    expect(heard.closed[0]).toMatchObject({ failure })
    expect(converter.stats().incoming!.failed).toEqual({ [failure]: 1 })
  }

  test('garbage', () => fails(Buffer.from('HTTP/1.1 200 OK'), 'not-convert'))
  test('an Error TLV', () => fails(hex('01 02 22 63 1e 01 20 00'), 'refused'))
  test('an end', () => fails(hex(''), 'refused'))
  test('silence', () => fails(undefined, 'timeout', { connectTimeout: 200 }))

  test('the client does not listen', async () => {
    const { pcpPort, heard } = await incomingRig()
    const { port } = await (await pcpClient(pcpPort)).map(1)
    const host = remote(port)
    await host.closed()
    expect(host.error?.code).toBe('ECONNRESET')
    await until(() => heard.closed.length === 1)
    expect(heard.closed[0]).toMatchObject({ failure: 'unreachable' })
  })

  test('more connections than a client may have', async () => {
    const { pcpPort, heard } = await incomingRig({}, { maxPerClient: 1 })
    const client = await clientListener(YES, socket => socket.pipe(socket))
    const { port } = await (await pcpClient(pcpPort)).map(client.port)
    const first = remote(port)
    first.socket.write('x')
    await until(() => first.text() === 'x')
    const second = remote(port)
    await second.closed()
    await until(() => heard.closed.length === 1)
    expect(heard.closed[0]).toMatchObject({ failure: 'limited' })
    first.socket.end()
    await first.ended()
  })

  test('a remote host that disconnects at once leaves nothing behind', async () => {
    const { pcpPort, heard, converter } = await incomingRig()
    const client = await clientListener(YES, socket => socket.resume().on('end', () => socket.end()))
    const { port } = await (await pcpClient(pcpPort)).map(client.port)
    for (let i = 0; i < 20; i++) {
      const host = remote(port)
      await once(host.socket, 'connect')
      host.socket.resetAndDestroy()
    }
    await until(() => heard.closed.length === 20)
    expect(converter.stats().incoming).toMatchObject({ connections: 0, accepted: 20 })
  })
})

// Such a datagram takes a raw socket to send: here Node's socket says that it has come.
needsFilters('a request from port 0, which nobody can be answered at, is ignored, and harms nobody', async () => {
  const bound = vi.spyOn(Socket.prototype, 'bind')
  closing(() => bound.mockRestore())
  const { converter, pcpPort } = await incomingRig()
  const socket = bound.mock.contexts[0] as Socket
  const operation = { type: 'announce' as const }
  const bytes = encodePcpRequest({ lifetime: 0, clientAddress: '127.0.0.1', operation, options: [] })
  socket.emit('message', bytes, { address: '127.0.0.1', family: 'IPv4', port: 0, size: bytes.length })
  expect(converter.stats().incoming!.requests).toEqual({ ignored: 1 })
  expect(await (await pcpClient(pcpPort)).map(8080)).toMatchObject({ result: 0 })
})

needsFilters(
  'a remote host that cannot be accepted, for example for lack of descriptors, is reported, and other connections go on',
  async () => {
    const listening = vi.spyOn(Server.prototype, 'listen')
    closing(() => listening.mockRestore())
    const { converter } = await incomingRig()
    const told: Error[] = []
    converter.on('accept-error', error => told.push(error))
    const external = listening.mock.contexts.at(-1) as Server
    external.emit('error', new Error('accept ENFILE'))
    expect(told).toMatchObject([{ message: 'accept ENFILE' }])
  },
)

needsFilters.describe('a restart', () => {
  function stateFile(): string {
    const directory = mkdtempSync(join(tmpdir(), 'pcp-'))
    closing(() => rmSync(directory, { recursive: true }))
    return join(directory, 'state.json')
  }

  test('with a state file: mapping and epoch continue', async () => {
    const [file, ports] = [stateFile(), somePorts()]
    let now = 1_000_000_000_000
    const options = { now: () => now }
    const first = await incomingRig({ stateFile: file, ports: [ports] }, options)
    const client = await clientListener(YES, socket => socket.end('still here'))
    const pcp = await pcpClient(first.pcpPort)
    const { port, epoch } = await pcp.map(client.port)
    expect(epoch).toBe(0)
    now += 60_000
    await first.converter.close()
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const second = await incomingRig({ stateFile: file, ports: [ports] }, options)
    expect(second.converter.mappings).toMatchObject([{ external: { port }, paths: [{ address: '127.0.0.1' }] }])
    const host = remote(port)
    await host.ended()
    expect(host.text()).toBe('still here')
    host.socket.end()
    const again = await (await pcpClient(second.pcpPort)).map(client.port)
    expect(again).toMatchObject({ result: 0, epoch: 60, port })
  })

  test('one of two mappings is no longer available: the other accepts connections at once', async () => {
    const [file, ports] = [stateFile(), somePorts(2)]
    const [low, high] = ports.split('-').map(Number)
    const first = await incomingRig({ stateFile: file, ports: [ports] })
    const client = await clientListener(YES, socket => socket.end('still here'))
    const pcp = await pcpClient(first.pcpPort)
    expect(await pcp.map(client.port, { externalPort: low! })).toMatchObject({ result: 0, port: low })
    expect(await pcp.map(8080, { externalPort: high! })).toMatchObject({ result: 0, port: high })
    await first.converter.close()
    await incomingRig({ stateFile: file, ports: [String(low)] })
    const host = remote(low!)
    await host.ended()
    expect(host.text()).toBe('still here')
    host.socket.end()
  })

  /** A converter with two ports of which a client has the first, with these options; and it again, with the second only. */
  async function restart(options: PcpOption[], announce = false) {
    const [file, ports] = [stateFile(), somePorts(2)]
    const [low, high] = ports.split('-').map(Number) as [number, number]
    let now = 1_000_000_000_000
    const clock = { now: () => now }
    const first = await incomingRig({ stateFile: file, ports: [ports] }, clock)
    const client = await clientListener(YES, socket => socket.end('still here'))
    const pcp = await pcpClient(first.pcpPort)
    expect(await pcp.map(client.port, { externalPort: low, options })).toMatchObject({ result: 0, port: low })
    await first.converter.close()
    now += 100_000
    const again = (changed: PcpOptions = { ports: [String(high)] }) =>
      incomingRig({ stateFile: file, announce, ...changed }, clock)
    return { low, high, client, pcp, again, told: () => pcp.heard.slice(1) }
  }

  test('with a state file, but its port is taken: the mapping is moved, and the client is notified three times (RFC 6887 §14.2)', async () => {
    const filter: PcpOption = { type: 'filter', address: '127.0.0.1', prefixLength: 32, port: 0 }
    const { low, high, client, again, told } = await restart([filter])
    const { converter, heard } = await again()
    expect(heard.mappings).toEqual([`moved ${high}`])
    expect(converter.mappings).toMatchObject([{ external: { port: high }, paths: [{ required: false }] }])
    await until(() => told().length === 3)
    for (const each of told())
      expect(each).toEqual({
        // What is left of 600 s; and the epoch goes on, as nothing has been lost.
        ...{ version: 2, result: 0, lifetime: 500, epoch: 100 },
        operation: {
          ...{ type: 'map', nonce: NONCE, protocol: 6, internalPort: client.port },
          ...{ externalPort: high, externalAddress: '127.0.0.1' },
        },
        options: [filter],
      })
    const host = remote(high)
    await host.ended()
    expect(host.text()).toBe('still here')
    host.socket.end()
    expect(converter.mappings).not.toContainEqual(expect.objectContaining({ external: { port: low } }))
  })

  test('no more notifications once the client has sent a request', async () => {
    const { high, client, pcp, again, told } = await restart([])
    const { pcpPort } = await again()
    await until(() => told().length === 1)
    await pcp.map(client.port, { externalPort: high, at: pcpPort })
    // The answer: updates have what is left.
    await until(() => told().some(({ lifetime }) => lifetime === 600))
    const heard = told().length
    await pause(1_000)
    expect(told()).toHaveLength(heard)
  })

  test('if the client accepts no other (PREFER_FAILURE): the mapping ends, and the client is notified', async () => {
    const { low, client, again, told } = await restart([{ type: 'prefer-failure' }])
    const { converter, heard } = await again()
    expect(heard.mappings).toEqual([`ended ${low}`])
    expect(converter.mappings).toEqual([])
    await until(() => told().length === 3)
    expect(told()[0]).toEqual({
      ...{ version: 2, result: RESULTS['cannot-provide-external'], lifetime: 30, epoch: 100 },
      operation: {
        ...{ type: 'map', nonce: NONCE, protocol: 6, internalPort: client.port },
        ...{ externalPort: low, externalAddress: '127.0.0.1' },
      },
      options: [{ type: 'prefer-failure' }],
    })
  })

  test('with another external address: the epoch is reset (§8.5)', async () => {
    const { low, again, told } = await restart([])
    await again({ external: ['127.0.0.2'], ports: [String(low)] })
    await until(() => told().length === 3)
    expect(told()[2]).toMatchObject({
      epoch: 0,
      operation: { externalAddress: '127.0.0.2', externalPort: low },
    })
  })

  test('and no port is left: the client is notified of the loss, and the epoch is reset', async () => {
    const { again, told } = await restart([], true)
    const { heard } = await again({ external: ['::1'], ports: [somePorts(1)] })
    expect(heard.mappings).toMatchObject([expect.stringContaining('ended')])
    await until(() => told().length >= 2)
    for (const announced of told())
      expect(announced).toEqual({
        ...{ version: 2, result: 0, lifetime: 0, epoch: 0, operation: { type: 'announce' }, options: [] },
      })
  })

  test.each([
    ...['', '{}', 'no JSON', '{"format":"atsss-pcp-1","epochStart":0,"mappings":[{}]}'],
    // Which would not fit into an answer.
    '{"format":"atsss-pcp-1","epochStart":-1e13,"mappings":[]}',
  ])('with an invalid file: %s', async text => {
    const file = stateFile()
    writeFileSync(file, text)
    const { heard, pcpPort } = await incomingRig({ stateFile: file })
    expect(heard.degraded).toContain('pcp-state')
    expect(await (await pcpClient(pcpPort)).map(8080)).toMatchObject({ result: 0, epoch: 0 })
    await until(() => readFileSync(file, 'utf8').includes(Buffer.from(NONCE).toString('hex')))
  })

  test('without one: nothing is known', async () => {
    const ports = somePorts()
    const first = await incomingRig({ ports: [ports] })
    await (await pcpClient(first.pcpPort)).map(8080)
    await first.converter.close()
    const { converter } = await incomingRig({ ports: [ports] })
    expect(converter.mappings).toEqual([])
  })
})

describe('options', () => {
  test.each<[string, object]>([
    ['ports', { ports: ['0-10'] }],
    ['ports', { ports: ['20-10'] }],
    ['ports', { ports: ['http'] }],
    ['external', { external: ['0.0.0.0'] }],
    ['external', { external: ['example.com'] }],
    ['external', { external: [] }],
    ['listen', { listen: ['example.com'] }],
    ['quota', { quota: -1 }],
    ['maxFilters', { maxFilters: 0 }],
    ['thirdParty', { thirdParty: ['10.0.0.0/33'] }],
    ['announce', { announce: 1 }],
    ['stateFile', { stateFile: '' }],
    ['portz', { portz: [] }],
  ])('pcp.%s', async (name, pcp) => {
    await expect(incomingRig(pcp as object)).rejects.toMatchObject({
      ...{ code: 'ERR_ATSSS_OPTION', message: expect.stringContaining(name) },
    })
  })
})
