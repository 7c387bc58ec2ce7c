/** `doctor --online`, with stand-ins for the public server. */
import { once } from 'node:events'
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { aboutOnline, askOnline, type Online } from '../../lib/cli/doctor/online.js'
import { createServer } from '../../lib/index.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})
async function portOf(make: (answer: (socket: Socket) => void) => Server, text = ''): Promise<number> {
  const server = make(socket =>
    socket.on('error', () => {}).once('data', data => socket.end(String(data).includes('curl/') ? text : '')),
  )
  servers.push(server.listen(0, '127.0.0.1'))
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
const overMptcp = (text?: string) => portOf(answer => createServer(answer), text)
const overTcp = (text?: string) => portOf(answer => createTcpServer(answer), text)
const at = (https: number, http: number) => askOnline(undefined, { host: '127.0.0.1', ports: { https, http } })
const page = (text: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`

requires('MPTCP', mptcp).describe('what is seen', () => {
  test('MPTCP on both ports, and what the server says', async () => {
    const seen = await at(await overMptcp(), await overMptcp(page('You are using MPTCP.\n')))
    expect(seen).toMatchObject({
      https: { protocol: 'mptcp' },
      http: { protocol: 'mptcp' },
      says: 'You are using MPTCP',
    })
    expect(aboutOnline(seen)).toMatchObject({ id: 'online-default', state: 'good', fixes: [] })
  })

  test('a path that removes the options; one port that does not answer', async () => {
    const [port, closed] = [await overTcp(page('You are not using MPTCP.')), await overTcp()]
    servers.pop()!.close()
    const seen = await at(port, closed)
    expect(seen).toMatchObject({
      https: { protocol: 'tcp' },
      http: { failure: expect.stringContaining('ECONNREFUSED') },
    })
    expect((await at(closed, port)).says).toBe('You are not using MPTCP')
  })
})

test('a name that cannot be found', async () => {
  const seen = await askOnline(undefined, { host: 'nowhere.invalid', ports: { https: 443, http: 80 } })
  expect(aboutOnline(seen)).toMatchObject({
    state: 'bad',
    found: expect.stringMatching(/not reached \(.*nowhere\.invalid/),
  })
})

const GOOD: Online = {
  ...{ interface: 'wlan0', host: 'check.mptcp.dev', says: 'You are using MPTCP' },
  ...{ https: { protocol: 'mptcp' }, http: { protocol: 'mptcp' } },
}
test.each<[string, Partial<Online>, string, RegExp]>([
  ['all MPTCP', {}, 'good', /^check\.mptcp\.dev, port 443: MPTCP; port 80: MPTCP, and it says "You are using MPTCP"$/],
  ['no MPTCP', { https: { protocol: 'tcp' } }, 'bad', /port 443: TCP only/],
  ['no Internet', { https: { failure: 'connect ETIMEDOUT' } }, 'bad', /port 443: not reached \(connect ETIMEDOUT\)/],
  [
    'a proxy on port 80',
    { http: { protocol: 'tcp' }, says: 'You are not using MPTCP' },
    'warning',
    /port 80: TCP only/,
  ],
  ['a proxy that speaks MPTCP to the device', { says: 'You are not using MPTCP' }, 'warning', /says "You are not/],
])('%s', (_name, change, state, found) => {
  const finding = aboutOnline({ ...GOOD, ...change })
  expect(finding).toMatchObject({ id: 'online-wlan0', title: 'Internet over wlan0', state })
  expect(finding.found).toMatch(found)
  expect(finding.fixes.length > 0).toBe(state !== 'good')
})
