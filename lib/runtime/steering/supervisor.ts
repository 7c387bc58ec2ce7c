/**
 * The steering loop in a worker thread, so that a busy application does not delay a handover: descriptors and tokens belong to
 * the whole process. If the thread ends unexpectedly, another one takes over its connections.
 */
import { Worker } from 'node:worker_threads'
import { AtsssError, type ErrorCode } from '../../errors.js'
import { retryAfter } from '../../policy/steering/plan.js'
import { packageFolder } from '../kernel/package-files.js'
import { type CrossingReport, incoming } from './crossing.js'
import { Journal } from './journal.js'
import type { Command, HostConfig, Report } from './messages.js'

/** What is used of a worker thread. */
export interface LoopThread {
  postMessage(command: Command): void
  ref(): void
  unref(): void
  on(event: 'message', listener: (report: CrossingReport) => void): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'exit', listener: (code: number) => void): unknown
}

/** A thread that ran for as long as this was well, in milliseconds: the next one is started at once. */
const STABLE_MS = 10_000
/** How many threads in a row may end before the first one is ready. */
const MOST_FAILURES = 3
/** The process or the system has too little of something at the moment: descriptors, memory, threads. Node's own code is for all of them. */
const NOT_NOW: ReadonlySet<string | undefined> = new Set([
  ...['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'ERR_WORKER_INIT_FAILED'],
])

/**
 * @param after when to start the first thread: until then it does not compete for the processor. What is commanded waits.
 * @returns what sends commands to the loop
 */
export function superviseLoop(
  config: HostConfig,
  report: (report: Report) => void,
  start: (config: HostConfig) => LoopThread = startThread,
  after?: Promise<unknown>,
): (command: Command) => void {
  const journal = new Journal()
  let thread: LoopThread | undefined
  let wasReady = false
  let failures = 0

  const begin = () => {
    // Endpoints that are left over are removed by a loop that gets the command to close.
    if (journal.isClosed && !journal.own) return
    const startedAt = performance.now()
    let failure: NodeJS.ErrnoException | undefined
    let mine: LoopThread
    try {
      mine = start({ ...config, own: journal.own })
    } catch (error) {
      // Not in this turn: the session has no listeners yet.
      if (FOR_GOOD.has((error as AtsssError).code))
        queueMicrotask(() => report({ event: 'failed', error: error as Error }))
      else ended(error as Error, startedAt)
      return
    }
    thread = mine
    mine.on('message', message => {
      const told = incoming(message)
      // The process stays until the session knows what it can do. From then on its connections keep the process.
      if (told.event === 'ready' || told.event === 'failed') mine.unref()
      if (told.event === 'ready') wasReady = true
      journal.note(told)
      waitForEnd()
      report(told)
    })
    mine.on('error', error => {
      failure = error
    })
    mine.on('exit', code => {
      thread = undefined
      const asCommanded = journal.isClosed && (!journal.own || (journal.isOver && code === 0))
      if (!asCommanded) ended(failure ?? new Error(`its thread has exited with ${code}`), startedAt)
    })
    for (const command of journal.commands) mine.postMessage(command)
    waitForEnd()
  }

  const ended = ({ code, message: cause }: NodeJS.ErrnoException, startedAt: number) => {
    failures = performance.now() - startedAt < STABLE_MS ? failures + 1 : 1
    const hasFailed = !wasReady && failures >= MOST_FAILURES
    const mayCome = NOT_NOW.has(code)
    if (hasFailed && failures === MOST_FAILURES) {
      const hope = mayCome ? '. It is tried again; until then connections are not steered' : ''
      const error = new AtsssError('ERR_ATSSS_LOOP', `The steering loop cannot be started: ${cause}${hope}`)
      report({ event: 'failed', error })
    }
    if (hasFailed && !mayCome) return
    const timer = setTimeout(begin, failures === 1 ? 0 : retryAfter(failures - 1, Math.random()))
    if ((wasReady || hasFailed) && !journal.isOver) timer.unref()
    if (hasFailed) return
    const why = `The steering loop has ended unexpectedly: ${cause}. It is started again; until then connections are not steered`
    report({ event: 'ended', why })
  }

  // The process stays until what the loop has made in the kernel is taken away.
  const waitForEnd = () => {
    if (journal.isOver) thread?.ref()
  }

  if (after) void after.then(begin)
  else begin()
  return command => {
    journal.obey(command)
    thread?.postMessage(command)
    waitForEnd()
  }
}

/**
 * Nothing of the application runs in this thread: neither what its command line preloads (`execArgv`) nor what NODE_OPTIONS does. A
 * preload that makes a session would otherwise make one in each session's thread, without end.
 */
function startThread(config: HostConfig): LoopThread {
  packageFolder() // in a bundle there is no such file
  const { NODE_OPTIONS: _, ...env } = process.env
  try {
    return new Worker(new URL('./worker.js', import.meta.url), { workerData: config, execArgv: [], env })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_ACCESS_DENIED') throw error
    throw new AtsssError(
      'ERR_ATSSS_LOOP',
      "The steering loop cannot be started: Node's permission model (--permission) forbids threads: start Node with " +
        "--allow-worker too, or give the session controller: 'inline'",
    )
  }
}

/** Another try would end in the same way. */
const FOR_GOOD: ReadonlySet<string> = new Set<ErrorCode>(['ERR_ATSSS_BUNDLED', 'ERR_ATSSS_LOOP'])
