/**
 * What to do when a way has failed: what to learn from it, whether to retry it in another form, what it rules out, and the error.
 * RFC 8803 §6.2.8 and §8; pure.
 */

import { constants } from 'node:os'
import { AtsssError, type ErrorCode, systemError, type WireError } from '../../errors.js'
import { hostAndPort } from '../../input/addresses.js'
import { LONGEST_COOKIE } from '../../input/options.js'
import { type ConvertErrorValue, ERROR_CODES } from '../../wire/convert/error.js'
import type { Candidate, Scope, ViaConverter } from './candidates.js'
import { ConvertError } from './convert-error.js'
import { backOffSeconds, type Lesson, type Trouble } from './converter-memory.js'

export type Failure =
  /** A system call or the handshake failed. */
  | { kind: 'system'; error: Error }
  /** No SYN+ACK to any of the SYNs that may be sent. */
  | { kind: 'unanswered' }
  /** The handshake succeeded without the SYN's data. */
  | { kind: 'syn-data-not-acknowledged' }
  /** This end fell back to TCP, but the converter may not have: data may be duplicated or lost (see half-fallback.ts). */
  | { kind: 'half-fallback' }
  /** The converter answered with an Error TLV. */
  | { kind: 'error-tlv'; code: number; detail: ConvertErrorValue }
  /** `received`, as far as it was read, is not a Convert message, or not one that a converter may send. */
  | { kind: 'malformed'; error: WireError; received: Uint8Array }
  /** FIN before the answer was complete. */
  | { kind: 'closed' }
  /** The answer took longer than `converterTimeout`. */
  | { kind: 'answer-timeout'; after: number }
  /** Bytes have left that are not acknowledged, while the converter answers over another access. */
  | { kind: 'access-lost'; after: number }
  /** The kernel or the peer fell back to TCP, and MPTCP is required. */
  | { kind: 'tcp' }

/**
 * Which bytes of the application had left after the Convert message. `again`: a ClientHello, which may be sent again. `once`:
 * others, which must not arrive twice.
 */
export type Sent = 'nothing' | 'again' | 'once'

const NO_ANSWER: Lesson = { learn: 'one-rtt', why: 'no-answer-to-syn-data' }
const trouble = (what: Trouble): Lesson => ({ learn: 'trouble', trouble: what })

export interface Reaction {
  lesson?: Lesson
  /** The same way, changed: to be tried at once, before the others. */
  retry?: Candidate
  /** What the failure rules out if there is no retry. */
  scope: Scope
  error: Error
}

/**
 * @param sent after bytes that must not arrive twice, only an Error TLV says that the server has not seen them: it is sent
 * instead of a connection. After any other failure another way could repeat them.
 */
export function react(failure: Failure, candidate: Candidate, sent: Sent): Reaction {
  const reaction = sent === 'nothing' ? reactTo(failure, candidate) : reactAfterBytes(failure, candidate)
  if (sent !== 'once' || failure.kind === 'error-tlv') return reaction
  const { retry: _, ...final } = reaction
  // The 1-RTT form could not be tried at the same time to see whether it is answered. The next connection uses it.
  const silent = failure.kind === 'answer-timeout' && candidate.via?.form === '0rtt'
  return { ...final, ...(silent ? { lesson: NO_ANSWER } : {}), scope: 'all' }
}

/**
 * A converter that reads more than the Convert message finds the application's bytes in it: it resets, closes, or cannot parse
 * them. So the next thing to try is the same without them.
 */
function reactAfterBytes(failure: Failure, candidate: Candidate): Reaction {
  const reaction = reactTo(failure, candidate)
  const { via } = candidate
  if (!via?.pipelining || reaction.retry) return reaction
  const retry = { ...candidate, via: { ...via, pipelining: false } }
  if (failure.kind === 'closed' || (failure.kind === 'system' && isReset(failure.error)))
    return { ...reaction, lesson: { learn: 'no-pipelining' }, retry }
  if (failure.kind !== 'error-tlv' || failure.detail.name !== 'malformed-message') return reaction
  // It may be our message that was not understood: nothing is learned unless the retry succeeds (see `wasUnderstood`).
  return { ...reaction, retry: { ...retry, retriedAfter: [...retry.retriedAfter, failure.code] } }
}

/** What a connection that was made shows about a retry before it. */
export function wasUnderstood({ via, retriedAfter }: Candidate): Lesson | undefined {
  const isRetried = via?.pipelining === false && retriedAfter.includes(ERROR_CODES['malformed-message'])
  return isRetried ? { learn: 'no-pipelining' } : undefined
}

function reactTo(failure: Failure, candidate: Candidate): Reaction {
  const { via, destination } = candidate
  switch (failure.kind) {
    case 'system':
      return reactToSystemError(failure.error, via)
    case 'unanswered': {
      const { address, port } = via?.endpoint ?? destination
      const { ETIMEDOUT } = constants.errno
      const why = via && whyNoConverter(ETIMEDOUT)
      return { scope: 'way', error: systemError(ETIMEDOUT, 'connect', address, port, undefined, why) }
    }
    case 'tcp':
      return {
        scope: via ? 'way' : 'attempt',
        error: new AtsssError(
          'ERR_MPTCP_FALLBACK',
          "The connection fell back to TCP, and the option mptcp is 'require'",
        ),
      }
  }
  if (!via) throw new TypeError(`a direct connection cannot fail with ${failure.kind}`)
  switch (failure.kind) {
    case 'syn-data-not-acknowledged':
      return {
        lesson: { learn: 'one-rtt', why: 'syn-data-not-acknowledged' },
        retry: { ...candidate, via: { ...via, form: '1rtt' } },
        scope: 'way',
        error: convertError('ERR_CONVERT_CLOSED', via, "did not accept the SYN's data (convert: '1rtt' sends none)"),
      }
    case 'half-fallback':
      return {
        lesson: { learn: 'one-rtt', why: 'turned-to-tcp' },
        ...(via.adaptive ? { retry: { ...candidate, via: { ...via, form: '1rtt' } } } : {}),
        scope: 'way',
        error: convertError(
          'ERR_MPTCP_HALF_FALLBACK',
          via,
          'may not have noticed that the connection fell back to TCP',
        ),
      }
    case 'malformed':
      return {
        lesson: trouble('unusable'),
        scope: 'way',
        error: convertError('ERR_CONVERT_MALFORMED', via, whatIsWrong(failure.error, failure.received), failure.error),
      }
    case 'closed':
      return {
        lesson: trouble('unusable'),
        scope: 'way',
        error: convertError('ERR_CONVERT_CLOSED', via, 'closed the connection before its answer was complete'),
      }
    case 'answer-timeout':
      return {
        scope: 'way',
        error: convertError(
          'ERR_CONVERT_TIMEOUT',
          via,
          `did not answer within ${failure.after} ms (option converterTimeout)`,
        ),
      }
    case 'access-lost':
      return {
        lesson: trouble('silent'),
        scope: 'way',
        error: convertError(
          'ERR_CONVERT_TIMEOUT',
          via,
          `acknowledged nothing over ${candidate.interface ?? 'this access'} for ${failure.after} ms, and answers over another access; what was written may have arrived and is not sent again`,
        ),
      }
    case 'error-tlv':
      return reactToErrorTlv(failure.code, failure.detail, candidate, via)
  }
}

/** What the message of a system error adds if it was a converter that was not reached: the address alone does not say so. */
export function whyNoConverter(errno: number): string {
  switch (errno) {
    case constants.errno.ECONNREFUSED:
      return ': this is the converter, and nothing listens on its port'
    case constants.errno.ETIMEDOUT:
      return ': this is the converter, and it does not answer'
    default:
      return ': this is the converter'
  }
}

/** Even a refusal holds for one interface only: a firewall or a login page of that network may have answered. */
function reactToSystemError(error: Error, via: ViaConverter | undefined): Reaction {
  const { code = '' } = error as NodeJS.ErrnoException
  // RFC 8803 §6.2.5 forbids this address in a Connect TLV: another address of the server may work.
  if (code === 'ERR_CONVERT_ENCODE') return { scope: 'destination', error }
  // A server may refuse for any reason: of a direct way, this is learned only when another access reaches it.
  return { ...(via && isReset(error) ? { lesson: trouble('refused') } : {}), scope: 'way', error }
}

function isReset(error: Error): boolean {
  return ['ECONNREFUSED', 'ECONNRESET', 'EPIPE'].includes((error as NodeJS.ErrnoException).code ?? '')
}

/** "Upon reception of an Error TLV, the Client MUST reset the connection" (§6.2.8): the caller has done so. */
function reactToErrorTlv(code: number, detail: ConvertErrorValue, candidate: Candidate, via: ViaConverter): Reaction {
  const again = (changes: Partial<ViaConverter>) =>
    candidate.retriedAfter.includes(code)
      ? {}
      : { retry: { ...candidate, via: { ...via, ...changes }, retriedAfter: [...candidate.retriedAfter, code] } }
  const failed = (errorCode: ErrorCode, text: string) =>
    new ConvertError(errorCode, `Converter ${nameOf(via)} ${text}`, { converter: nameOf(via), detail })
  switch (detail.name) {
    case 'unsupported-version':
      // "The Client MUST use the highest version in common" (§6.2.8): there is only version 1, which was just refused.
      return {
        lesson: { learn: 'unusable', code },
        scope: 'way',
        error: failed(
          'ERR_CONVERT_UNSUPPORTED_VERSION',
          `does not support version 1 of the Convert protocol (it supports ${detail.versions.join(', ') || 'none that it names'})`,
        ),
      }
    case 'malformed-message':
      // So is a destination answered that §6.2.5 forbids to the converter: another address of the server may work.
      return { scope: 'pair', error: failed('ERR_CONVERT_MALFORMED_MESSAGE', 'could not parse our message') }
    case 'unsupported-message':
      return {
        ...(via.info ? { lesson: { learn: 'no-info' }, ...again({ info: false }) } : {}),
        scope: 'way',
        error: failed('ERR_CONVERT_UNSUPPORTED_MESSAGE', 'does not support a TLV of our message'),
      }
    case 'missing-cookie':
      // "The Client SHOULD cache the cookie" (§6.2.7), and send it in what follows.
      return {
        ...(detail.cookie.length > 0 && detail.cookie.length <= LONGEST_COOKIE
          ? { lesson: { learn: 'cookie', cookie: detail.cookie }, ...again({ cookie: detail.cookie }) }
          : {}),
        scope: 'way',
        error: failed(
          'ERR_CONVERT_MISSING_COOKIE',
          'asks for a cookie (option cookie of the converter, from its operator)',
        ),
      }
    case 'not-authorized':
      // It answers so, too, for a destination that it does not serve (§9.2): another address of the server may work.
      // And for an expired cookie (§6.2.7): without it, the converter may hand out a new one.
      return {
        ...(via.cookie
          ? { lesson: { learn: 'forget-cookie', cookie: via.cookie }, ...again({ cookie: undefined }) }
          : {}),
        scope: 'pair',
        error: failed(
          'ERR_CONVERT_NOT_AUTHORIZED',
          `refused to connect this client to ${hostAndPort(candidate.destination.address, candidate.destination.port)}; its operator permits clients (with our converter: --allow) and destinations (--allow-target)`,
        ),
      }
    case 'unsupported-tcp-option': {
      const tcpOptions = via.tcpOptions.filter(option => !detail.kinds.includes(option.kind))
      return {
        ...(tcpOptions.length < via.tcpOptions.length
          ? { lesson: { learn: 'no-tcp-options', kinds: detail.kinds }, ...again({ tcpOptions }) }
          : {}),
        scope: 'way',
        error: failed('ERR_CONVERT_UNSUPPORTED_TCP_OPTION', `does not support TCP option ${detail.kinds.join(', ')}`),
      }
    }
    case 'resource-exceeded':
      return backOff('ERR_CONVERT_RESOURCE_EXCEEDED', code, detail, via, 'has no resources for this connection')
    case 'network-failure':
      return backOff('ERR_CONVERT_NETWORK_FAILURE', code, detail, via, 'has a network failure')
    case 'connection-reset':
      return {
        scope: 'destination',
        error: fromServer(
          constants.errno.ECONNREFUSED,
          candidate,
          failed('ERR_CONVERT_CONNECTION_RESET', 'reports that the server refused'),
        ),
      }
    case 'destination-unreachable':
      return {
        scope: 'destination',
        error: fromServer(
          unreachableErrno(detail.icmpCode, candidate.destination.family),
          candidate,
          failed(
            'ERR_CONVERT_DESTINATION_UNREACHABLE',
            `reports the server unreachable (ICMP code ${detail.icmpCode})`,
          ),
        ),
      }
    case 'unknown':
      // Codes 96-127 are about the server, even unknown ones (§10.2.3).
      return {
        scope: code >= 96 && code <= 127 ? 'destination' : 'way',
        error: failed('ERR_CONVERT_UNKNOWN', `answered with error ${code}`),
      }
  }
}

/** The error of a connection that comes before the time at which the converter may be asked again. */
export function backedOff(
  via: Pick<ViaConverter, 'name' | 'endpoint'>,
  code: number,
  retryAfter: number,
): ConvertError {
  const errorCode: ErrorCode =
    code === ERROR_CODES['unsupported-version']
      ? 'ERR_CONVERT_UNSUPPORTED_VERSION'
      : code === ERROR_CODES['network-failure']
        ? 'ERR_CONVERT_NETWORK_FAILURE'
        : 'ERR_CONVERT_RESOURCE_EXCEEDED'
  const seconds = Math.ceil(retryAfter / 1000)
  return new ConvertError(errorCode, `Converter ${nameOf(via)} asked not to be used for another ${seconds} s`, {
    converter: nameOf(via),
    retryAfter,
  })
}

/**
 * What an ICMP "destination unreachable" means to a socket: for IPv4 type 3 (RFC 792, RFC 1812 §5.2.7.1), for IPv6
 * type 1 (RFC 4443 §3.1), as Linux maps them.
 */
export function unreachableErrno(icmpCode: number, family: 4 | 6): number {
  const { ENETUNREACH, EHOSTUNREACH, ECONNREFUSED, EACCES, ENOPROTOOPT, EMSGSIZE, EOPNOTSUPP } = constants.errno
  const codes: Record<number, number> =
    family === 4
      ? {
          0: ENETUNREACH,
          2: ENOPROTOOPT,
          3: ECONNREFUSED,
          4: EMSGSIZE,
          5: EOPNOTSUPP,
          6: ENETUNREACH,
          9: ENETUNREACH,
          11: ENETUNREACH,
        }
      : { 0: ENETUNREACH, 1: EACCES, 4: ECONNREFUSED, 5: EACCES, 6: EACCES }
  return codes[icmpCode] ?? EHOSTUNREACH
}

function backOff(
  code: ErrorCode,
  number: number,
  detail: { delaySeconds: number } & ConvertErrorValue,
  via: ViaConverter,
  text: string,
): Reaction {
  const seconds = backOffSeconds(detail.delaySeconds)
  return {
    lesson: { learn: 'back-off', seconds: detail.delaySeconds, code: number },
    scope: 'way',
    error: new ConvertError(code, `Converter ${nameOf(via)} ${text}; it may be asked again in ${seconds} s`, {
      converter: nameOf(via),
      detail,
      retryAfter: seconds * 1000,
    }),
  }
}

/** Other protocols are recognized by the header of 4 bytes; often it is text, such as the `HTTP` of a web server. */
function whatIsWrong({ message, reason }: WireError, received: Uint8Array): string {
  if (reason !== 'version' && reason !== 'magic') return `sent a malformed Convert message: ${message}`
  const bytes = Buffer.from(received)
  const text = bytes.toString('latin1')
  const start = /^[\x20-\x7e]+$/.test(text) ? JSON.stringify(text) : `the bytes ${bytes.toString('hex')}`
  return `did not answer in the Convert protocol but with ${start}: check its port, another service may listen there (${message})`
}

function fromServer(errno: number, { destination }: Candidate, cause: Error): Error {
  const error = systemError(errno, 'connect', destination.address, destination.port)
  error.cause = cause
  return error
}

function convertError(code: ErrorCode, via: ViaConverter, text: string, cause?: Error): ConvertError {
  return new ConvertError(code, `Converter ${nameOf(via)} ${text}`, { converter: nameOf(via), cause })
}

function nameOf({ name, endpoint }: Pick<ViaConverter, 'name' | 'endpoint'>): string {
  const place = hostAndPort(endpoint.address, endpoint.port)
  return name === place ? place : `${name} (${place})`
}
