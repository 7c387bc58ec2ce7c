/** A lab in which hosts of the data network reach services of the UE through a converter with a PCP server. */
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { createInterface } from 'node:readline'
import { type Lab, type LabOptions, type Namespace, openLab } from '../../lib/lab/index.js'
import type { SessionServerOptions } from '../../lib/session/server-options.js'
import { compiled } from './compiled.js'
import { result } from './lab-programs.js'

export const PORTS = { echo: 7007, http: 8080, https: 8443 } as const
export const CONVERTERS = ['192.0.2.1:5124', '[2001:db8:c::1]:5124']

/** A line that a program has said. */
export interface Said extends Record<string, unknown> {
  event: string
}

/** A program that says lines of JSON. */
export class Talking {
  readonly said: Said[] = []
  readonly child: ChildProcessWithoutNullStreams
  complaints = ''
  readonly ended: Promise<unknown>

  constructor(child: ChildProcessWithoutNullStreams) {
    this.child = child
    createInterface(child.stdout).on('line', line => this.said.push(JSON.parse(line)))
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.complaints += text
    })
    this.ended = new Promise(resolve => child.on('close', resolve))
  }

  of(event: string): Said[] {
    return this.said.filter(line => line.event === event)
  }

  /** Waits until this many of an event were printed. @returns the last of them */
  async heard(event: string, count = 1, timeout = 15_000): Promise<Said> {
    const deadline = performance.now() + timeout
    while (this.of(event).length < count) {
      if (performance.now() > deadline)
        throw new Error(`"${event}" ${this.of(event).length} times of ${count}: ${this.complaints}`)
      await new Promise(resolve => setTimeout(resolve, 10))
    }
    return this.of(event)[count - 1]!
  }

  async asks(what: 'stats' | 'close', event: string): Promise<Said> {
    const before = this.of(event).length
    this.child.stdin.write(`${what}\n`)
    return this.heard(event, before + 1)
  }

  async stop(): Promise<void> {
    this.child.kill('SIGKILL')
    await this.ended
  }
}

export class IncomingLab {
  readonly lab: Lab
  converter!: Talking

  private constructor(lab: Lab) {
    this.lab = lab
  }

  static async open(options: LabOptions = {}): Promise<IncomingLab> {
    const rig = new IncomingLab(await openLab(options))
    await rig.lab.ue.sysctl('net.mptcp.pm_type', 1)
    await rig.lab.ue.sysctl('net.ipv4.tcp_fastopen', 3)
    await rig.lab.converter.run('ip', ['mptcp', 'limits', 'set', 'subflows', '8'])
    await rig.startConverter()
    return rig
  }

  async startConverter(...more: string[]): Promise<void> {
    this.converter = await this.spawnConverter(CONVERTERS, ...more)
  }

  /** @param at the addresses that it listens at, with ports */
  async spawnConverter(at: readonly string[], ...more: string[]): Promise<Talking> {
    const listen = at.flatMap(address => ['--listen', address])
    const ports = [...Object.values(PORTS), '20000-20010'].flatMap(range => ['--pcp-ports', String(range)])
    const args = [compiled('lib/cli/main.ts'), 'converter', ...listen, '--pcp', ...ports, '--json', ...more]
    const converter = new Talking(this.lab.converter.spawn(process.execPath, args))
    await converter.heard('listening')
    return converter
  }

  /**
   * A UE whose services have as many mappings as IP families.
   *
   * @param wrapper a command to run it under, such as `setpriv …`
   */
  async ue(
    names: (keyof typeof PORTS)[],
    options: SessionServerOptions = {},
    session: object = {},
    rules?: string,
    wrapper: readonly string[] = [],
  ): Promise<Talking> {
    const servers = Object.fromEntries(names.map(name => [name, PORTS[name]]))
    const accesses = { '3gpp': 'cell', 'non-3gpp': 'wifi' }
    const given = { session: { accesses, converters: CONVERTERS, ...session }, servers, options, rules }
    const program = [process.execPath, compiled('test/netns/programs/incoming.ts'), JSON.stringify(given)]
    const [command, ...args] = [...wrapper, ...program]
    const ue = new Talking(this.lab.ue.spawn(command!, args))
    await ue.heard('listening', names.length)
    return ue
  }

  /** Until all of its services are reachable over both families, and the converter knows both accesses. */
  async reachable(ue: Talking, services: number): Promise<void> {
    await ue.heard('mapping', 2 * services)
    await new Promise(resolve => setTimeout(resolve, 300))
  }

  /** From the data network. */
  curl(url: string, ...more: string[]) {
    return this.lab.server.run('curl', ['-sS', '-m', '15', ...more, url])
  }

  /** What a script in a host says, as JSON. */
  run<T>(host: Namespace, script: string): Promise<T> {
    return result<T>(host, script)
  }

  close(): Promise<void> {
    return this.lab.close()
  }
}

/** Remote hosts' connections, all at once: each sends bytes of its own at a pace, and hears them again. */
export const echoes = (address: string, port: number, { connections = 1, bytes = 100_000, pace = 0 }) => `
  const { createHash, randomBytes } = require('crypto')
  const net = require('net')
  const one = () => new Promise(resolve => {
    const sent = randomBytes(${bytes})
    const [up, down] = [createHash('sha256').update(sent).digest('hex'), createHash('sha256')]
    let received = 0, at = 0, gap = 0, heardAt = performance.now()
    const socket = net.connect({ host: '${address}', port: ${port}, allowHalfOpen: true })
    socket.on('error', error => resolve({ error: error.code, received }))
    socket.on('data', data => {
      gap = Math.max(gap, performance.now() - heardAt)
      heardAt = performance.now()
      received += data.length
      down.update(data)
    })
    socket.on('end', () => resolve({ received, whole: down.digest('hex') === up, gap: Math.round(gap) }))
    const send = () => {
      if (at >= sent.length) return socket.end()
      const chunk = sent.subarray(at, at + ${pace === 0 ? 'sent.length' : '10_000'})
      at += chunk.length
      socket.write(chunk)
      ${pace === 0 ? 'send()' : `setTimeout(send, ${pace})`}
    }
    socket.on('connect', send)
  })
  Promise.all(Array.from({ length: ${connections} }, one)).then(ends => console.log(JSON.stringify(ends)))`

/** A connection to the UE from an address, that says these bytes, and how it ends. */
export const intruder = (from: string, to: string, port: number, bytes: string, wait = 10_000) => `
  const socket = require('net').connect({ host: '${to}', port: ${port}, localAddress: '${from}' })
  let heard = ''
  const done = how => { console.log(JSON.stringify({ how, heard })); process.exit() }
  socket.on('error', error => done(error.code)).on('end', () => done('end'))
  socket.on('data', data => { heard += data.toString('hex') })
  socket.on('connect', () => socket.write(Buffer.from('${bytes}', 'hex')))
  setTimeout(() => done('open'), ${wait})`
