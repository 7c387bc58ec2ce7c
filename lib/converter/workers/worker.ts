/**
 * A worker process of a converter. It serves the connections of its listening sockets, which it has inherited. Its parent has all
 * the rest: signals, mappings, what is printed, and the sockets themselves, so that connections wait there if this process ends.
 */
import { resolveOptions } from '../options/settings.js'
import { acceptFrom } from '../outgoing/listener.js'
import { Outgoing } from '../outgoing/outgoing.js'
import { ownPlace } from '../outgoing/own-place.js'
import type { ConnectionInfo } from '../outgoing/transport-session.js'
import { Clients, SWEEP_INTERVAL } from '../relay/clients.js'
import { type FromWorker, plainError, type ToWorker, type WorkerEvent } from './messages.js'

// The terminal sends them to all processes of the group. The parent decides how connections end.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {})
// The parent has gone: its port is free again, and nothing may be left.
process.on('disconnect', () => process.exit())
process.once('message', message => begin(message as Extract<ToWorker, { type: 'start' }>))

async function begin(start: Extract<ToWorker, { type: 'start' }>): Promise<void> {
  const { worker, serverProtocol, sockets } = start
  process.title = `atsss converter: worker ${worker}`
  const settings = resolveOptions(start.options)
  const clients = new Clients(settings)
  clients.heldElsewhere(start.elsewhere)
  clients.share(() => setTimeout(() => send({ type: 'held', shares: clients.takeChanges() }), SHARE_INTERVAL).unref())

  const reports = new Reports(start.reported)
  const outgoing = new Outgoing(settings, {
    connection: info => reports.add('connection', copyOf(info)),
    established: info => reports.add('established', copyOf(info)),
    refused: (info, error) => reports.add('refused', copyOf(info), error),
    ignored: (info, why) => reports.add('client-error', copyOf(info), why),
    closed: info => reports.add('closed', copyOf(info)),
    notAccepted: error => reports.add('accept-error', plainError(error)),
  })
  const close = async (grace: number) => {
    const abort = () => outgoing.abort()
    if (grace > 0) setTimeout(abort, grace)
    else abort()
    await outgoing.close()
    reports.send()
    send({ type: 'stats', stats: outgoing.stats() }, () => process.exit())
  }
  process.on('message', (message: ToWorker) => {
    if (message.type === 'reported') reports.of(message.reported)
    else if (message.type === 'elsewhere') clients.heldElsewhere(message.shares)
    else if (message.type === 'close') void close(message.grace)
  })

  try {
    outgoing.begin({ clients, serverProtocol, worker, place: ownPlace(settings, () => sockets) })
    outgoing.takeOver(await Promise.all(sockets.map(({ fd }) => acceptFrom(fd, settings, outgoing.accept))))
  } catch (error) {
    send({ type: 'failed', error: plainError(error as Error) }, () => process.exit(1))
    return
  }
  send({ type: 'ready' })
  setInterval(() => clients.sweep(settings.now()), SWEEP_INTERVAL).unref()
  setInterval(() => send({ type: 'stats', stats: outgoing.stats() }), STATS_INTERVAL).unref()
}

/** What is reported of connections: all of one turn of the event loop in one message. */
class Reports {
  #wanted: ReadonlySet<string>
  #waiting: WorkerEvent[] = []

  constructor(names: readonly string[]) {
    this.#wanted = new Set(names)
  }

  of(names: readonly string[]): void {
    this.#wanted = new Set(names)
  }

  add(...event: WorkerEvent): void {
    if (!this.#wanted.has(event[0])) return
    this.#waiting.push(event)
    if (this.#waiting.length === 1) setImmediate(() => this.send())
  }

  send(): void {
    if (this.#waiting.length > 0) send({ type: 'events', events: this.#waiting })
    this.#waiting = []
  }
}

function send(message: FromWorker, sent: () => void = () => {}): void {
  // An error means that the parent has gone: 'disconnect' follows.
  if (process.connected) process.send!(message, undefined, undefined, () => sent())
}

/** As it is now: the session changes it before it is sent. */
function copyOf(info: ConnectionInfo): ConnectionInfo {
  return { ...info, bytes: { ...info.bytes }, times: { ...info.times } }
}

/** Milliseconds. For that long a client may exceed its limits, if its connections arrive at several workers at once. */
const SHARE_INTERVAL = 5
/** Milliseconds. */
const STATS_INTERVAL = 1_000
