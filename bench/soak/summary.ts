/** What a soak has found, as text; and whether it is good. */
import type { Fault } from './faults.js'
import type { OpenFiles } from './open-files.js'
import type { Done, Held, Lost } from './tasks.js'

/** What is held while nothing is under way. */
interface Rest {
  device: Held
  converter: OpenFiles & { rssBytes: number }
}

interface OfLibrary {
  exchanges: number
  bytes: number
  lost: number
  givenUp: number
  gaps: number[]
}

/**
 * An error that says what has happened is no loss: the access fell silent in the first round trips, bytes of the application had left
 * over it, and these are never sent again over another one (docs/errors.md).
 */
const GIVEN_UP = 'ERR_CONVERT_TIMEOUT'
/** What the device may hold more at the end than at its first rest, when every library has been used. */
const HEAP_GROWTH = 30_000_000
/** Libraries, and Node, may keep this many files and timers for themselves. A leak of ours grows with the exchanges. */
const OF_LIBRARIES = 3
/**
 * The converter may hold this many sockets for longer: when bytes are sent again for the first time after the end of a stream, the
 * kernel can miss that end (docs/linux.md, "Ends of streams"), and only a timeout closes the connection.
 */
const OF_MISSED_ENDS = 8
const MB = 1_000_000
const NO_FAULT = 'no fault'

export class Summary {
  counters: Record<string, Record<string, number>> = {}
  readonly #stall: number
  readonly #verbose: boolean
  readonly #faults: Fault[] = []
  readonly #libraries = new Map<string, OfLibrary>()
  readonly #lost: Lost[] = []
  readonly #stalls: (Done & { during: string })[] = []
  #start: Rest | undefined
  readonly #rests: Rest[] = []
  readonly #degraded = new Map<string, number>()
  readonly #began = Date.now()

  constructor({ stall, verbose }: { stall: number; verbose: boolean }) {
    this.#stall = stall
    this.#verbose = verbose
  }

  get isGood(): boolean {
    return this.#lost.length === 0 && this.#libraries.size > 0 && this.leaks().length === 0
  }

  fault(fault: Fault): void {
    this.#faults.push(fault)
    if (this.#verbose) this.#line(`${fault.kind} of ${fault.access}`)
  }

  done(done: Done): void {
    const of = this.#of(done.library)
    of.exchanges++
    of.bytes += done.bytes
    of.gaps.push(done.gapMs)
    if (this.#verbose) this.#line(`${done.library} ${done.what} ${done.bytes} bytes, ${done.ms} ms, gap ${done.gapMs}`)
    if (done.gapMs < this.#stall) return
    const stalled = { ...done, during: this.#during(done.gapEndedAt - done.gapMs, done.gapEndedAt) }
    this.#stalls.push(stalled)
    this.#line(
      `stall: ${done.library} ${done.what} of ${done.bytes} bytes: ${done.gapMs} ms${ofPause(done)}, until ${this.#time(done.gapEndedAt)}; ${stalled.during}`,
    )
  }

  lost(lost: Lost): void {
    const isGivenUp = lost.code === GIVEN_UP && this.#during(lost.at - lost.ms, lost.at) !== NO_FAULT
    this.#of(lost.library)[isGivenUp ? 'givenUp' : 'lost']++
    if (!isGivenUp) this.#lost.push(lost)
    const during = this.#during(lost.at - lost.ms, lost.at)
    this.#line(
      `LOST: ${lost.library} ${lost.what} ${lost.bytes ?? ''} after ${lost.ms} ms: ${lost.code} ${lost.message}`,
    )
    this.#line(`  ${during}\n  ${lost.stack.split('\n').slice(0, 4).join('\n  ')}`)
  }

  degraded(message: string): void {
    this.#degraded.set(message, (this.#degraded.get(message) ?? 0) + 1)
  }

  /** Before the first exchange. */
  start(rest: Rest): void {
    this.#start = rest
  }

  held(rest: Rest): void {
    this.#rests.push(rest)
    const { device, converter } = rest
    this.#line(
      `at rest: ${device.files} files, ${device.sockets} of them sockets, ${device.timers} timers, ` +
        `heap ${mb(device.heapBytes)}, resident ${mb(device.rssBytes)}; ` +
        `converter: ${converter.files} files, ${converter.sockets} of them sockets, resident ${mb(converter.rssBytes)}`,
    )
  }

  /** What is held at the end and was not at the first rest. */
  leaks(): string[] {
    const [first, last] = [this.#rests[0], this.#rests.at(-1)]
    if (!first || !last) return ['nothing was counted']
    const leaks: string[] = []
    const { device, converter } = last
    if (device.connections > 0) leaks.push(`${device.connections} connections are still the session's`)
    if (device.descriptors > 0) leaks.push(`${device.descriptors} descriptors of the addon`)
    if (device.waits > 0) leaks.push(`the addon waits for ${device.waits} descriptors`)
    const grown = (what: string, now: number, before: number, most = 0) => {
      if (now - before > most) leaks.push(`${now - before} ${what} more than at the first rest`)
    }
    grown('sockets', device.sockets, first.device.sockets)
    grown('files', device.files, first.device.files, OF_LIBRARIES)
    grown('timers', device.timers, first.device.timers, OF_LIBRARIES)
    grown('sockets of the converter', converter.sockets, first.converter.sockets, OF_MISSED_ENDS)
    grown('files of the converter', converter.files, first.converter.files, OF_LIBRARIES + OF_MISSED_ENDS)
    if (device.heapBytes - first.device.heapBytes > HEAP_GROWTH)
      leaks.push(`${mb(device.heapBytes - first.device.heapBytes)} of memory`)
    return leaks
  }

  text(): string {
    const all = [...this.#libraries.values()]
    const bytes = all.reduce((sum, of) => sum + of.bytes, 0)
    const kinds = new Map<string, number>()
    for (const { kind } of this.#faults) kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
    const rows = [...this.#libraries].map(([name, { exchanges, bytes, lost, givenUp, gaps }]) => {
      const sorted = gaps.toSorted((a, b) => a - b)
      const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
      const cells = [exchanges, (bytes / MB).toFixed(0), lost, givenUp, at(0.5), at(0.99), at(1)]
      return name.padEnd(10) + cells.map(cell => String(cell).padStart(10)).join('')
    })
    const leaks = this.leaks()
    const worst = this.#stalls.toSorted((a, b) => b.gapMs - a.gapMs)[0]
    return [
      '',
      'library    exchanges        MB      lost  given up   gap p50   gap p99  worst ms',
      ...rows,
      '',
      `faults: ${this.#faults.length} (${[...kinds].map(([kind, count]) => `${count} ${kind}`).join(', ')})`,
      `carried: ${(bytes / MB).toFixed(0)} MB, lost: ${this.#lost.length} exchanges`,
      `stalls of ${this.#stall} ms and more: ${this.#stalls.length}${worst ? `; worst: ${worst.library} ${worst.what} ${worst.gapMs} ms${ofPause(worst)}, ${worst.during}` : ''}`,
      `left open: ${leaks.length === 0 ? 'nothing' : leaks.join(', ')}`,
      '',
      ...this.#heldTable(),
      '',
      ...[...this.#degraded].map(([message, count]) => `degraded, ${count} times: ${message}`),
      ...Object.entries(this.counters).map(([host, of]) => `MPTCP counters of the ${host}: ${JSON.stringify(of)}`),
      this.isGood ? 'good' : 'NOT GOOD',
    ].join('\n')
  }

  /** Memory, descriptors and timers: whether they grow shows in hours. */
  #heldTable(): string[] {
    const columns = {
      start: this.#start,
      first: this.#rests[0],
      middle: this.#rests.at((this.#rests.length - 1) / 2),
      last: this.#rests.at(-1),
    }
    const row = (title: string, of: (rest: Rest) => number | string) =>
      title.padEnd(24) +
      Object.values(columns)
        .map(rest => String(rest ? of(rest) : '?').padStart(10))
        .join('')
    return [
      `held at rest (${this.#rests.length})`.padEnd(24) +
        Object.keys(columns)
          .map(name => name.padStart(10))
          .join(''),
      row('open files', ({ device }) => device.files),
      row('sockets', ({ device }) => device.sockets),
      row('timers', ({ device }) => device.timers),
      row('heap', ({ device }) => mb(device.heapBytes)),
      row('resident', ({ device }) => mb(device.rssBytes)),
      row('converter: open files', ({ converter }) => converter.files),
      row('converter: sockets', ({ converter }) => converter.sockets),
      row('converter: resident', ({ converter }) => mb(converter.rssBytes)),
    ]
  }

  #of(library: string): OfLibrary {
    let of = this.#libraries.get(library)
    if (!of) {
      of = { exchanges: 0, bytes: 0, lost: 0, givenUp: 0, gaps: [] }
      this.#libraries.set(library, of)
    }
    return of
  }

  /** The faults between two times, and how they lie to the first. */
  #during(from: number, to: number): string {
    const near = this.#faults.filter(fault => fault.from < to && (fault.to ?? Number.POSITIVE_INFINITY) > from - 1_500)
    if (near.length === 0) return NO_FAULT
    return near
      .map(
        ({ kind, access, ...fault }) =>
          `${kind} of ${access} from ${relative(fault.from - from)} to ${fault.to ? relative(fault.to - from) : 'later'}`,
      )
      .join(', ')
  }

  #time(at: number): string {
    return `${((at - this.#began) / 1000).toFixed(2)} s`
  }

  #line(text: string): void {
    console.log(`${this.#time(Date.now()).padStart(9)}  ${text}`)
  }
}

const ofPause = ({ pausedMs }: Done) =>
  pausedMs > 0 ? ` (for ${pausedMs} ms of it the device's process did not run)` : ''
const relative = (ms: number) => `${ms >= 0 ? '+' : '−'}${Math.abs(Math.round(ms))} ms`
const mb = (bytes: number) => `${(bytes / MB).toFixed(1)} MB`
