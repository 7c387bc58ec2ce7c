/** A lab for sessions: two accesses, a converter, a server, and UEs that run test/netns/programs/session.ts. */
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { createInterface } from 'node:readline'
import { expect } from 'vitest'
import type { Lab, LabOptions } from '../../lib/lab/index.js'
import type { AtsssRule, SteeringMode } from '../../lib/policy/rules/json.js'
import type { AccessType } from '../../lib/policy/rules/rule.js'
import type { SessionOptions } from '../../lib/session/options.js'
import type { Download } from '../netns/programs/download.js'
import { DOWNLOAD, ECHO, SINK } from '../netns/programs/server.js'
import type { Calls, Stream } from '../netns/programs/session.js'
import { compiled } from './compiled.js'
import { ConvertLab } from './convert-lab.js'
import { traffic } from './ue.js'

type Argument<Call extends keyof Calls> = Parameters<Calls[Call]>
type Value<Call extends keyof Calls> = Awaited<ReturnType<Calls[Call]>>

/** What a session says without being asked. */
export interface SessionLine extends Record<string, unknown> {
  event: 'access' | 'interface' | 'action' | 'handover' | 'degraded' | 'restored' | 'problem'
  at: number
  access?: AccessType
  available?: boolean
  action?: { do: string; access?: AccessType; backup?: boolean; subflow?: number; isProbe?: boolean; why: string }
  stream?: number
  what?: string
  message?: string
  error?: string
}

/** A session's options; `nas`: a NAS message in hexadecimal, in place of `rules`. */
export type UeOptions = Partial<SessionOptions> & { nas?: string }

/** Of an access whose interface is called so. */
export const RULES = {
  wifiThenCell: rules({ steerModeValue: 'ACTIVE_STANDBY', active: 'NON_3GPP_ACCESS', standby: '3GPP_ACCESS' }),
  cellThenWifi: rules({ steerModeValue: 'ACTIVE_STANDBY', active: '3GPP_ACCESS', standby: 'NON_3GPP_ACCESS' }),
  wifiOnly: rules({ steerModeValue: 'ACTIVE_STANDBY', active: 'NON_3GPP_ACCESS' }),
  smallestDelay: rules({ steerModeValue: 'SMALLEST_DELAY' }),
  autonomous: rules({ steerModeValue: 'LOAD_BALANCING', steerModeInd: 'AUTO_LOAD_BALANCE' }),
  divided: (percent3gpp: number) => rules({ steerModeValue: 'LOAD_BALANCING', '3gLoad': percent3gpp }),
}

/** One rule for everything. */
export function rules(steeringMode: SteeringMode): AtsssRule[] {
  return [{ precedence: 255, trafficDescriptor: { matchAll: true }, steeringMode }]
}

/** `rule` for a port, and what is in `rest` for all others. */
export function forPort(port: number, precedence: number, [rule]: AtsssRule[], rest: AtsssRule[] = []): AtsssRule[] {
  return [{ ...rule!, precedence, trafficDescriptor: { remotePorts: [port] } }, ...rest]
}

export type Direction = 'uplink' | 'downlink'

/** What the links have carried, in bytes. */
export interface Shares {
  wifi: number
  cell: number
  /** 0…1 */
  cellShare: number
  mbps: number
}

export class SessionUe {
  /** All it has said by itself. */
  readonly heard: SessionLine[] = []
  readonly #child: ChildProcessWithoutNullStreams
  readonly #answers = new Map<number, (answer: { value?: unknown; error?: Error }) => void>()
  readonly #ended: Promise<void>
  readonly #rig: SessionLab
  #lastId = 0
  #complaints = ''

  private constructor(rig: SessionLab, child: ChildProcessWithoutNullStreams) {
    this.#rig = rig
    this.#child = child
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#complaints += text
    })
    createInterface(child.stdout).on('line', text => {
      const line = JSON.parse(text)
      if (line.event === undefined || line.event === 'ready') this.#answers.get(line.id ?? 0)?.(line)
      else this.heard.push(line)
    })
    this.#ended = new Promise(resolve =>
      child.on('close', code => {
        for (const answer of this.#answers.values())
          answer({ error: new Error(`the session has ended with ${code}: ${this.#complaints}`) })
        resolve()
      }),
    )
  }

  /** @param wrapper a command to run it under, such as `setpriv …` */
  static async start(rig: SessionLab, options: UeOptions, wrapper: string[] = []): Promise<SessionUe> {
    const all = { accesses: { '3gpp': 'cell', 'non-3gpp': 'wifi' }, converters: rig.convert.at(rig.port), ...options }
    const [command, ...args] = [
      ...wrapper,
      process.execPath,
      compiled('test/netns/programs/session.ts'),
      JSON.stringify(all),
    ]
    const ue = new SessionUe(rig, rig.lab.ue.spawn(command!, args))
    await ue.#answer(0)
    await ue.call('ready')
    return ue
  }

  /** Rejects with an error of the same code and message. */
  async call<Call extends keyof Calls>(call: Call, ...args: Argument<Call>): Promise<Value<Call>> {
    const id = ++this.#lastId
    this.#child.stdin.write(`${JSON.stringify({ id, call, args })}\n`)
    return (await this.#answer(id)) as Value<Call>
  }

  async #answer(id: number): Promise<unknown> {
    const { value, error } = await new Promise<{ value?: unknown; error?: Error }>(resolve =>
      this.#answers.set(id, resolve),
    )
    this.#answers.delete(id)
    if (error) throw Object.assign(new Error(error.message), error)
    return value
  }

  /** A stream that comes back: 400 bytes every 20 ms. */
  sparse(options: Partial<Stream> = {}) {
    return this.stream(ECHO, { chunk: 400, every: 20, ...options })
  }

  /** A stream to a server that takes all of it: as fast as it goes. */
  bulk(options: Partial<Stream> = {}) {
    return this.stream(SINK, { chunk: 65_536, every: 0, ...options })
  }

  /** A stream on which the server sends; `options` for what is sent to it meanwhile. */
  download(download: Download, options: Partial<Stream> = {}) {
    return this.stream(DOWNLOAD, { chunk: 0, every: 0, download, ...options })
  }

  stream(port: number, { connect, ...rest }: Partial<Stream> & Pick<Stream, 'chunk' | 'every'>) {
    const host = this.#rig.lab.serverAddress.v4
    return this.call('open', { connect: { host, port, ...connect } as Stream['connect'], ...rest })
  }

  /** Ends a stream: nothing of it may be lost. */
  async whole(number: number): Promise<number> {
    const end = await this.call('end', number)
    expect(end).toMatchObject({ whole: true })
    expect(end.error).toBeUndefined()
    return end.sent
  }

  actions(kind?: string): SessionLine[] {
    return this.heard.filter(({ event, action }) => event === 'action' && (kind === undefined || action!.do === kind))
  }

  /** What it has said of an access, `true` for available. */
  access(access: AccessType): boolean[] {
    return this.heard.filter(line => line.event === 'access' && line.access === access).map(line => line.available!)
  }

  /** Waits until the session says that the access is so. */
  async until(access: AccessType, available: boolean): Promise<void> {
    await expect.poll(() => this.access(access).at(-1), { timeout: 15_000, interval: 10 }).toBe(available)
  }

  /** The gaps of its handovers so far, in milliseconds. */
  gaps(): (number | undefined)[] {
    return this.heard.flatMap(({ event, gapMs }) => (event === 'handover' ? [gapMs as number | undefined] : []))
  }

  degraded(): SessionLine[] {
    return this.heard.filter(({ event }) => event === 'degraded')
  }

  /** To its process. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
    expect(this.#complaints).toBe('')
  }
}

export class SessionLab {
  readonly convert: ConvertLab
  /** The converter's. */
  readonly port: number
  readonly #ues: SessionUe[] = []

  private constructor(convert: ConvertLab) {
    this.convert = convert
    this.port = convert.nextPort()
  }

  /** wifi 50 Mbit/s and 20 ms of round trip, cell 20 Mbit/s and 60 ms, if not said otherwise. */
  static async open(options: LabOptions = {}): Promise<SessionLab> {
    const rig = new SessionLab(await ConvertLab.open(options))
    await rig.lab.ue.sysctl('net.mptcp.pm_type', 1)
    // Of a subflow that ended where nobody could be told, the peer keeps the place for a while: two are soon taken.
    await rig.lab.converter.run('ip', ['mptcp', 'limits', 'set', 'subflows', '8'])
    await rig.convert.converter(rig.port)
    return rig
  }

  get lab(): Lab {
    return this.convert.lab
  }

  close(): Promise<void> {
    return this.convert.close()
  }

  async ue(options: UeOptions = {}, wrapper?: string[]): Promise<SessionUe> {
    const ue = await SessionUe.start(this, options, wrapper)
    this.#ues.push(ue)
    return ue
  }

  /** For after each test: no session, and links as at first. */
  async reset(): Promise<void> {
    await Promise.all(this.#ues.splice(0).map(ue => ue.stop()))
    await this.mend()
  }

  /** Links as at first. */
  async mend(): Promise<void> {
    const well = { carrier: true, down: false, lossPercent: 0, mangle: [] }
    await this.lab.link('wifi').set({ ...well, rateMbps: 50, delayMs: 10 })
    await this.lab.link('cell').set({ ...well, rateMbps: 20, delayMs: 30 })
  }

  /** Bytes that each link has taken up, ever. */
  async carried(): Promise<{ wifi: number; cell: number }> {
    const [wifi, cell] = await Promise.all(['wifi', 'cell'].map(name => this.lab.link(name).stats()))
    return { wifi: wifi!.uplink.bytes, cell: cell!.uplink.bytes }
  }

  /** What both links carry one way in this many milliseconds, in bytes, and the share of cell. */
  async shares(milliseconds: number, direction: Direction = 'uplink'): Promise<Shares> {
    return (await this.sharesEachWay(milliseconds))[direction]
  }

  async sharesEachWay(milliseconds: number): Promise<Record<Direction, Shares>> {
    const bytes = traffic(this.lab)
    await bytes()
    const began = performance.now()
    await new Promise(resolve => setTimeout(resolve, milliseconds))
    const { wifi, cell } = await bytes()
    const seconds = (performance.now() - began) / 1000
    const of = (direction: Direction): Shares => {
      const [one, other] = [wifi![direction], cell![direction]]
      const mbps = ((one + other) * 8) / seconds / 1e6
      return { wifi: one, cell: other, cellShare: other / (one + other), mbps }
    }
    return { uplink: of('uplink'), downlink: of('downlink') }
  }
}
