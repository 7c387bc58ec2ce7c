/**
 * The worker processes of a converter: each serves the connections of its own listening sockets, among which the kernel divides
 * what arrives (SO_REUSEPORT). All sockets are opened and kept here: a worker that dies takes its connections with it, but not
 * those that wait to be accepted.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { AtsssError } from '../../errors.js'
import { native } from '../../runtime/kernel/native.js'
import { packageFolder } from '../../runtime/kernel/package-files.js'
import type { ListenAddress } from '../options/listen-address.js'
import type { ConverterOptions } from '../options/options.js'
import type { Settings } from '../options/settings.js'
import {
  type Degraded,
  freePort,
  type ListenerInfo,
  type ListeningSocket,
  openListeningSocket,
} from '../outgoing/listener.js'
import type { OutgoingStats } from '../outgoing/outgoing.js'
import type { Clients } from '../relay/clients.js'
import { errorOf, type FromWorker, type ReportedName, type ToWorker, type WorkerEvent } from './messages.js'
import { restartDelay } from './restart.js'
import { type News, Shares } from './shares.js'
import { sumOf } from './stats.js'

/** A worker process that has started, or ended before it should. */
export interface WorkerInfo {
  /** From 1; the one that replaces it has the same number. */
  worker: number
  pid: number | undefined
  /** Why it has ended; both are null if the process could not be started. */
  exit?: { code: number | null; signal: NodeJS.Signals | null }
  /** How many connections ended with it, as of its last report. */
  lost?: number
  /** Milliseconds until it is started again. */
  restartDelay?: number
}

/** What one worker process has counted since it was started; it reports that every second. */
export interface WorkerStats extends OutgoingStats {
  worker: number
  /** `undefined` while it waits to be started again. */
  pid: number | undefined
}

interface WorkersEvents {
  /** Of connections, in the order of each worker. */
  reported(event: WorkerEvent): void
  started(info: WorkerInfo): void
  ended(info: WorkerInfo): void
  /** A worker cannot be started again, usually for lack of descriptors; it is tried again later. */
  notListening(error: Error): void
}

interface Worker {
  readonly number: number
  sockets: ListeningSocket[]
  child: ChildProcess | undefined
  startedAt: number
  /** Before this start; `undefined`: it is the first one. */
  waited: number | undefined
  timer: NodeJS.Timeout | undefined
  stats: OutgoingStats
}

export class Workers {
  readonly #settings: Settings
  readonly #options: ConverterOptions
  readonly #clients: Clients
  readonly #events: WorkersEvents
  /** With the ports that were chosen. */
  #places: ListenAddress[] = []
  #workers: Worker[] = []
  #shares = new Shares<Worker | 'parent'>()
  #serverProtocol: 'tcp' | 'mptcp' = 'tcp'
  #reported: ReportedName[] = []
  #state: 'opening' | 'open' | 'closing' = 'opening'
  /** Why it cannot be opened. */
  #failed = (_error: Error): void => {}
  /** What workers that have ended have counted. */
  #past = sumOf([])
  /** What waits for the end of all workers. */
  #endedAll: (() => void)[] = []

  /**
   * @param clients what this process itself holds of the limits
   * @param options those that `settings` were made from
   */
  constructor(settings: Settings, options: ConverterOptions, clients: Clients, events: WorkersEvents) {
    this.#settings = settings
    this.#options = options
    this.#clients = clients
    this.#events = events
  }

  /**
   * Opens the sockets, and starts the workers; resolves when all of them accept connections. After an error, `close` is needed.
   *
   * @throws system errors in the form of net.Server's; ERR_ATSSS_ADDON, ERR_ATSSS_BUNDLED; ERR_CONVERTER_WORKER
   */
  async open(serverProtocol: 'tcp' | 'mptcp', degraded: (what: Degraded) => void): Promise<ListenerInfo[]> {
    const addon = native()
    packageFolder() // in a bundle there is no such program
    this.#state = 'opening'
    this.#serverProtocol = serverProtocol
    this.#shares = new Shares()
    this.#shares.join('parent')
    this.#clients.share(() => setImmediate(() => this.#spread('parent', this.#clients.takeChanges())))
    const { listen, workers } = this.#settings
    this.#places = listen.map(({ host, port }) => ({ host, port: freePort(addon, { host, port }) }))
    for (let number = 1; number <= workers; number++) {
      const worker: Worker = { ...UNSTARTED, number, sockets: [], stats: sumOf([]) }
      this.#workers.push(worker)
      this.#openSockets(worker, degraded)
    }
    await new Promise<void>((resolve, reject) => {
      this.#failed = reject
      let ready = 0
      for (const worker of this.#workers) this.#start(worker, () => ++ready === workers && resolve())
    })
    this.#state = 'open'
    return this.#workers[0]!.sockets.map(({ fd: _, ...info }) => info)
  }

  /** The processes that are running. */
  get running(): WorkerInfo[] {
    return this.#workers.map(({ number, child }) => ({ worker: number, pid: child?.pid }))
  }

  /** Which events of connections the workers report from now on. */
  report(names: readonly ReportedName[]): void {
    this.#reported = [...names]
    this.#sendAll({ type: 'reported', reported: this.#reported })
  }

  /** As of the workers' last reports. */
  stats(): { sum: OutgoingStats; workers: WorkerStats[] } {
    return {
      sum: sumOf([this.#past, ...this.#workers.map(({ stats }) => stats)]),
      workers: this.#workers.map(({ number, child, stats }) => ({ worker: number, pid: child?.pid, ...stats })),
    }
  }

  /** Stops listening, and resets what is still open after `grace` milliseconds. Resolves when all workers have ended. */
  async close(grace: number): Promise<void> {
    this.#state = 'closing'
    for (const worker of this.#workers) {
      clearTimeout(worker.timer)
      this.#closeSockets(worker)
    }
    this.#sendAll({ type: 'close', grace })
    const running = this.#workers.filter(({ child }) => child)
    const late = setTimeout(() => {
      for (const { child } of running) child?.kill('SIGKILL')
    }, grace + PATIENCE)
    if (running.length > 0)
      await new Promise<void>(resolve => {
        this.#endedAll.push(resolve)
      })
    clearTimeout(late)
    this.#workers = []
  }

  #start(worker: Worker, ready: () => void): void {
    const { NODE_OPTIONS: _, ...env } = process.env
    // Nothing of the application runs there: neither what its command line preloads (`execArgv`) nor what NODE_OPTIONS does.
    const child = fork(fileURLToPath(new URL('./worker.js', import.meta.url)), [], {
      execArgv: [],
      env,
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc', ...worker.sockets.map(({ fd }) => fd)],
    })
    worker.child = child
    worker.startedAt = performance.now()
    child.on('message', (message: FromWorker) => {
      if (message.type === 'ready') ready()
      else if (message.type === 'failed') this.#failed(errorOf(message.error))
      else this.#received(worker, message)
    })
    const ended = (exit: NonNullable<WorkerInfo['exit']>) => {
      if (worker.child === child) this.#ended(worker, exit)
    }
    // What it has sent last may come after 'exit', and comes before 'disconnect'.
    child.on('exit', (code, signal) => {
      if (child.connected) child.once('disconnect', () => ended({ code, signal }))
      else ended({ code, signal })
    })
    child.on('error', error => {
      if (child.pid !== undefined) return // a message could not be sent, since it has ended: 'exit' follows
      this.#failed(error)
      ended({ code: null, signal: null })
    })
    this.#send(worker, {
      type: 'start',
      worker: worker.number,
      options: this.#optionsOfWorkers(),
      serverProtocol: this.#serverProtocol,
      sockets: worker.sockets.map(({ address, port }, index) => ({ fd: FIRST_INHERITED + index, address, port })),
      reported: this.#reported,
      elsewhere: this.#shares.join(worker),
    })
  }

  /** All that a worker decides by; one cookie secret for all. */
  #optionsOfWorkers(): ConverterOptions {
    const { listen: _, pcp: _pcp, now: _now, workers: _workers, ...options } = this.#options
    return { ...options, cookies: this.#settings.cookies ?? false }
  }

  #received(worker: Worker, message: FromWorker): void {
    if (message.type === 'stats') worker.stats = message.stats
    else if (message.type === 'held') this.#spread(worker, message.shares)
    else if (message.type === 'events') for (const event of message.events) this.#events.reported(event)
  }

  #spread(from: Worker | 'parent', shares: Parameters<Clients['heldElsewhere']>[0]): void {
    this.#publish(this.#shares.report(from, shares))
  }

  #publish(news: News<Worker | 'parent'>): void {
    for (const [process, shares] of news) {
      if (shares.length === 0) continue
      if (process === 'parent') this.#clients.heldElsewhere(shares)
      else this.#send(process, { type: 'elsewhere', shares })
    }
  }

  #ended(worker: Worker, exit: NonNullable<WorkerInfo['exit']>): void {
    const { child, number, stats } = worker
    worker.child = undefined
    worker.stats = sumOf([])
    this.#past = sumOf([this.#past, { ...stats, connections: 0, pending: 0 }])
    this.#publish(this.#shares.leave(worker))
    if (this.#state === 'open') {
      const delay = restartDelay(performance.now() - worker.startedAt, worker.waited)
      worker.waited = delay
      // Meanwhile the kernel gives new connections to the others.
      if (delay > 0) this.#closeSockets(worker)
      worker.timer = setTimeout(() => this.#restart(worker), delay)
      this.#events.ended({ worker: number, pid: child?.pid, exit, lost: stats.connections, restartDelay: delay })
      return
    }
    const why = exit.signal ?? (exit.code === null ? 'it could not be started' : `exit code ${exit.code}`)
    this.#failed(
      new AtsssError('ERR_CONVERTER_WORKER', `Worker process ${number} has ended before all were ready: ${why}`),
    )
    if (this.#workers.every(each => !each.child)) for (const resolve of this.#endedAll.splice(0)) resolve()
  }

  #restart(worker: Worker): void {
    try {
      if (worker.sockets.length === 0) this.#openSockets(worker, () => {})
      this.#start(worker, () => this.#events.started({ worker: worker.number, pid: worker.child?.pid }))
    } catch (error) {
      this.#closeSockets(worker)
      worker.waited = restartDelay(0, worker.waited)
      worker.timer = setTimeout(() => this.#restart(worker), worker.waited)
      this.#events.notListening(error as Error)
    }
  }

  #openSockets(worker: Worker, degraded: (what: Degraded) => void): void {
    for (const place of this.#places)
      worker.sockets.push(openListeningSocket(native(), place, this.#settings, degraded, true))
  }

  #closeSockets(worker: Worker): void {
    for (const { fd } of worker.sockets.splice(0)) native().close(fd)
  }

  #sendAll(message: ToWorker): void {
    for (const worker of this.#workers) this.#send(worker, message)
  }

  #send({ child }: Worker, message: ToWorker): void {
    if (child?.connected) child.send(message)
  }
}

const UNSTARTED = { child: undefined, startedAt: 0, waited: undefined, timer: undefined } as const
/** The descriptor after standard input, output and error and the channel of messages. */
const FIRST_INHERITED = 4
/** Milliseconds for a worker to end after the time of grace. */
const PATIENCE = 5_000
