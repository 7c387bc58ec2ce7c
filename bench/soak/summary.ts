/** What a soak has found, as text; and whether it is good. */
import type { Fault } from './faults.js'
import type { Done, Held, Lost } from './tasks.js'

interface Rest {
  /** Milliseconds since the begin. */
  at: number
  device: Held
  converter: { sockets: number; rssBytes: number }
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
      `stall: ${done.library} ${done.what} of ${done.bytes} bytes: ${done.gapMs} ms, until ${this.#time(done.gapEndedAt)}; ${stalled.during}`,
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

  held(rest: Rest): void {
    this.#rests.push(rest)
    const { sockets, descriptors, waits, heapBytes, rssBytes } = rest.device
    this.#line(
      `at rest: ${sockets} sockets, addon ${descriptors}/${waits}, heap ${mb(heapBytes)}, resident ${mb(rssBytes)}; ` +
        `converter: ${rest.converter.sockets} sockets, resident ${mb(rest.converter.rssBytes)}`,
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
    if (device.sockets > first.device.sockets) leaks.push(`${device.sockets - first.device.sockets} sockets`)
    if (converter.sockets > first.converter.sockets)
      leaks.push(`${converter.sockets - first.converter.sockets} sockets of the converter`)
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
      `stalls of ${this.#stall} ms and more: ${this.#stalls.length}${worst ? `; worst: ${worst.library} ${worst.what} ${worst.gapMs} ms, ${worst.during}` : ''}`,
      `left open: ${leaks.length === 0 ? 'nothing' : leaks.join(', ')}`,
      ...[...this.#degraded].map(([message, count]) => `degraded, ${count} times: ${message}`),
      ...Object.entries(this.counters).map(([host, of]) => `MPTCP counters of the ${host}: ${JSON.stringify(of)}`),
      this.isGood ? 'good' : 'NOT GOOD',
    ].join('\n')
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

const relative = (ms: number) => `${ms >= 0 ? '+' : '−'}${Math.abs(Math.round(ms))} ms`
const mb = (bytes: number) => `${(bytes / MB).toFixed(1)} MB`
