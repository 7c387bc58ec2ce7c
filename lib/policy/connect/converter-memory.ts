/**
 * What connections have learned about converters, and for how long it holds. What one access did to a connection is kept for
 * that access: the key is the access and the converter's address. Only what a converter cannot do at all is kept for the
 * converter. `now` is always an argument, in milliseconds.
 */
import { inspect } from 'node:util'
import { AtsssError } from '../../errors.js'
import { callApplication } from '../../input/application.js'
import { isBytes } from '../../input/check.js'
import { COOKIE_LENGTH, type CookieStore, isCookie } from '../../input/options.js'
import { MptcpServers } from './bypass.js'
import { Hedges } from './hedges.js'

/** A converter as seen over one access; or the destination, of a connection without a converter. */
export interface ConverterPath {
  /** Its address and port, as text. */
  converter: string
  /** The interface or local address that connections leave from; empty when the routing table decides. */
  access: string
}

export type Lesson =
  /** The SYN's data is not accepted, or not answered, over this path. */
  | {
      learn: 'one-rtt'
      why: OneRttReason
      /** The server may only have been slow: the lesson counts when it is learned a second time. */
      suspected?: true
    }
  /** A connection over this path failed, or another path had to be used: try this one after the others for a while. */
  | { learn: 'trouble'; trouble: Trouble }
  /** A connection was made over this path: what trouble there was is over. */
  | { learn: 'works' }
  /** The converter does not take what follows the Convert message before it has answered. */
  | { learn: 'no-pipelining' }
  /** Do not use the converter over this path for this many seconds (RFC 8803 §6.2.8, codes 64 and 65). */
  | { learn: 'back-off'; seconds: number; code: number }
  | { learn: 'cookie'; cookie: Uint8Array }
  /** The converter refuses this cookie, which it handed out or which was configured. */
  | { learn: 'forget-cookie'; cookie: Uint8Array }
  /** TCP options that the converter cannot send (RFC 8803 §6.2.8, code 33). */
  | { learn: 'no-tcp-options'; kinds: readonly number[] }
  /** The converter does not understand the Info TLV. */
  | { learn: 'no-info' }
  /** No common version (RFC 8803 §6.2.8, code 0). */
  | { learn: 'unusable'; code: number }

/**
 * `refused`: reset. `unusable`: what answers there is not a converter, or refuses this client. `silent`: no answer to the SYN,
 * or to the Convert message, while another access was answered.
 */
export type Trouble = 'refused' | 'unusable' | 'silent'

export type OneRttReason =
  /** This system sends no data in a SYN (net.ipv4.tcp_fastopen, or an old kernel). */
  | 'no-fast-open-here'
  /** The handshake succeeded without the data: the converter has no Fast Open, or a middlebox interferes (§8). */
  | 'syn-data-not-acknowledged'
  /** The data was acknowledged but not answered; the 1-RTT form was answered. */
  | 'no-answer-to-syn-data'
  /**
   * The data was acknowledged, and the answer came over TCP. A listener on Linux answers so when the kernel has repeated the
   * SYN, which it does after a second. On a path with such a round trip the 1-RTT form keeps MPTCP.
   */
  | 'turned-to-tcp'
  /**
   * A steered connection in 0-RTT needs a fixed receive buffer of 4 MiB or more, and net.core.rmem_max does not allow it. This is
   * checked for each connection, and not remembered.
   */
  | 'small-receive-buffer'

export interface BackOff {
  /** Milliseconds, on the clock of `now`. */
  until: number
  code: number
}

/**
 * How long the 1-RTT form is used before the SYN is tried again. A device changes networks; a wrong guess costs one round
 * trip. RFC 8803 §8 wants such a converter not to be used at all; see docs/3gpp.md#deviations-from-rfc-8803.
 */
const ONE_RTT_FOR_MS = 600_000
/** "If set to zero, this corresponds to a delay of at least 30 seconds" (RFC 8803 §6.2.8). */
const LEAST_BACK_OFF_S = 30
/** A mistaken or lying converter cannot shut itself out for longer than an hour. */
const MOST_BACK_OFF_S = 3_600
const UNUSABLE_FOR_MS = 3_600_000
/**
 * How long a path with trouble is tried after the others. It doubles each time that the path has failed again since: a login
 * page may be passed within seconds, and a network that blocks the converter's port will do so for as long as we are there.
 */
const TROUBLE_FOR_MS = { first: 30_000, most: 600_000 }
/** As for the 1-RTT form. */
const NO_PIPELINING_FOR_MS = 600_000
/** The oldest entries beyond this number are dropped: a device does not meet thousands of converters. */
const CAPACITY = 1_000

/** How long a converter that suggested `delaySeconds` is not used. */
export function backOffSeconds(delaySeconds: number): number {
  return Math.min(delaySeconds || LEAST_BACK_OFF_S, MOST_BACK_OFF_S)
}

export class ConverterMemory {
  /** What converters have said of servers. */
  readonly servers = new MptcpServers()

  readonly #oneRtt = new Latest<{ until: number; why: OneRttReason }>()
  readonly #backOff = new Latest<BackOff>()
  readonly #troubles = new Latest<{ trouble: Trouble; at: number; until: number; times: number }>()
  /** Until when. */
  readonly #noPipelining = new Latest<number>()
  /** Until when a suspicion is kept. */
  readonly #suspected = new Latest<number>()
  readonly #noInfo = new Latest<true>()
  readonly #noOptions = new Latest<readonly number[]>()
  /** In hexadecimal. */
  readonly #refusedCookies = new Latest<string>()
  readonly #cookies: CookieStore
  readonly hedges = new Hedges()

  constructor(cookies: CookieStore = new Latest<Uint8Array>()) {
    this.#cookies = cookies
  }

  /** Why no data should be sent in the SYN over this path; undefined if it may be. */
  oneRtt(path: ConverterPath, now: number): OneRttReason | undefined {
    const known = this.#oneRtt.get(key(path))
    return known && now < known.until ? known.why : undefined
  }

  /**
   * Why this path should be tried after the others; undefined if it need not be.
   *
   * @param since when the access last changed: what was learned before is about another network
   */
  trouble(path: ConverterPath, now: number, since = Number.NEGATIVE_INFINITY): Trouble | undefined {
    if (this.#troubles.size === 0) return undefined
    const known = this.#troubles.get(key(path))
    return known && now < known.until && known.at >= since ? known.trouble : undefined
  }

  /** Whether bytes may follow the Convert message before the converter has answered, as far as known. */
  takesPipelining(path: ConverterPath, now: number): boolean {
    const until = this.#noPipelining.get(key(path))
    return until === undefined || now >= until
  }

  /** Until when the converter does not want to be used over this path; undefined if it may be. */
  backOff(path: ConverterPath, now: number): BackOff | undefined {
    const known = this.#backOff.get(key(path))
    return known && now < known.until ? known : undefined
  }

  /** Whether the converter understands the Info TLV, as far as known. */
  understandsInfo(path: ConverterPath): boolean {
    return !this.#noInfo.has(path.converter)
  }

  /** Whether the converter can send TCP options of this kind, as far as known. */
  takesOption(path: ConverterPath, kind: number): boolean {
    return !this.#noOptions.get(path.converter)?.includes(kind)
  }

  /**
   * The cookie that the converter gave; otherwise the one that the application configured, unless the converter has refused
   * it. When the application's store throws, the connection goes on without the stored cookie: it takes a round trip more.
   *
   * @throws ERR_ATSSS_OPTION when the store returns something else
   */
  cookie(path: ConverterPath, configured?: Uint8Array): Uint8Array | undefined {
    const given: unknown = callApplication(() => this.#cookies.get(key(path))) ?? undefined
    if (given !== undefined && !(isBytes(given) && isCookie(given))) throw noCookie(given)
    if (given || !configured) return given
    return this.#refusedCookies.get(key(path)) === hex(configured) ? undefined : configured
  }

  learn(path: ConverterPath, lesson: Lesson, now: number): void {
    switch (lesson.learn) {
      case 'one-rtt':
        if (lesson.suspected && !this.#isSecond(path, now)) break
        this.#oneRtt.set(key(path), { until: now + ONE_RTT_FOR_MS, why: lesson.why })
        break
      case 'trouble':
        this.#haveTrouble(key(path), lesson.trouble, now)
        break
      case 'works':
        if (this.#troubles.size > 0) this.#troubles.delete(key(path))
        break
      case 'no-pipelining':
        this.#noPipelining.set(key(path), now + NO_PIPELINING_FOR_MS)
        break
      case 'back-off':
        this.#backOff.set(key(path), { until: now + backOffSeconds(lesson.seconds) * 1000, code: lesson.code })
        break
      case 'unusable':
        this.#backOff.set(key(path), { until: now + UNUSABLE_FOR_MS, code: lesson.code })
        break
      case 'cookie':
        callApplication(() => this.#cookies.set(key(path), lesson.cookie))
        break
      case 'forget-cookie':
        this.#refusedCookies.set(key(path), hex(lesson.cookie))
        callApplication(() => this.#cookies.delete(key(path)))
        break
      case 'no-tcp-options':
        this.#noOptions.set(path.converter, [...(this.#noOptions.get(path.converter) ?? []), ...lesson.kinds])
        break
      case 'no-info':
        this.#noInfo.set(path.converter, true)
        break
    }
  }

  #haveTrouble(path: string, trouble: Trouble, now: number): void {
    const before = this.#troubles.get(path)
    if (before && now < before.until) {
      this.#troubles.set(path, { ...before, at: now }) // connections that fail together count once
      return
    }
    const times = (before?.times ?? 0) + 1
    const duration = Math.min(TROUBLE_FOR_MS.first * 2 ** (times - 1), TROUBLE_FOR_MS.most)
    this.#troubles.set(path, { trouble, at: now, until: now + duration, times })
  }

  #isSecond(path: ConverterPath, now: number): boolean {
    const until = this.#suspected.get(key(path))
    this.#suspected.set(key(path), now + ONE_RTT_FOR_MS)
    return until !== undefined && now < until
  }
}

function noCookie(given: unknown): AtsssError {
  const found = isBytes(given) ? `${given.length} bytes` : inspect(given, { depth: 0 }).slice(0, 80)
  return new AtsssError(
    'ERR_ATSSS_OPTION',
    `get() of the option "cookies" must return undefined, or a Uint8Array of ${COOKIE_LENGTH}; it returned ${found}`,
  )
}

/** A converter may bind a cookie to the client's address (RFC 8803 §6.2.7), which differs for each access. */
function key(path: ConverterPath): string {
  return `${path.converter}|${path.access}`
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/** The latest `CAPACITY` entries. */
class Latest<T> extends Map<string, T> {
  override set(name: string, value: T): this {
    this.delete(name)
    super.set(name, value)
    if (this.size > CAPACITY) this.delete(this.keys().next().value as string)
    return this
  }
}
