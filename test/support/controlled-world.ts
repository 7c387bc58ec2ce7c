/** A world for the steering loop that is values: two links, connections with subflows, a kernel that obeys or refuses. */
import { EventEmitter } from 'eventemitter3'
import type { Nat64Prefix } from '../../lib/policy/connect/nat64.js'
import type { AccessType, Steering } from '../../lib/policy/rules/rule.js'
import { otherAccess } from '../../lib/policy/steering/accesses.js'
import {
  SOCKET,
  type SocketSample,
  type SubflowAddresses,
  type SubflowSample,
} from '../../lib/runtime/kernel/sampler.js'
import type { LinkMonitorEvents } from '../../lib/runtime/network/link-monitor.js'
import type { Link, NetworkState } from '../../lib/runtime/network/network-state.js'
import type {
  Announcement,
  NewSubflow,
  PathManagerEvents,
  SubflowName,
} from '../../lib/runtime/network/path-manager.js'
import { Controller } from '../../lib/runtime/steering/controller.js'
import type { ControllerEvent, Effects } from '../../lib/runtime/steering/effects.js'
import { TCP_STATES } from '../../lib/wire/kernel/tcp-info.js'

export const REMOTE = { address: '192.0.2.1', port: 443 }
export const LOCAL: Record<AccessType, string> = { '3gpp': '10.2.0.2', 'non-3gpp': '10.1.0.2' }
export const INDEX: Record<AccessType, number> = { '3gpp': 3, 'non-3gpp': 2 }
const NAME: Record<AccessType, string> = { '3gpp': 'cell', 'non-3gpp': 'wifi' }

export const WIFI_THEN_CELL: Steering = { mode: 'active-standby', active: 'non-3gpp', standby: '3gpp' }

interface Subflow {
  sample: SubflowSample
  addresses: SubflowAddresses
}

export interface Connection {
  fd: number
  token: number
  errno: number
  /** The interface that its socket is bound to; 0: none. */
  boundTo: number
  subflows: Subflow[]
}

/** What was asked of the kernel. */
export type Call =
  | ({ call: 'create' } & NewSubflow)
  | ({ call: 'destroy' } & SubflowName)
  | ({ call: 'set-backup'; backup: boolean } & SubflowName)
  | ({ call: 'announce' } & Announcement)
  | { call: 'remove'; token: number; localId: number }

export class World {
  now = 1_000
  suspendedMs = 0
  readonly calls: Call[] = []
  readonly told: ControllerEvent[] = []
  /** What the session does with a report. */
  listener: (event: ControllerEvent) => void = () => {}
  readonly connections: Connection[] = []
  /** The code of the error with which the kernel refuses such calls. */
  refuses: Partial<Record<Call['call'], string>> = {}
  /** The words with which it refuses. */
  words: string | undefined
  /** It makes subflows, but its answer is lost (ENOBUFS). */
  losesAnswers = false
  /** What it does when asked for a subflow: makes it, or only says that it will. */
  joins = true
  /** Whether the peer answers the third ACK of a join. */
  accepts = true
  /** An access on which no SYN is answered. */
  deadAccess: AccessType | undefined
  /** Linux 5.19 to 6.8: a new subflow has the interface and the flag of its address's announcement, or none. */
  dropsInterface = false
  /** Whether `keepsInterface` finds that out. */
  admitsDropping = true
  /** It takes announcements, and makes subflows without them. */
  forgetsAnnouncements = false
  /** Where packets leave that no socket binds. */
  leavesBy: number | undefined = INDEX['non-3gpp']
  /** Of accesses with IPv6 only. */
  translator: Nat64Prefix | undefined
  /** By token and address: what the kernel remembers of an announcement. */
  readonly #announced = new Map<string, { interfaceIndex: number; backup: boolean }>()
  /** What has been made, and is reported when time passes. */
  readonly #events: Record<string, unknown>[] = []
  /** By local port: the backup flag that a join has for the kernel. */
  readonly flags = new Map<number, boolean>()
  /** By token: the connections that the path manager was given. */
  readonly shown = new Map<number, number>()
  addressesThrow = false
  watched: number[] = []
  /** Of how many connections it was asked whether they are at rest. */
  asked = 0
  /** And of how many for their subflows. */
  followed = 0
  /** Connections whose peer was asked what has arrived. */
  readonly inquiries: number[] = []
  mayAsk = true
  readonly buffers: { fd: number; token: number; bytes: number }[] = []
  readonly controller: Controller
  readonly #links = Object.assign(new EventEmitter<LinkMonitorEvents>(), {
    state: state({ '3gpp': true, 'non-3gpp': true }),
    watch: (interval: number) => void this.watched.push(interval),
  })
  readonly #manager = new EventEmitter<PathManagerEvents>()
  #lastPort = 40_000
  readonly #lastIds = new Map<number, number>()

  constructor({
    pathManager = true,
    endpoints = undefined as Effects['endpoints'],
    rules = [[255, WIFI_THEN_CELL]] as [number, Steering][],
    idleProbeMs = Number.POSITIVE_INFINITY,
  } = {}) {
    const sample = (fds: Int32Array) => {
      const known = new Map(this.connections.map(connection => [connection.fd, connection]))
      return Array.from(fds, fd => this.#sample(fd, known.get(fd)))
    }
    const subflowAddresses = (fd: number) => {
      if (this.addressesThrow) throw Object.assign(new Error('getsockopt EBADF'), { code: 'EBADF' })
      return this.#connection(fd)!.subflows.map(({ addresses }) => addresses)
    }
    const effects = {
      links: this.#links,
      pathManager: pathManager
        ? Object.assign(this.#manager, {
            createSubflow: (subflow: NewSubflow) => this.#create(subflow),
            destroySubflow: (name: SubflowName) => this.#destroy(name),
            setBackup: (change: SubflowName & { backup: boolean }) => this.#setBackup(change),
            keepsInterface: async () => (this.admitsDropping ? !this.dropsInterface : undefined),
            announce: (what: Announcement) => this.#announce(what),
            removeAnnounced: (what: { token: number; localId: number }) => this.#remove(what),
            isReachable: true,
            watch: (token: number, fd: number) => void this.shown.set(token, fd),
            forget: (token: number) => void this.shown.delete(token),
          })
        : undefined,
      endpoints,
      sample: (fds: Int32Array) => {
        this.followed += fds.length
        return sample(fds)
      },
      sampleConnections: (fds: Int32Array) => {
        this.asked += fds.length
        return Float64Array.from(sample(fds).flatMap(record))
      },
      subflowAddresses,
      boundTo: (fd: number) => this.#connection(fd)!.boundTo,
      interfaceFor: async () => this.leavesBy,
      findTranslator: async () => this.translator,
      setSendBuffer: (fd: number, token: number, bytes: number) => void this.buffers.push({ fd, token, bytes }),
      askForAcknowledgement: (_fd: number, token: number) => {
        this.inquiries.push(token)
        if (!this.mayAsk) throw new Error('setsockopt EOPNOTSUPP')
      },
      now: () => this.now,
      suspendedMs: () => this.suspendedMs,
      idleProbeMs,
      random: () => 0.5,
    }
    const accesses = { '3gpp': { interface: 'cell' }, 'non-3gpp': { interface: 'wifi' } }
    this.controller = new Controller(effects as unknown as Effects, accesses, event => {
      this.told.push(event)
      this.listener(event)
    })
    this.controller.setRules(rules)
  }

  /** A connection with its first subflow, which the loop gets to know. */
  connect(fd: number, access: AccessType = 'non-3gpp', rule = 255, boundTo = INDEX[access]): Connection {
    const connection: Connection = { fd, token: 1000 + fd, errno: 0, boundTo, subflows: [] }
    this.connections.push(connection)
    this.subflow(connection, access)
    this.controller.add({ token: connection.token, fd, remote: REMOTE, family: 4, rule })
    return connection
  }

  subflow(connection: Connection, access: AccessType): Subflow {
    // The kernel never uses an id again.
    const id = (this.#lastIds.get(connection.token) ?? 0) + 1
    this.#lastIds.set(connection.token, id)
    const port = ++this.#lastPort
    const own = [...this.#links.state.links.values()].find(({ name }) => name === NAME[access])?.addresses[0]
    const local = { address: own?.address ?? LOCAL[access], port, family: 4 as const }
    const subflow = {
      sample: {
        ...(Object.fromEntries(NUMBERS.map(name => [name, 0])) as unknown as SubflowSample),
        id,
        state: 1,
        localPort: port,
        rtt: 20_000,
        bytesAcked: 1,
        bytesSent: 1,
        segsIn: 2,
      },
      addresses: { id, local, remote: { ...REMOTE, family: 4 as const } },
    }
    connection.subflows.push(subflow)
    return subflow
  }

  /** @param up `renumbered`: it is there, with another address; `same`: with that of the other access */
  links(up: Partial<Record<AccessType, LinkIs>>): void {
    const before = this.#links.state
    this.#links.state = state({ '3gpp': true, 'non-3gpp': true, ...up })
    this.#links.emit('change', before, this.#links.state, [])
  }

  /** The interface has another index from now on. */
  index(access: AccessType, index: number): void {
    const before = this.#links.state
    const links = [...before.links.values()].map(link => (link.name === NAME[access] ? { ...link, index } : link))
    this.#links.state = { ...before, links: new Map(links.map(link => [link.index, link])) }
    this.#links.emit('change', before, this.#links.state, [])
  }

  /** An event of the path manager. */
  says(event: Record<string, unknown>): void {
    this.#manager.emit('event', event as never)
  }

  /** The way to the kernel's path manager is lost, or is there again. */
  reach(isReachable: boolean): void {
    Object.assign(this.#manager, { isReachable })
    if (isReachable) this.#manager.emit('back')
    else this.#manager.emit('away', 'it has ended')
  }

  overrun(): void {
    this.#manager.emit('overrun')
  }

  /** Lets so much time pass, with a scan every `period`; events and answers come in between. */
  async pass(milliseconds: number, period = 50): Promise<void> {
    for (const end = this.now + milliseconds; this.now < end; ) {
      this.now += period
      for (const event of this.#events.splice(0)) this.says(event)
      this.controller.scan()
      await this.settled()
    }
  }

  /** Until every answer has been heard. */
  async settled(): Promise<void> {
    for (let i = 0; i < 10; i++) await Promise.resolve()
  }

  /** Data goes out on a subflow, and is acknowledged or not. */
  carry({ sample }: Subflow, bytes: number, acknowledged = true): void {
    sample.bytesSent += bytes
    if (acknowledged) sample.bytesAcked += bytes
    sample.unacked = acknowledged ? 0 : 1
    sample.lastAckRecv = 0
  }

  /** A segment with data comes in on a subflow. */
  receive({ sample }: Subflow, bytes = 1400): void {
    sample.bytesReceived += bytes
    sample.dataSegsIn = (sample.dataSegsIn ?? 0) + 1
    sample.lastDataRecv = 0
    sample.lastAckRecv = 0
  }

  /** Lets time pass in which nothing comes in but by `each`, which is called before each scan. */
  async wait(milliseconds: number, { period = 10, each = () => {} } = {}): Promise<void> {
    for (let waited = 0; waited < milliseconds; waited += period) {
      for (const { sample } of this.connections.flatMap(({ subflows }) => subflows)) {
        sample.lastAckRecv += period
        sample.lastDataRecv += period
        sample.lastDataSent += period
      }
      each()
      await this.pass(period, period)
    }
  }

  of<Kind extends Call['call']>(call: Kind): Extract<Call, { call: Kind }>[] {
    return this.calls.filter(one => one.call === call) as Extract<Call, { call: Kind }>[]
  }

  errors(): string[] {
    return this.told.flatMap(event => (event.event === 'action' && event.error ? [event.error] : []))
  }

  #connection(fd: number): Connection | undefined {
    return this.connections.find(connection => connection.fd === fd)
  }

  #sample(fd: number, connection: Connection | undefined): SocketSample {
    const subflows = (connection?.subflows ?? []).map(({ sample }) => ({ ...sample }))
    return {
      ...(Object.fromEntries(TOTALS.map(name => [name, 0])) as unknown as SocketSample),
      fd,
      errno: connection ? connection.errno : 9,
      token: connection?.token ?? 0,
      bytesAcked: subflows.reduce((sum, { bytesAcked }) => sum + bytesAcked, 0),
      bytesReceived: subflows.reduce((sum, { bytesReceived }) => sum + bytesReceived, 0),
      outstanding: subflows.reduce((sum, { bytesAcked, bytesSent }) => sum + bytesSent - bytesAcked, 0),
      subflows,
    }
  }

  async #ask(call: Call): Promise<void> {
    this.calls.push(call)
    const code = this.refuses[call.call]
    if (code !== undefined) throw refusal(call.call, code, this.words)
  }

  async #create(subflow: NewSubflow): Promise<void> {
    await this.#ask({ call: 'create', ...subflow })
    const access = subflow.local.interfaceIndex === INDEX['non-3gpp'] ? 'non-3gpp' : '3gpp'
    const connection = this.connections.find(({ token }) => token === subflow.token)
    if (!this.joins || !connection) return
    const { sample, addresses } = this.subflow(connection, access)
    addresses.local.address = subflow.local.address
    if (!this.accepts) sample.segsIn = 1
    if (access === this.deadAccess) Object.assign(sample, { state: TCP_STATES.synSent, segsIn: 0, rtt: 0 })
    this.#reportLater(subflow, addresses)
    if (this.losesAnswers) throw refusal('create', 'ENOBUFS')
  }

  #reportLater({ token, localId, local, backup = false }: NewSubflow, addresses: SubflowAddresses): void {
    const kept = this.#announced.get(`${token} ${local.address}`)
    const made = this.dropsInterface
      ? (kept ?? { interfaceIndex: 0, backup: false })
      : { interfaceIndex: local.interfaceIndex, backup }
    this.flags.set(addresses.local.port, made.backup)
    const interfaceIndex = made.interfaceIndex === 0 ? undefined : made.interfaceIndex
    const { local: from, remote } = addresses
    const about = { token, localId, remoteId: 0, local: from, remote, backup: false, interfaceIndex }
    this.#events.push({ type: 'subflow-established', ...about })
  }

  async #announce(what: Announcement): Promise<void> {
    await this.#ask({ call: 'announce', ...what })
    const { token, address, interfaceIndex, backup = false } = what
    const key = `${token} ${address}`
    if (!this.forgetsAnnouncements && !this.#announced.has(key)) this.#announced.set(key, { interfaceIndex, backup })
  }

  async #remove(what: { token: number; localId: number }): Promise<void> {
    await this.#ask({ call: 'remove', ...what })
    const { token, localId } = what
    const announced = this.of('announce').findLast(one => one.token === token && one.localId === localId)
    if (announced) this.#announced.delete(`${token} ${announced.address}`)
  }

  async #setBackup(change: SubflowName & { backup: boolean }): Promise<void> {
    await this.#ask({ call: 'set-backup', ...change })
    this.flags.set(change.local.port, change.backup)
  }

  async #destroy(name: SubflowName): Promise<void> {
    await this.#ask({ call: 'destroy', ...name })
    this.#announced.delete(`${name.token} ${name.local.address}`)
    const connection = this.connections.find(({ token }) => token === name.token)
    if (!connection) return
    const at = connection.subflows.findIndex(({ addresses }) => addresses.local.port === name.local.port)
    if (at >= 0) connection.subflows.splice(at, 1)
  }
}

function refusal(call: Call['call'], code: string, kernelMessage?: string): Error {
  return Object.assign(new Error(`mptcp_pm ${call} ${code}`), { code, kernelMessage })
}

const NUMBERS = [
  'retransmits unacked lost lastDataSent lastDataRecv lastAckRecv rttvar minRtt sndCwnd totalRetrans pacingRate',
  'deliveryRate bytesReceived bytesRetrans notsentBytes dataSegsIn receiveRtt outOfOrder',
].flatMap(line => line.split(' '))
const TOTALS = 'bytesSent bytesRetrans retransmits lastDataSent lastDataRecv lastAckRecv'.split(' ')

/** As the native call writes it. */
function record(sample: SocketSample): number[] {
  const doubles = new Array<number>(SOCKET.length).fill(0)
  for (const name of Object.keys(SOCKET) as (keyof typeof SOCKET)[])
    if (name !== 'length') doubles[SOCKET[name]] = sample[name] ?? Number.NaN
  return doubles
}

type LinkIs = boolean | 'renumbered' | 'same'

function addressOf(access: AccessType, is: LinkIs): string {
  if (is === 'renumbered') return '10.9.0.2'
  return is === 'same' ? LOCAL[otherAccess(access)] : LOCAL[access]
}

export function state(is: Record<AccessType, LinkIs>): NetworkState {
  const link = (access: AccessType): Link =>
    ({
      index: INDEX[access],
      name: NAME[access],
      up: true,
      carrier: is[access] !== false,
      operstate: is[access] !== false ? 'up' : 'down',
      flags: 0,
      mtu: 1500,
      addresses: [
        {
          family: 4,
          address: addressOf(access, is[access]),
          prefixLength: 24,
          scope: 'global',
          tentative: false,
        },
      ],
    }) as unknown as Link
  const links = (['3gpp', 'non-3gpp'] as const).map(access => [INDEX[access], link(access)] as const)
  return { links: new Map(links), defaultRoutes: [] }
}
