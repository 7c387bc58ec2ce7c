/** Runs a session's steering loop: in a worker thread, or in the thread of the caller. */
import { constants } from 'node:os'
import { systemError } from '../../errors.js'
import { callApplication } from '../../input/application.js'
import { boundInterface, tokenOf } from '../kernel/open-socket.js'
import { Sampler, subflowAddresses } from '../kernel/sampler.js'
import { suspendedMs } from '../kernel/suspended-time.js'
import { openLinkMonitor } from '../network/link-monitor.js'
import { findTranslator } from '../network/nat64.js'
import { interfaceFor } from '../network/source-routing.js'
import { askForAcknowledgement } from './acknowledgement.js'
import { Controller } from './controller.js'
import type { Effects } from './effects.js'
import { Endpoints } from './endpoints.js'
import { Journal } from './journal.js'
import { openLevel } from './level.js'
import { setSendBuffer } from './load.js'
import type { Command, HostConfig, Report, SteeringLevel } from './messages.js'
import { superviseLoop } from './supervisor.js'

export interface ControllerHost {
  send(command: Command): void
}

/** @param after when a thread is started, at the earliest; must not reject */
export function startController(
  where: 'worker' | 'inline',
  config: HostConfig,
  report: (report: Report) => void,
  after: Promise<unknown>,
): ControllerHost {
  return { send: where === 'worker' ? superviseLoop(config, report, undefined, after) : runLoop(config, report) }
}

/**
 * What a loop would report of the accesses at its beginning, from one reading of the links: within some milliseconds, where starting a
 * thread takes hundreds. New connections begin by it.
 *
 * @throws where netlink cannot be used
 */
export async function firstLook({ accesses, idleProbeMs }: HostConfig): Promise<Report[]> {
  const links = await openLinkMonitor()
  try {
    const reports: Report[] = []
    const effects: Effects = { ...LOOKING, links, idleProbeMs }
    new Controller(effects, accesses, report => reports.push(report)).close()
    return reports
  } finally {
    links.close()
  }
}

/** There are no connections. */
const LOOKING: Omit<Effects, 'links' | 'idleProbeMs'> = {
  pathManager: undefined,
  sample: () => [],
  sampleConnections: () => new Float64Array(),
  subflowAddresses: () => [],
  boundTo: () => 0,
  interfaceFor,
  findTranslator: () => new Promise(() => {}), // the loop will find it, and connections wait for that
  setSendBuffer,
  askForAcknowledgement,
  now: () => performance.now(),
  suspendedMs,
  random: Math.random,
}

/**
 * Runs the loop in this thread.
 *
 * @param closed called when the loop has ended as commanded
 * @returns what sends commands to the loop; those that come before the kernel has answered wait for that
 */
export function runLoop(
  config: HostConfig,
  report: (report: Report) => void,
  closed: () => void = () => {},
): (command: Command) => void {
  let waiting: Command[] | undefined = []
  let run: Running | undefined
  let isEnded = false
  const journal = new Journal()
  const note = (noted: Report) => {
    journal.note(noted)
    report(noted)
  }
  const obey = (command: Command) => {
    journal.obey(command)
    if (!run) {
      // The loop could not be opened: only the end is left to command.
      if (command.command === 'close') closed()
      return
    }
    const { controller } = run
    if (command.command === 'rules') {
      controller.setRules(command.rules)
      controller.assign(command.assigned)
    } else if (command.command === 'add') controller.add(command.steered)
    else if (command.command === 'assist') controller.assist(command.wish)
    else if (command.command === 'remove') controller.remove(command.token)
    else run.stop()
    // The kernel ends all subflows of an endpoint that is taken away, including the first one of a connection.
    if (isEnded || !(run.level.level === 'kernel' ? journal.isOver : journal.isClosed)) return
    isEnded = true
    void run.end().then(closed)
  }
  const obeyAll = () => {
    for (const command of waiting ?? []) obey(command)
    waiting = undefined
  }
  open(config, note).then(
    running => {
      run = running
      callApplication(note, { event: 'ready', level: running.level })
      obeyAll()
    },
    (error: Error) => {
      callApplication(note, { event: 'failed', error })
      obeyAll()
    },
  )
  return command => (waiting ? waiting.push(command) : obey(command))
}

interface Running {
  controller: Controller
  level: SteeringLevel
  /** Ends the steering. */
  stop(): void
  /** Takes away what the loop has made in the kernel. */
  end(): Promise<void>
}

async function open(
  { accesses, helper, idleProbeMs, own }: HostConfig,
  report: (report: Report) => void,
): Promise<Running> {
  const links = await openLinkMonitor()
  const { level, subflows, kernel, close } = await openLevel(helper, links.state, accesses)
  const endpoints =
    level.level === 'kernel' && kernel
      ? new Endpoints(kernel, own, now => callApplication(report, { event: 'own-endpoints', own: now }))
      : undefined
  const unread = (error: Error) => report({ event: 'no-messages', why: error.message })
  links.on('error', unread)
  subflows?.on('error', unread)
  subflows?.on('away', why => report({ event: 'helper-away', why }))
  subflows?.on('back', () => report({ event: 'helper-back' }))
  subflows?.on('refused', why => report({ event: 'helper-refuses', why }))
  const sampler = new Sampler()
  const effects: Effects = {
    links,
    pathManager: subflows,
    endpoints,
    sample: fds => sampler.sample(fds),
    sampleConnections: fds => sampler.sampleConnections(fds),
    subflowAddresses: (fd, token) => ifStill(fd, token, subflowAddresses(fd)),
    boundTo: (fd, token) => ifStill(fd, token, boundInterface(fd)),
    interfaceFor,
    findTranslator,
    setSendBuffer,
    askForAcknowledgement,
    idleProbeMs,
    now: () => performance.now(),
    suspendedMs,
    random: Math.random,
  }
  const controller = new Controller(effects, accesses, report)
  const stop = () => {
    controller.close()
    links.close()
  }
  const end = async () => {
    await endpoints?.close().catch(() => {})
    close()
  }
  return { controller, level, stop, end }
}

/** What was read of a descriptor. Another thread may have closed it meanwhile, and opened another connection under its number. */
function ifStill<T>(fd: number, token: number, read: T): T {
  if (tokenOf(fd) !== token) throw systemError(constants.errno.EBADF, 'getsockopt')
  return read
}
