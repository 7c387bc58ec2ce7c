/** What a converter and its worker processes send each other: plain values. */
import type { ConverterOptions } from '../options/options.js'
import type { OutgoingStats } from '../outgoing/outgoing.js'
import type { Share } from '../relay/clients.js'

/** What a worker reports of its connections: a name of `ConverterEvents`, and the event's arguments. */
export type WorkerEvent = [name: ReportedName, ...args: unknown[]]

export const REPORTED_NAMES = [
  'connection',
  'established',
  'refused',
  'client-error',
  'closed',
  'accept-error',
] as const
export type ReportedName = (typeof REPORTED_NAMES)[number]

/** The first message, then the others. */
export type ToWorker =
  | {
      type: 'start'
      worker: number
      options: ConverterOptions
      serverProtocol: 'tcp' | 'mptcp'
      sockets: InheritedSocket[]
      /** What has listeners: nothing else is reported. */
      reported: ReportedName[]
      elsewhere: Share[]
    }
  | { type: 'reported'; reported: ReportedName[] }
  | { type: 'elsewhere'; shares: Share[] }
  | { type: 'close'; grace: number }

export type FromWorker =
  | { type: 'ready' }
  /** It cannot begin. */
  | { type: 'failed'; error: PlainError }
  | { type: 'events'; events: WorkerEvent[] }
  | { type: 'held'; shares: Share[] }
  | { type: 'stats'; stats: OutgoingStats }

/** A listening socket that the worker has as this descriptor. */
export interface InheritedSocket {
  fd: number
  address: string
  port: number
}

/** An error's own properties are lost between processes. */
export interface PlainError {
  message: string
  code?: string | undefined
  errno?: number | undefined
  syscall?: string | undefined
}

export function plainError(error: NodeJS.ErrnoException): PlainError {
  const { message, code, errno, syscall } = error
  return { message, code, errno, syscall }
}

export function errorOf({ message, ...properties }: PlainError): NodeJS.ErrnoException {
  return Object.assign(new Error(message), properties)
}
