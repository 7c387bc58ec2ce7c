/**
 * Where the steering loop runs: in a worker thread, so that a busy application does not delay a handover (descriptors and
 * tokens are the whole process's), or in the caller's thread.
 */
import { Worker } from 'node:worker_threads'
import { Sampler, subflowAddresses } from '../kernel/sampler.js'
import { openLinkMonitor } from '../network/link-monitor.js'
import { openPathManager, pathManagerType } from '../network/path-manager.js'
import { askForAcknowledgement } from './acknowledgement.js'
import { Controller } from './controller.js'
import type { Effects } from './effects.js'
import { KernelSteering } from './endpoints.js'
import { ConnectionsLeft } from './journal.js'
import { setSendBuffer } from './load.js'
import type { Command, HostConfig, Report, SteeringLevel } from './messages.js'

export interface ControllerHost {
  send(command: Command): void
}

export function startController(
  where: 'worker' | 'inline',
  config: HostConfig,
  report: (report: Report) => void,
): ControllerHost {
  if (where === 'inline') return runController(config, report)
  const worker = new Worker(new URL('./worker.js', import.meta.url), {
    workerData: config,
    execArgv: [], // the application's own, such as --input-type or a loader, are not for it
  })
  const left = new ConnectionsLeft()
  // What it has made in the kernel it takes away then: the process shall not end before.
  const waitForEnd = () => {
    if (left.isOver) worker.ref()
  }
  worker.on('message', (told: Report) => {
    // Whoever waits for `ready` shall hear of it; from then on the connections keep the process, not what steers them.
    if (told.event === 'ready' || told.event === 'failed') worker.unref()
    left.hear(told)
    waitForEnd()
    report(told)
  })
  worker.on('error', error => report({ event: 'failed', error }))
  const send = (command: Command) => {
    worker.postMessage(command)
    left.obey(command)
    waitForEnd()
  }
  return { send }
}

/** In this thread. Commands that come before the kernel has answered wait for it. */
export function runController(
  config: HostConfig,
  report: (report: Report) => void,
  closed?: () => void,
): ControllerHost {
  let waiting: Command[] | undefined = []
  let run: Running | undefined
  let isEnded = false
  const left = new ConnectionsLeft()
  const hear = (told: Report) => {
    left.hear(told)
    report(told)
  }
  const obey = (command: Command) => {
    left.obey(command)
    if (!run) {
      // It could not be opened: there is nothing to command, but for the end.
      if (command.command === 'close') closed?.()
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
    // The kernel ends every subflow of an endpoint that is taken away, the first one of a connection as well.
    if (isEnded || !(run.level.level === 'kernel' ? left.isOver : left.isClosed)) return
    isEnded = true
    void run.end().then(closed)
  }
  const obeyAll = () => {
    for (const command of waiting ?? []) obey(command)
    waiting = undefined
  }
  open(config, hear).then(
    running => {
      run = running
      hear({ event: 'ready', level: running.level })
      obeyAll()
    },
    (error: Error) => {
      report({ event: 'failed', error })
      obeyAll()
    },
  )
  return { send: command => (waiting ? waiting.push(command) : obey(command)) }
}

interface Running {
  controller: Controller
  level: SteeringLevel
  /** Steers no more. */
  stop(): void
  /** Takes away what it has made. */
  end(): Promise<void>
}

async function open({ accesses }: HostConfig, report: (report: Report) => void): Promise<Running> {
  const links = await openLinkMonitor()
  const { level, pathManager } = await openLevel()
  const kernel = level.level === 'kernel' && pathManager ? new KernelSteering(pathManager.kernel) : undefined
  const deaf = (error: Error) => report({ event: 'deaf', why: error.message })
  links.on('error', deaf)
  pathManager?.on('error', deaf)
  const sampler = new Sampler()
  const effects: Effects = {
    links,
    pathManager: level.level === 'userspace' ? pathManager : undefined,
    kernel,
    sample: fds => sampler.sample(fds),
    sampleConnections: fds => sampler.sampleConnections(fds),
    subflowAddresses,
    setSendBuffer,
    askForAcknowledgement,
    now: () => performance.now(),
    random: Math.random,
  }
  const controller = new Controller(effects, accesses, report)
  const stop = () => {
    controller.close()
    links.close()
  }
  const end = async () => {
    await kernel?.close().catch(() => {})
    pathManager?.close()
  }
  return { controller, level, stop, end }
}

async function openLevel() {
  const type = pathManagerType()
  try {
    const pathManager = await openPathManager()
    return { pathManager, level: levelOf(type, pathManager.mayAdminister) }
  } catch (error) {
    const why = `This kernel offers no MPTCP path manager: ${(error as Error).message}`
    return { pathManager: undefined, level: { level: 'none', why } as SteeringLevel }
  }
}

function levelOf(type: 'kernel' | 'userspace' | undefined, mayAdminister: boolean): SteeringLevel {
  if (type === 'userspace' && mayAdminister) return { level: 'userspace', why: undefined }
  if (!mayAdminister)
    return {
      level: 'none',
      why: 'Subflows are made with CAP_NET_ADMIN only: setcap cap_net_admin+ep on a copy of node, or AmbientCapabilities=CAP_NET_ADMIN in the systemd unit',
    }
  return {
    level: 'kernel',
    why: "The kernel's path manager makes the subflows, by the same flags for all connections: sysctl -w net.mptcp.pm_type=1 before the sockets are opened",
  }
}
