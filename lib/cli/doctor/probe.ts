/** The path to a converter over one access, tried: three connections that carry nothing but a Convert message. */
import { once } from 'node:events'
import { type ConverterAddress, connect, type MptcpOptions, type MptcpSocket } from '../../index.js'
import { hostAndPort } from '../../input/addresses.js'
import type { ConverterSpec } from '../../input/options.js'
import { findConverters } from '../../runtime/connect/resolve.js'
import type { Finding } from './finding.js'

interface ProbeTarget {
  /** Undefined: as the routes say. */
  interface: string | undefined
  converter: ConverterSpec
  /** What the converter is asked to connect to; undefined: to itself. */
  destination: Place | undefined
  allowLoopback: boolean
}

interface Place {
  host: string
  port: number
}

export interface Probe {
  interface: string | undefined
  /** Its name: `198.51.100.1:5124`, `_convert._tcp.example`. */
  converter: string
  /** Milliseconds of a TCP handshake. */
  rtt?: number
  /** Why there is none. */
  unreachable?: string
  /** Whether MPTCP got to the converter and back. */
  mptcp?: boolean
  /** Whether a message in the SYN was acknowledged, and answered; `not-sent`: this system sent none. */
  synData?: boolean | 'not-sent'
  /** In the SYN or behind the handshake; undefined when it did not answer. */
  convert?: '0rtt' | '1rtt' | undefined
  /** What it answered: `connected`, or the error's name. */
  answer?: string
  /** What it was asked to connect to, unless that was itself. */
  destination?: string
  /** Why it did not answer. */
  failure?: string
}

const TIMEOUT = 5000

export async function probe(target: ProbeTarget): Promise<Probe> {
  const { interface: device, converter, allowLoopback } = target
  const over: MptcpOptions = device === undefined ? {} : { interface: device }
  const asked = target.destination && { destination: hostAndPort(target.destination.host, target.destination.port) }
  const result: Probe = { interface: device, converter: converter.name, ...asked }
  const places = await placesOf(converter)
  if (places instanceof Error) return { ...result, unreachable: places.message }
  const { place, plain } = await firstToAnswer(places, over)
  if (plain.error) return { ...result, unreachable: plain.error.message }
  result.rtt = plain.ms
  const direct = await attempt({ ...place, ...over })
  result.mptcp = direct.report.protocol === 'mptcp'
  // A memory of its own: what earlier connections have learned would answer otherwise.
  const how: MptcpOptions = { converters: withCookie(place, converter), info: true, allowLoopback, cookies: new Map() }
  const { error, report } = await attempt({ ...(target.destination ?? place), ...over, ...how })
  const answer = error === undefined ? 'connected' : answerIn(error)
  if (answer === undefined) return { ...result, synData: false, failure: error!.message }
  const synData = report.synDataAccepted === true
  const unsent = report.lessons.includes('no-fast-open-here')
  return { ...result, convert: synData ? '0rtt' : '1rtt', synData: unsent ? 'not-sent' : synData, answer }
}

/** Of a name Node tries the addresses; a domain's converters are tried here. */
async function placesOf(converter: ConverterSpec): Promise<Place[] | Error> {
  const { where } = converter
  if ('host' in where) return [where]
  if ('addresses' in where) return where.addresses.map(host => ({ host, port: where.port }))
  try {
    return (await findConverters([converter])).map(({ address, port }) => ({ host: address, port }))
  } catch (error) {
    return error as Error
  }
}

async function firstToAnswer(places: readonly Place[], over: MptcpOptions): Promise<{ place: Place; plain: Attempt }> {
  let last: { place: Place; plain: Attempt } | undefined
  for (const place of places) {
    last = { place, plain: await attempt({ ...place, ...over, mptcp: 'off' }) }
    if (last.plain.error === undefined) break
  }
  return last!
}

function withCookie(place: Place, { cookie }: ConverterSpec): ConverterAddress {
  return cookie === undefined ? place : { ...place, cookie }
}

/** What the converter's Error TLV said, if it was one that ended the attempt. */
function answerIn(error: Error): string | undefined {
  const { detail, cause } = error as { detail?: { name: string }; cause?: { detail?: { name: string } } }
  return (detail ?? cause?.detail)?.name
}

interface Attempt {
  ms: number
  error?: NodeJS.ErrnoException
  report: MptcpSocket['mptcp']
}

async function attempt(options: { host: string; port: number } & MptcpOptions): Promise<Attempt> {
  const started = performance.now()
  const socket = connect({ ...options, connectTimeout: TIMEOUT })
  try {
    await once(socket, 'connect')
    return { ms: performance.now() - started, report: socket.mptcp }
  } catch (error) {
    return { ms: performance.now() - started, error: error as NodeJS.ErrnoException, report: socket.mptcp }
  } finally {
    socket.on('error', () => {}).destroy()
  }
}

const REFUSED_ITSELF =
  'it was asked to connect to itself, which converters may refuse: --destination HOST:PORT asks for a real server'

/**
 * Pure.
 *
 * @param number of the converter, counted from 1: the first one's findings need none in their ids
 */
export function aboutPath(path: Probe, number = 1): Finding {
  const { converter, rtt, unreachable, mptcp, synData, convert, answer, failure, destination } = path
  const over = path.interface === undefined ? '' : ` over ${path.interface}`
  const id = `path-${path.interface ?? 'default'}${number === 1 ? '' : `-${number}`}`
  const about = { id, title: `Converter ${converter}${over}` }
  if (unreachable !== undefined)
    return {
      ...about,
      state: 'bad',
      found: `not reachable: ${unreachable}`,
      why: 'this access cannot use the converter',
      fixes: [
        {
          command: '',
          note: 'check that it is running, and that firewalls (there, here and between) allow TCP to its port',
        },
      ],
    }
  const facts = [
    `reachable, RTT ${rtt!.toFixed(1)} ms`,
    mptcp ? 'MPTCP kept' : 'MPTCP lost',
    synData === 'not-sent'
      ? 'no message in the SYN'
      : synData
        ? 'SYN data acknowledged'
        : 'no answer to a message in the SYN',
    failure === undefined
      ? `Convert answered (${convert === '0rtt' ? '0-RTT' : '1-RTT'}): ${answer}`
      : `Convert not answered: ${failure}`,
  ]
  const found = facts.join('; ')
  if (failure !== undefined)
    return {
      ...about,
      state: 'bad',
      found,
      why: 'what listens there does not speak RFC 8803, or refuses this client',
      fixes: [
        {
          command: '',
          note: 'check the port, and that the converter serves this address (atsss converter: --allow PREFIX)',
        },
      ],
    }
  if (!mptcp)
    return {
      ...about,
      state: 'bad',
      found,
      why: 'connections over this access fall back to TCP and cannot be steered',
      fixes: [
        {
          command: '',
          note: "a middlebox removes MPTCP's options, or the converter listens with TCP only: try another network, or `atsss converter --protocol mptcp`",
        },
      ],
    }
  if (destination !== undefined && answer !== 'connected')
    return {
      ...about,
      state: 'bad',
      found,
      why: `the converter does not connect this device to ${destination}`,
      fixes: [
        { command: '', note: 'what each answer means: docs/errors.md; atsss converter: --allow, --allow-target' },
      ],
    }
  if (synData === 'not-sent')
    return {
      ...about,
      state: 'warning',
      found,
      why: 'this system sends no data in SYNs, so each connection takes one round trip more',
      fixes: [{ command: '', note: 'see "TCP Fast Open"' }],
    }
  if (!synData)
    return {
      ...about,
      state: 'warning',
      found,
      why: 'each connection takes one round trip more, and may fall back to TCP',
      fixes: [
        {
          command: 'sysctl -w net.ipv4.tcp_fastopen=3',
          note: "on the converter's host; if a middlebox removes data from SYNs instead, convert: '1rtt' keeps MPTCP",
        },
      ],
    }
  const refused = answer === 'connected' ? '' : `; ${REFUSED_ITSELF}`
  return { ...about, state: 'good', found, why: `a Convert message needs no extra round trip${refused}`, fixes: [] }
}

/**
 * A path that cannot work because of something on this machine: then that is what to fix. Pure.
 *
 * @param needed findings about what the path needs
 */
export function withCause(path: Finding, needed: readonly Finding[]): Finding {
  const cause = needed.find(({ state }) => state === 'bad')
  if (cause === undefined || path.state === 'good') return path
  return { ...path, why: `fix this first: ${cause.title} (${cause.found})`, fixes: [] }
}
