/**
 * Where the benchmark runs: servers, converter and SOCKS proxy, each a process of its own. With privileges that is a lab
 * with one access, whose converter's host also is the loopback (its sysctls let a listener take the data of SYNs);
 * without, it is this machine's loopback as it is.
 */
import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type Lab, type Namespace, openLab } from '../lib/lab/index.js'
import { openIncoming } from './incoming.js'
import { LINK_DELAY_MS, type Measure } from './measures.js'
import type { Place } from './places.js'
import type { Figures, Task } from './trials/trial.js'

export interface Site {
  /** What the reader of the figures has to know. */
  remarks: string[]
  /** Why a measure cannot be had here. */
  lacks(measure: Measure): string | undefined
  hasSocks: boolean
  hasHttpProxy: boolean
  run(measure: Measure, task: Omit<Task, 'place'>): Promise<Figures>
  close(): Promise<void>
}

type Host = Pick<Namespace, 'spawn'>

const LOOPBACK = '127.0.0.1'
/** Longer than any trial takes, in milliseconds. */
const TRIAL_TIMEOUT = 60_000
const START_TIMEOUT = 10_000

/** Of a program, from here. */
export const programPath = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))
export const typescript = ['--import', 'tsx']

export async function openSite(): Promise<Site> {
  const lab = await labIfAllowed()
  const children: ChildProcess[] = []
  const close = async () => {
    for (const child of children) child.kill('SIGKILL')
    await lab?.close()
  }
  try {
    return { ...(await startPrograms(lab, children)), close }
  } catch (error) {
    await close()
    throw error
  }
}

async function labIfAllowed(): Promise<Lab | undefined> {
  try {
    return await openLab({ accesses: [{ name: 'link', access: '3gpp', link: { delayMs: LINK_DELAY_MS } }] })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_LAB_PRIVILEGE') return undefined
    throw error
  }
}

async function startPrograms(lab: Lab | undefined, children: ChildProcess[]): Promise<Omit<Site, 'close'>> {
  const host: Host = lab?.converter ?? { spawn }
  const start = (where: Host, command: string, args: string[]) => {
    const child = where.spawn(command, args)
    children.push(child)
    child.stderr.pipe(process.stderr)
    return child
  }
  const startServer = async (where: Host, address: string): Promise<Pick<Place, 'ports' | 'https'>> =>
    JSON.parse(await firstLine(start(where, process.execPath, [...typescript, programPath('server.ts'), address])))

  const converterAddress = lab?.converterAddress.v4
  const listen = [LOOPBACK, ...(converterAddress ? [converterAddress] : [])].flatMap(at => ['--listen', `${at}:0`])
  const command = [programPath('../dist/cli/main.js'), 'converter', '--json', '--quiet', '--allow-loopback', ...listen]
  const { listeners } = JSON.parse(await firstLine(start(host, process.execPath, command))) as {
    listeners: { address: string; port: number; fastOpen: boolean }[]
  }
  const zeroRtt = listeners.every(listener => listener.fastOpen)

  const hasSocks = spawnSync('microsocks', ['-h']).error === undefined
  const socksPort = await freePort()
  if (hasSocks) {
    // Not all versions can be told to be quiet: what it says of each connection goes nowhere.
    const child = host.spawn('microsocks', ['-i', '0.0.0.0', '-p', String(socksPort)], { stdio: 'ignore' })
    children.push(child)
    await listening(child, socksPort)
  }

  const hasHttpProxy = spawnSync('tinyproxy', ['-v']).error === undefined
  const httpProxyPort = await freePort()
  if (hasHttpProxy) {
    const child = host.spawn('tinyproxy', ['-d', '-c', httpProxyConfig(httpProxyPort)], { stdio: 'ignore' })
    children.push(child)
    await listening(child, httpProxyPort)
  }

  const place = async (where: Host, address: string, proxies: string): Promise<Place> => ({
    address,
    ...(await startServer(where, address)),
    converter: `${proxies}:${listeners.find(listener => listener.address === proxies)!.port}`,
    zeroRtt,
    socks: hasSocks ? { host: proxies, port: socksPort } : undefined,
    httpProxy: hasHttpProxy ? { host: proxies, port: httpProxyPort } : undefined,
  })
  const loopback = await place(host, LOOPBACK, LOOPBACK)
  const link = lab && (await place(lab.server, lab.serverAddress.v4, converterAddress!))

  let incoming: Promise<Place> | undefined

  return {
    hasSocks,
    hasHttpProxy,
    remarks: lab ? [] : withoutLab(zeroRtt),
    lacks: measure =>
      measure.where === 'link' && !lab ? 'needs emulated links: root, or "unshare -Urnm npm run bench"' : undefined,
    async run(measure, task) {
      if (measure.where === 'loopback') return runSubject(host, { ...task, place: loopback })
      await lab!.link('data').set({ delayMs: measure.serverDelayMs ?? 0 })
      if (!measure.toUe) return runSubject(lab!.ue, { ...task, place: link! })
      incoming ??= openIncoming(lab!, {
        ...{ firstLine, program: programPath, servers: startServer },
        start: (where, words) => start(where, process.execPath, words),
      })
      return runSubject(lab!.server, { ...task, place: await incoming })
    },
  }
}

/** Without `ConnectPort` it takes every port; without `Allow`, every client. */
function httpProxyConfig(port: number): string {
  const path = join(mkdtempSync(join(tmpdir(), 'atsss-bench-')), 'tinyproxy.conf')
  writeFileSync(path, `Port ${port}\nListen 0.0.0.0\nMaxClients 100\nTimeout 60\nLogLevel Critical\n`)
  return path
}

function withoutLab(zeroRtt: boolean): string[] {
  if (zeroRtt) return []
  return [
    '0-RTT is not possible here: net.ipv4.tcp_fastopen lacks the bit 0x2, which lets a listener take the data of SYNs. ' +
      'The converter is measured with 1-RTT. As root the benchmark has a network of its own, where it is set.',
  ]
}

async function runSubject(host: Host, task: Task): Promise<Figures> {
  const child = host.spawn(
    process.execPath,
    [...typescript, '--expose-gc', programPath('subject.ts'), JSON.stringify(task)],
    {
      timeout: TRIAL_TIMEOUT,
      killSignal: 'SIGKILL',
    },
  )
  let printed = ''
  let complaints = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints += text))
  const [code, signal] = await once(child, 'close')
  if (code === 0) return JSON.parse(printed) as Figures
  throw new Error(`${task.trial} with ${task.contender} failed (${signal ?? code})\n${complaints}`)
}

export async function firstLine(child: ChildProcessWithoutNullStreams): Promise<string> {
  for await (const line of createInterface(child.stdout)) return line
  throw new Error(`${child.spawnargs.join(' ')} ended without saying that it is ready`)
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, LOOPBACK)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

/** A program that does not say when it listens: the kernel knows. The table is that of the program's own namespace. */
export async function listening(child: ChildProcess, port: number): Promise<void> {
  const table = `/proc/${child.pid}/net/tcp`
  const entry = new RegExp(`:${port.toString(16).toUpperCase().padStart(4, '0')} 0+:0000 0A `)
  const deadline = Date.now() + START_TIMEOUT
  while (!existsSync(table) || !entry.test(readFileSync(table, 'latin1'))) {
    if (child.exitCode !== null) throw new Error(`${child.spawnargs.join(' ')} ended with ${child.exitCode}`)
    if (Date.now() > deadline) throw new Error(`nobody listens on port ${port}`)
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}
