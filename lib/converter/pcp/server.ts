/** A converter's PCP server (RFC 6887): its sockets, its clock, its state; the decisions are in answer.ts and mappings.ts. */
import { createSocket, type Socket } from 'node:dgram'
import { isIPv4 } from 'node:net'
import { plainAddress } from '../../input/addresses.js'
import { TIMER_MAX } from '../../input/options.js'
import type { PcpResult } from '../../wire/pcp/index.js'
import type { Settings } from '../options/settings.js'
import { announceRestart } from './announce.js'
import { answerPcp } from './answer.js'
import type { Mapping, Path, Place } from './mapping.js'
import type { Mappings } from './mappings.js'
import { readState, writeState } from './state.js'
import { type MappingUpdate, sendUpdates } from './update.js'

interface PcpServerEvents {
  /** A mapping was made, has ended, or has other filters. */
  changed(): void
  made(mapping: Mapping): void
  /** Its external address and port differ from those before the restart. */
  moved(mapping: Mapping): void
  ended(mapping: Mapping): void
  /** A request was answered or ignored: for the counters. */
  answered(result: PcpResult | 'ignored'): void
  /** The state file cannot be read or written. */
  failed(error: Error): void
}

export class PcpServer {
  readonly #settings: Settings
  readonly #mappings: Mappings
  readonly #events: PcpServerEvents
  readonly #sockets: Socket[] = []
  #epochStart = 0
  #timer: NodeJS.Timeout | undefined
  #stopAnnouncing = (): void => {}
  #stopUpdating = (): void => {}
  #writing: NodeJS.Immediate | undefined

  constructor(settings: Settings, mappings: Mappings, events: PcpServerEvents) {
    this.#settings = settings
    this.#mappings = mappings
    this.#events = events
  }

  /** Throws system errors: EADDRINUSE, EACCES, EADDRNOTAVAIL. @returns where it listens for requests */
  async open(): Promise<Place[]> {
    const { pcp } = this.#settings
    for (const { host, port } of pcp!.listen) this.#sockets.push(await this.#listen(host, port))
    const lost = this.#restore()
    if (pcp!.announce && lost) this.#stopAnnouncing = announceRestart(this.#sockets, () => this.epoch, lost)
    this.#plan()
    return this.#sockets.map(socket => {
      const { address, port } = socket.address()
      return { address, port }
    })
  }

  /** Seconds. RFC 6887 §8.5. */
  get epoch(): number {
    return Math.max(Math.floor((this.#settings.now() - this.#epochStart) / 1000), 0)
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#stopAnnouncing()
    this.#stopUpdating()
    if (this.#writing) this.#write()
    await Promise.all(
      this.#sockets.splice(0).map(socket => new Promise<void>(resolve => socket.close(() => resolve()))),
    )
  }

  async #listen(host: string, port: number): Promise<Socket> {
    const six = !isIPv4(host)
    const socket = createSocket({ type: six ? 'udp6' : 'udp4', ipv6Only: six })
    await new Promise<void>((resolve, reject) => {
      socket.once('error', error => {
        socket.close()
        reject(error)
      })
      socket.bind(port, host, () => {
        socket.removeAllListeners('error').on('error', error => this.#events.failed(error))
        resolve()
      })
    })
    socket.on('message', (bytes, from) => this.#asked(socket, host, bytes, from))
    return socket
  }

  #asked(socket: Socket, server: string, bytes: Buffer, from: Place): void {
    // RFC 768: a source port of zero means none: there is nowhere to send an answer.
    if (from.port === 0) return this.#events.answered('ignored')
    const now = this.#settings.now()
    const client = { address: plainAddress(from.address), port: from.port }
    const policy = { allow: this.#settings.allow, thirdParty: this.#settings.pcp!.thirdParty }
    this.#expire()
    const answer = answerPcp(bytes, client, server, this.#mappings, policy, this.epoch, now)
    this.#events.answered(answer.result)
    if (answer.map?.result === 'success') {
      const { mapping, isNew, lifetime } = answer.map
      if (mapping && isNew) this.#events.made(mapping)
      if (mapping && lifetime === 0 && mapping.paths.length === 0) this.#events.ended(mapping)
      // Before the answer is sent: the client's peers may connect as soon as it arrives.
      this.#events.changed()
      this.#plan()
      this.#keep()
    }
    if (answer.bytes) socket.send(answer.bytes, from.port, from.address, () => {})
  }

  #expire(): void {
    const ended = this.#mappings.expire(this.#settings.now())
    for (const mapping of ended) this.#events.ended(mapping)
    if (ended.length === 0) return
    this.#events.changed()
    this.#keep()
  }

  /** Wakes when the next mapping ends. */
  #plan(): void {
    clearTimeout(this.#timer)
    const next = this.#mappings.nextExpiry
    if (!Number.isFinite(next)) return
    const wait = Math.min(Math.max(next - this.#settings.now(), 0) + 1, TIMER_MAX)
    this.#timer = setTimeout(() => {
      this.#expire()
      this.#plan()
    }, wait).unref()
  }

  /** @returns `undefined` if everything was restored; otherwise the clients known to have lost a mapping */
  #restore(): { client: Place; server: string }[] | undefined {
    const now = this.#settings.now()
    this.#epochStart = now
    const { stateFile } = this.#settings.pcp!
    if (stateFile === undefined) return []
    try {
      const state = readState(stateFile)
      if (!state) return []
      const lost = this.#repair(state.mappings.filter(mapping => !this.#mappings.restore(mapping)))
      this.#events.changed()
      if (!lost) this.#epochStart = Math.min(state.epochStart, now)
      return lost
    } catch (error) {
      this.#events.failed(error as Error)
      return []
    }
  }

  /**
   * Mappings that cannot be restored are moved, or ended if their client accepts no other; the clients are notified (RFC 6887
   * §14.2).
   *
   * @returns `undefined` if the epoch may go on; otherwise the clients that have lost a mapping and were not notified
   */
  #repair(displaced: readonly Mapping[]): Path[] | undefined {
    const now = this.#settings.now()
    const updates: MappingUpdate[] = []
    const lost: Path[] = []
    let isRenumbered = false
    for (const mapping of displaced) {
      mapping.paths = mapping.paths.filter(({ expiresAt }) => expiresAt > now)
      if (mapping.paths.length === 0) continue
      const before = mapping.external
      const refusal = this.#mappings.move(mapping, now)
      if (refusal) this.#events.ended(mapping)
      else this.#events.moved(mapping)
      isRenumbered ||= before.address !== mapping.external.address
      const isRefused = refusal === 'cannot-provide-external'
      if (refusal && !isRefused) lost.push(...mapping.paths)
      else updates.push(...mapping.paths.map(path => ({ mapping, path, isRefused })))
    }
    const isNews = ({ mapping, path, isRefused }: MappingUpdate) =>
      this.#mappings.pathOf(mapping, path.address) === (isRefused ? undefined : path)
    const clock = { epoch: () => this.epoch, now: this.#settings.now }
    this.#stopUpdating = sendUpdates(this.#sockets, updates, isNews, clock)
    if (displaced.length > 0) this.#keep()
    // §8.5: "If the PCP server resets or loses the state of its explicit dynamic mappings […] it MUST reset its Epoch time",
    // and "if the external IP address(es) of the NAT […] changes, the Epoch time MUST be reset."
    return isRenumbered || lost.length > 0 ? lost : undefined
  }

  /** At the end of this turn: a burst of requests is written once. */
  #keep(): void {
    if (this.#settings.pcp!.stateFile !== undefined) this.#writing ??= setImmediate(() => this.#write())
  }

  #write(): void {
    clearImmediate(this.#writing)
    this.#writing = undefined
    try {
      writeState(this.#settings.pcp!.stateFile!, { epochStart: this.#epochStart, mappings: this.#mappings.all })
    } catch (error) {
      this.#events.failed(error as Error)
    }
  }
}
