/** A lab with a server, converters and clients in it, for tests of connections over links that have a delay. */
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect } from 'vitest'
import { type Lab, type LabOptions, type Namespace, openLab, type Packet } from '../../lib/lab/index.js'
import type { ClientEnd, ConnectionResult, Task } from '../netns/programs/client.js'
import type { HostileLine, HostilePlan } from '../netns/programs/hostile.js'
import { compiled } from './compiled.js'

const programPath = (name: string) => compiled(`test/netns/programs/${name}.ts`)

/** A program that says JSON lines. */
export class Program {
  readonly child: ChildProcessWithoutNullStreams
  /** All it has said. */
  readonly lines: Record<string, unknown>[] = []
  complaints = ''
  readonly #ended: Promise<unknown>
  #heard = () => {}

  constructor(child: ChildProcessWithoutNullStreams) {
    this.child = child
    this.#ended = once(child, 'close').then(() => this.#heard())
    createInterface(child.stdout).on('line', line => {
      this.lines.push(JSON.parse(line))
      this.#heard()
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.complaints += text
    })
  }

  /** The first line that is so; waits for it. */
  async line<T extends object>(is: (line: T) => boolean): Promise<T> {
    for (;;) {
      const found = this.lines.find(line => is(line as T))
      if (found) return found as T
      if (this.child.exitCode !== null || this.child.signalCode !== null)
        throw new Error(`a program ended without the line that was waited for: ${this.complaints}`)
      await new Promise<void>(resolve => {
        this.#heard = resolve
      })
    }
  }

  event<T extends object>(name: string): Promise<T> {
    return this.line(line => (line as { event?: string }).event === name)
  }

  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.child.kill(signal)
    await this.#ended
  }

  /** Waits until it has ended by itself. */
  async ended(): Promise<void> {
    await this.#ended
    if (this.child.exitCode !== 0) throw new Error(`a program ended with ${this.child.exitCode}: ${this.complaints}`)
  }
}

export interface ClientOutcome {
  /** In the order of their ends. */
  connections: ConnectionResult[]
  end: ClientEnd
}

export class ConvertLab {
  readonly lab: Lab
  server!: Program
  readonly #captures = mkdtempSync(join(tmpdir(), 'atsss-test-'))
  #port = 5000
  #captured = 0

  private constructor(lab: Lab) {
    this.lab = lab
  }

  static async open(options: LabOptions): Promise<ConvertLab> {
    const opened = new ConvertLab(await openLab(options))
    opened.server = await opened.start(opened.lab.server, 'server', 'run')
    return opened
  }

  /** `'192.0.2.1:port'`. */
  at(port: number, family: 4 | 6 = 4): string {
    const { v4, v6 } = this.lab.converterAddress
    return family === 4 ? `${v4}:${port}` : `[${v6}]:${port}`
  }

  /** Every test takes ports of its own, so that nothing learned of one converter is thought of another. */
  nextPort(): number {
    return ++this.#port
  }

  async start(host: Namespace, name: string, argument: string): Promise<Program> {
    const program = new Program(host.spawn(process.execPath, [programPath(name), argument]))
    await program.event('ready')
    return program
  }

  /** The reference converter on `port` of both families; `options` as on its command line. */
  async converter(port: number, ...options: string[]): Promise<Program> {
    const listen = ['--listen', this.at(port), '--listen', this.at(port, 6)]
    const main = compiled('lib/cli/main.ts')
    const program = new Program(
      this.lab.converter.spawn(process.execPath, [main, 'converter', '--json', ...listen, ...options]),
    )
    await program.event('listening')
    return program
  }

  hostile(port: number, scripts: HostilePlan['scripts'], options: HostilePlan['options'] = {}): Promise<Program> {
    const where = { address: this.lab.converterAddress.v4, port, fastOpen: true, ...options }
    return this.start(this.lab.converter, 'hostile', JSON.stringify({ scripts, options: where } satisfies HostilePlan))
  }

  heard(program: Program, index: number): Promise<HostileLine> {
    return program.line<HostileLine>(line => line.event === 'ended' && line.index === index)
  }

  /** Starts the client with these tasks. */
  client(...tasks: Task[]): Program {
    const arguments_ = [programPath('client'), JSON.stringify({ tasks })]
    return new Program(this.lab.ue.spawn(process.execPath, arguments_))
  }

  /** The client's tasks from beginning to end. */
  async run(...tasks: Task[]): Promise<ClientOutcome> {
    return outcome(this.client(...tasks))
  }

  /** The TCP connections that begin while `during` runs, as an end of a link sees them. The first packet is a SYN. */
  async captured<T>(during: () => Promise<T>, link = 'wifi', end: 'ue' | 'network' = 'ue'): Promise<[T, Packet[]]> {
    const capture = await this.lab.link(link).capture(join(this.#captures, `${++this.#captured}.pcap`), { end })
    const result = await during()
    const packets = await capture.packets()
    await capture.stop()
    const segments = packets.filter(packet => packet.tcp)
    const ports = new Set(segments.filter(isSyn).map(({ tcp }) => tcp!.sourcePort))
    return [result, segments.filter(({ tcp }) => ports.has(tcp!.sourcePort) || ports.has(tcp!.destinationPort))]
  }

  /** A counter of a host's kernel, such as `MPTcpExt.Blackhole`: /proc/net/netstat and /proc/net/snmp. */
  async counters(host: Namespace = this.lab.ue): Promise<Record<string, number>> {
    const { stdout } = await host.run('cat', ['/proc/net/netstat', '/proc/net/snmp'])
    const lines = stdout.trim().split('\n')
    const counters: Record<string, number> = {}
    for (let i = 0; i + 1 < lines.length; i += 2) {
      const [group, ...names] = lines[i]!.split(' ')
      const [, ...values] = lines[i + 1]!.split(' ')
      for (const [n, name] of names.entries()) counters[`${group!.slice(0, -1)}.${name}`] = Number(values[n])
    }
    return counters
  }

  async close(): Promise<void> {
    if (this.server) expect(this.server.complaints).toBe('')
    await this.lab.close()
  }
}

export async function outcome(program: Program): Promise<ClientOutcome> {
  await program.ended()
  const of = (event: string) => program.lines.filter(line => line.event === event)
  return {
    connections: of('closed') as unknown as ConnectionResult[],
    end: of('end')[0] as unknown as ClientEnd,
  }
}

/** Nothing is left open by the client's connections. */
export function expectNoLeak({ end }: ClientOutcome): void {
  expect(end.addon).toEqual({ descriptors: 0, waits: 0 })
  // The first connection may open what stays for the others: the reactor's epoll and event descriptors.
  expect(end.descriptors.after - end.descriptors.before).toBeLessThanOrEqual(2)
}

export const isSyn = ({ tcp }: Packet) => tcp!.flags.syn && !tcp!.flags.ack
export const isSynAck = ({ tcp }: Packet) => tcp!.flags.syn && tcp!.flags.ack
export const isReset = ({ tcp }: Packet) => tcp!.flags.rst || tcp!.mptcp?.subtype === 7

/** How many round trips after the first packet this one came or went. */
export function roundTrips(packets: Packet[], packet: Packet, roundTripMs: number): number {
  return Math.round((packet.time - packets[0]!.time) / roundTripMs)
}
