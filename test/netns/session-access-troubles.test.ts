/**
 * What one access does to connections to the converter says nothing about the other access: a login page, a firewall, a network
 * that drops everything, one without the family. Another access is used at once, and the next connection begins there.
 */
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { entry } from '../support/client-script.js'
import { CONVERTER, type Laptop, openLaptop, SERVER } from '../support/laptop.js'
import { all, mptcp, mptcpFastOpen, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'

const laptopTest = requires(
  'network namespaces and MPTCP and Fast Open on MPTCP sockets',
  all(root, netns, mptcp, mptcpFastOpen),
)

const PLACE = `${CONVERTER}:5124`
/** Answers each connection with what it gets first. */
const ECHO = `
  const net = require('net')
  const echo = (port, address, ready) => net.createServer(socket => {
    socket.on('error', () => {}).once('data', data => socket.end(data))
  }).listen(port, address, ready)
  echo(7, '${SERVER}', () => console.log('ready'))`

/** One connection of the session: what became of it. */
interface Outcome {
  interface?: string
  attempts?: number
  code?: string
  took: number
}

/**
 * @param early whether a message is written at once, so that it leaves before the converter has answered
 */
const client = (count: number, { early = false, host = SERVER, options = '' } = {}) => `
  const { MaPduSession } = await import(${JSON.stringify(entry)})
  const session = new MaPduSession({
    accesses: { '3gpp': 'usb0', 'non-3gpp': 'wlan0' }, rules: 'handover', converters: '${PLACE}', ${options}
  })
  session.on('degraded', () => {})
  await session.ready
  console.log('begins')
  const outcomes = []
  for (let i = 0; i < ${count}; i++) {
    const began = performance.now()
    outcomes.push(await new Promise(resolve => {
      const done = more => resolve({ ...more, took: Math.round(performance.now() - began) })
      const socket = session.connect({ host: '${host}', port: 7 })
      socket.on('error', ({ code }) => done({ code }))
      socket.on('data', () => done({ interface: socket.mptcp.interface, attempts: socket.mptcp.attempts }))
      if (${early}) socket.write('hello')
      else socket.on('connect', () => socket.write('hello'))
    }))
  }
  console.log(JSON.stringify(outcomes))
  process.exit()`

laptopTest.describe('a session over a Wi-Fi that does not reach the converter', () => {
  let laptop: Laptop

  beforeAll(async () => {
    laptop = openLaptop()
    const server = laptop.spawn('internet', process.execPath, '-e', ECHO)
    const converter = laptop.spawn(
      'internet',
      process.execPath,
      'dist/cli/main.js',
      'converter',
      ...['--listen', PLACE, '--allow', '0.0.0.0/0'],
    )
    await Promise.all([once(server.stdout, 'data'), once(converter.stdout, 'data')])
  })
  afterAll(() => laptop?.[Symbol.asyncDispose]())

  const run = async (source: string, meanwhile: () => unknown = () => {}) => {
    const child = laptop.spawn('laptop', process.execPath, '--input-type=module', '-e', source)
    let [out, err] = ['', '']
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (out === '') void meanwhile()
      out += text
    })
    await once(child, 'close')
    expect(err).toBe('')
    return JSON.parse(out.split('\n')[1] ?? '') as Outcome[]
  }

  /** The home network answers in the converter's place. */
  const portal = async (answer: string | undefined) => {
    laptop.ip('home', `addr add ${CONVERTER}/32 dev lo`)
    const script = `require('net').createServer(socket => { socket.on('error', () => {}); ${answer} })
      .listen(5124, '${CONVERTER}', () => console.log('ready'))`
    const child = answer === undefined ? undefined : laptop.spawn('home', process.execPath, '-e', script)
    if (child) await once(child.stdout, 'data')
    return {
      async [Symbol.asyncDispose]() {
        laptop.ip('home', `addr del ${CONVERTER}/32 dev lo`)
        if (child?.kill('SIGKILL')) await once(child, 'close')
      },
    }
  }

  test.each([
    ['refuses', undefined],
    ['answers in HTTP', "socket.on('data', () => socket.end('HTTP/1.1 302 Found\\r\\n\\r\\n'))"],
    ['closes', "socket.on('data', () => socket.end())"],
  ])('a login page that %s: over cellular at once, and the next one begins there', async (_, answer) => {
    await using _portal = await portal(answer)
    const [first, second] = await run(client(2))
    expect(first).toMatchObject({ interface: 'usb0' })
    expect(first!.took).toBeLessThan(2_000)
    expect(second).toMatchObject({ interface: 'usb0', attempts: 1 })
  })

  test('a login page that accepts and says nothing: what was written at once is lost, but only once', async () => {
    await using _portal = await portal('socket.resume()')
    const [first, second] = await run(client(2, { early: true, options: 'converterTimeout: 1500' }))
    expect(first).toMatchObject({ code: 'ERR_CONVERT_TIMEOUT' })
    expect(second).toMatchObject({ interface: 'usb0', attempts: 1 })
  })

  test('everything is dropped: the second connection does not wait for it again', async () => {
    laptop.ip('home', 'link set wan down')
    try {
      const outcomes = await run(client(3, { early: true }))
      expect(outcomes.map(outcome => outcome.interface)).toEqual(['usb0', 'usb0', 'usb0'])
      expect(outcomes.slice(1).map(outcome => outcome.attempts)).toEqual([1, 1])
    } finally {
      laptop.ip('home', 'link set wan up', 'route replace default via 10.11.0.2')
    }
  })

  test.each([
    ['nothing was written', false],
    ['what was written has arrived', true],
  ])('Wi-Fi is lost between the SYN+ACK and the answer, and %s: the connection is made', async (_, early) => {
    // A server whose address comes only after Wi-Fi has been lost; the converter's system asks for it once a second.
    const host = '203.0.113.9'
    laptop.ip('internet', 'addr add 203.0.113.1/24 dev mobile')
    const server = laptop.spawn('mobile', process.execPath, '-e', ECHO.replace(SERVER, '0.0.0.0'))
    await once(server.stdout, 'data')
    try {
      const [outcome] = await run(client(1, { early, host }), async () => {
        await sleep(120)
        laptop.ip('home', 'link set wan down')
        await sleep(50)
        laptop.ip('mobile', `addr add ${host}/24 dev wan`)
      })
      expect(outcome).not.toHaveProperty('code')
      expect(outcome!.took).toBeLessThan(8_000)
    } finally {
      laptop.ip('home', 'link set wan up', 'route replace default via 10.11.0.2')
      laptop.ip('mobile', `addr del ${host}/24 dev wan`)
      laptop.ip('internet', 'addr del 203.0.113.1/24 dev mobile', 'neigh flush all')
      server.kill('SIGKILL')
    }
  })

  test('a Wi-Fi with IPv6 only, and a converter with an IPv4 address', async () => {
    laptop.ip('laptop', 'addr flush dev wlan0 scope global', 'addr add 2001:db8:1::2/64 dev wlan0 nodad')
    try {
      const [outcome] = await run(client(1))
      expect(outcome).toMatchObject({ interface: 'usb0', attempts: 1 })
      laptop.ip('laptop', 'link set usb0 down')
      const [alone] = await run(client(1))
      expect(alone).toMatchObject({ code: 'ENETUNREACH' })
      expect(alone!.took).toBeLessThan(2_000)
    } finally {
      laptop.ip('laptop', 'addr flush dev wlan0 scope global', 'addr add 10.1.0.2/24 dev wlan0', 'link set usb0 up')
      laptop.ip(
        'laptop',
        'route replace default via 10.1.0.1 dev wlan0 metric 100',
        'route replace default via 10.2.0.1 dev usb0 metric 200',
      )
    }
  })
})
