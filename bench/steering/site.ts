/** The lab of the steering benchmark: two accesses, a converter and a server; the UE's programs; and what befalls `wifi`. */
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { type Lab, type LinkProfile, openLab } from '../../lib/lab/index.js'
import { firstLine, programPath, typescript } from '../site.js'
import type { Direction, Order, Outcome, Place } from './tasks.js'

/** One way. */
export const ACCESSES = {
  wifi: { access: 'non-3gpp', link: { rateMbps: 50, delayMs: 10 } },
  cell: { access: '3gpp', link: { rateMbps: 20, delayMs: 30 } },
} as const

/** `downlink`: a black hole for what the UE receives only. */
export type Fault = 'carrier' | 'address' | 'blackhole' | 'downlink'

export type AccessName = keyof typeof ACCESSES

/** A program of the UE that has begun. */
export interface Running<T> {
  /** For `flows` and `many`: to come to an end. @param word what it is told with that */
  stop(word?: string): void
  figures: Promise<T>
}

export class SteeringSite {
  readonly #lab: Lab
  readonly #place: Place

  private constructor(lab: Lab, place: Place) {
    this.#lab = lab
    this.#place = place
  }

  /**
   * @param links other than those of `ACCESSES`
   * @param direct the server speaks MPTCP, and there is no converter
   * @throws ERR_LAB_PRIVILEGE
   */
  static async open(
    links: Partial<Record<AccessName, LinkProfile>> = {},
    { direct = false }: { direct?: boolean } = {},
  ): Promise<SteeringSite> {
    // IPv4 alone: with an address of each family, an access whose one address is removed has still another one.
    const accesses = (Object.keys(ACCESSES) as AccessName[]).map(name => ({
      name,
      ...ACCESSES[name],
      ...(links[name] ? { link: links[name] } : {}),
    }))
    const lab = await openLab({ accesses, ipv6: false })
    try {
      const place: Place = {
        address: lab.serverAddress.v4,
        port: 5001,
        converter: direct ? undefined : `${lab.converterAddress.v4}:5124`,
        accesses: { '3gpp': 'cell', 'non-3gpp': 'wifi' },
      }
      const site = new SteeringSite(lab, place)
      await site.#start()
      return site
    } catch (error) {
      await lab.close()
      throw error
    }
  }

  close(): Promise<void> {
    return this.#lab.close()
  }

  get ue(): Lab['ue'] {
    return this.#lab.ue
  }

  /**
   * Starts a program in the UE. A session finds the userspace path manager there; another way the kernel's, with `cell` as
   * its backup.
   *
   * @param alone nobody adds a subflow to a connection
   * @param helper the steering helper's socket
   * @param wrapper a command that runs the program, as another user for example
   */
  async begin<O extends Order>(
    order: O,
    { alone = false, helper, wrapper = [] }: { alone?: boolean; helper?: string; wrapper?: readonly string[] } = {},
  ): Promise<Running<Outcome[O['do']]>> {
    const { ue } = this.#lab
    await ue.sysctl('net.mptcp.pm_type', alone || 'rules' in order.way ? 1 : 0)
    const task = JSON.stringify({ ...order, place: this.#place, helper })
    const command = [...wrapper, process.execPath, ...typescript, programPath('steering/ue.ts'), task]
    const child = ue.spawn(command[0]!, command.slice(1), { timeout: 300_000, killSignal: 'SIGKILL' })
    let complaints = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints += text))
    child.stdin.on('error', () => {})
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
    const said = async (): Promise<string> => {
      const { value, done } = await lines.next()
      if (!done) return value
      const [code, signal] =
        child.exitCode === null && !child.signalCode ? await once(child, 'exit') : [child.exitCode, child.signalCode]
      throw new Error(`${JSON.stringify(order)} failed (${signal ?? code})\n${complaints}`)
    }
    await said()
    const figures = said().then(line => JSON.parse(line) as Outcome[O['do']])
    figures.catch(() => {}) // for who waits for something else first
    return { figures, stop: (word = 'stop') => void child.stdin.write(`${word}\n`) }
  }

  /** Bytes of IP packets that each link has delivered in each direction until now. */
  async delivered(): Promise<Record<AccessName, Record<Direction, number>>> {
    const of = async (name: AccessName) => {
      const { uplink, downlink } = await this.#lab.link(name).stats()
      return { up: uplink.bytes, down: downlink.bytes }
    }
    const [wifi, cell] = await Promise.all([of('wifi'), of('cell')])
    return { wifi, cell }
  }

  /** Undo it with the profiles of `ACCESSES`. */
  async change(name: AccessName, profile: LinkProfile): Promise<void> {
    await this.#lab.link(name).set(profile)
  }

  /** The initial window of what the UE sends over each access, in segments: an attribute of the route. Linux has 10. */
  async setInitialWindow(segments: number): Promise<void> {
    for (const name of Object.keys(ACCESSES)) {
      const { stdout } = await this.#lab.ue.run('ip', ['-4', 'route', 'show', 'table', 'all', 'dev', name])
      const routes = stdout.split('\n').filter(line => line.startsWith('default '))
      if (routes.length === 0) throw new Error(`no default route over ${name}: ${stdout}`)
      for (const route of routes)
        await this.#ip('route', 'change', ...route.trim().split(/\s+/), 'dev', name, 'initcwnd', String(segments))
    }
  }

  /** `wifi` is lost. */
  async lose(fault: Fault): Promise<void> {
    if (fault === 'carrier') await this.#lab.link('wifi').set({ carrier: false })
    if (fault === 'blackhole') await this.#lab.link('wifi').set({ down: true })
    if (fault === 'downlink') await this.#lab.link('wifi').set({ downlink: { down: true } })
    if (fault === 'address') await this.#ip('addr', 'del', this.#wifiAddress, 'dev', 'wifi')
  }

  /** All as it was. */
  async restore(fault: Fault): Promise<void> {
    if (fault === 'carrier') await this.#lab.link('wifi').set({ carrier: true })
    if (fault === 'blackhole') await this.#lab.link('wifi').set({ down: false })
    if (fault === 'downlink') await this.#lab.link('wifi').set({ downlink: { down: false } })
    if (fault !== 'address') return
    const gateway = this.#lab.converter.addresses.wifi!.v4
    await this.#ip('addr', 'add', this.#wifiAddress, 'dev', 'wifi')
    await this.#ip('route', 'add', 'default', 'via', gateway, 'dev', 'wifi', 'metric', '100')
  }

  async #start(): Promise<void> {
    const { ue, converter, server } = this.#lab
    const { address, port, converter: at } = this.#place
    const peer = [...typescript, programPath('steering/peer.ts'), address, String(port), ...(at ? [] : ['mptcp'])]
    const relay = [programPath('../dist/cli/main.js'), 'converter', '--json', '--quiet', '--listen', at ?? '']
    await server.sysctl('net.core.somaxconn', 4096)
    const listening = [server.spawn(process.execPath, peer)]
    if (at) listening.push(converter.spawn(process.execPath, relay))
    for (const child of listening) child.stderr.pipe(process.stderr)
    await Promise.all(listening.map(firstLine))
    // A blocked application's connection shall have something to send meanwhile, and none learn from those before it.
    await this.#write(ue, 'ipv4/tcp_wmem', '4096 4194304 4194304')
    await this.#write(ue, 'ipv4/tcp_no_metrics_save', '1')
    await this.#ip('mptcp', 'limits', 'set', 'subflows', '2')
    await this.#ip('mptcp', 'endpoint', 'add', ue.addresses.cell!.v4, 'dev', 'cell', 'subflow', 'backup')
  }

  get #wifiAddress(): string {
    return `${this.#lab.ue.addresses.wifi!.v4}/24`
  }

  async #ip(...words: string[]): Promise<void> {
    const { code, stderr } = await this.#lab.ue.run('ip', words)
    if (code !== 0) throw new Error(`ip ${words.join(' ')}: ${stderr}`)
  }

  async #write(host: Lab['ue'], name: string, value: string): Promise<void> {
    const { code, stderr } = await host.run('sh', ['-c', `echo ${value} > /proc/sys/net/${name}`])
    if (code !== 0) throw new Error(`net/${name}: ${stderr}`)
  }
}
