/** One host of a lab, on whose loopback everything runs: servers, relays, and programs that are their clients. */
import { type ChildProcess, type ChildProcessWithoutNullStreams, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type Lab, openLab } from '../../lib/lab/index.js'
import type { Place } from '../places.js'
import { firstLine, listening, programPath, typescript } from '../site.js'
import type { Calls } from './driver.js'
import { TCP_MEMORY, tcpMemory } from './processes.js'

const LOOPBACK = '127.0.0.1'
/** Of each program: as many as it may have. The usual limit at the start is far below what ten thousand connections take. */
export const DESCRIPTORS = Number(
  /^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1],
)
const BUFFER_LIMITS = ['tcp_rmem', 'tcp_wmem']
/** Longer than any call takes, in milliseconds. */
const CALL_TIMEOUT = 150_000
const CONVERTER_PORT = 7000
const HAPROXY_PORTS = { source: 7001, sink: 7002 } as const
const SOCKS_PORT = 7003

export interface Relay {
  /** With those of its workers. */
  pids(): number[]
  stop(): Promise<void>
}

export class ConverterSite {
  readonly #lab: Lab
  readonly #servers: Pick<Place, 'ports' | 'https'>

  private constructor(lab: Lab, servers: Pick<Place, 'ports' | 'https'>) {
    this.#lab = lab
    this.#servers = servers
  }

  /** Throws ERR_LAB_PRIVILEGE. */
  static async open(): Promise<ConverterSite> {
    const lab = await openLab({ accesses: [{ name: 'link', access: '3gpp', link: {} }] })
    try {
      await lab.converter.sysctl('net.core.somaxconn', 4096)
      const server = spawn(lab, process.execPath, [...typescript, programPath('server.ts'), LOOPBACK])
      return new ConverterSite(lab, JSON.parse(await firstLine(server)))
    } catch (error) {
      await lab.close()
      throw error
    }
  }

  close(): Promise<void> {
    return this.#lab.close()
  }

  /**
   * For each socket, what the kernel may hold of each direction, in bytes. All sockets of the machine share net.ipv4.tcp_mem: beyond
   * that the kernel drops what arrives, and resets what is closed.
   *
   * @returns what restores the limits of before
   */
  async limitBuffers(bytes: number): Promise<() => Promise<void>> {
    const set = async (values: readonly string[]) => {
      const lines = BUFFER_LIMITS.map((name, i) => `echo ${values[i]} > /proc/sys/net/ipv4/${name}`)
      const { code, stderr } = await this.#lab.converter.run('sh', ['-ec', lines.join('\n')])
      if (code !== 0) throw new Error(stderr)
    }
    const files = BUFFER_LIMITS.map(name => `/proc/sys/net/ipv4/${name}`)
    const { stdout } = await this.#lab.converter.run('cat', files)
    const before = stdout.trim().split('\n')
    await set(before.map(values => [...values.split('\t').slice(0, 2), bytes].join(' ')))
    return () => set(before)
  }

  async converter(...options: string[]): Promise<Relay> {
    const listen = ['--listen', `${LOOPBACK}:${CONVERTER_PORT}`, '--allow-loopback']
    const words = [programPath('../dist/cli/main.js'), 'converter', '--json', '--quiet', ...listen, ...options]
    const child = spawn(this.#lab, process.execPath, words)
    await firstLine(child)
    return relay(child)
  }

  /** In TCP mode, listening with MPTCP by `mptcpize`. Debian's version is too old for `mptcp@` addresses (HAProxy 3.2). */
  async haproxy(threads: number): Promise<Relay> {
    const { tcp } = this.#servers.ports
    const parts = (Object.keys(HAPROXY_PORTS) as (keyof typeof HAPROXY_PORTS)[]).map(
      role =>
        `listen ${role}\n bind ${LOOPBACK}:${HAPROXY_PORTS[role]} backlog 4096\n server one ${LOOPBACK}:${tcp[role]}\n`,
    )
    const limits = ' timeout connect 10s\n timeout client 1h\n timeout server 1h\n option splice-auto\n'
    const file = join(mkdtempSync(join(tmpdir(), 'atsss-bench-')), 'haproxy.cfg')
    writeFileSync(file, `global\n maxconn 4000\n nbthread ${threads}\ndefaults\n mode tcp\n${limits}${parts.join('')}`)
    // `mptcpize` makes all its sockets MPTCP sockets, those to the servers too; these fall back to TCP.
    const child = spawn(this.#lab, 'mptcpize', ['run', 'haproxy', '-q', '-db', '-f', file])
    await listening(child, HAPROXY_PORTS.sink)
    return relay(child)
  }

  async microsocks(): Promise<Relay> {
    // What it reports of each connection goes nowhere.
    const child = spawn(this.#lab, 'sh', ['-c', `exec microsocks -i ${LOOPBACK} -p ${SOCKS_PORT} 2>/dev/null`])
    await listening(child, SOCKS_PORT)
    return relay(child)
  }

  /**
   * A program that is clients, whichever relays run.
   *
   * @param toHaproxy its MPTCP connections to servers go to HAProxy's ports for them
   */
  driver(toHaproxy = false): Driver {
    const { ports, https } = this.#servers
    const place: Place = {
      address: LOOPBACK,
      ports: toHaproxy ? { ...ports, mptcp: { ...ports.mptcp, ...HAPROXY_PORTS } } : ports,
      https,
      converter: `${LOOPBACK}:${CONVERTER_PORT}`,
      zeroRtt: false, // not checked: it depends on the sysctls
      socks: { host: LOOPBACK, port: SOCKS_PORT },
      httpProxy: undefined,
    }
    const words = [...typescript, programPath('converter/driver.ts'), JSON.stringify(place)]
    return new Driver(spawn(this.#lab, process.execPath, words))
  }
}

/** A program of clients that obeys. */
export class Driver {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #lines: AsyncIterator<string>

  constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child
    this.#lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  }

  async call<Call extends keyof Calls>(
    call: Call,
    ...args: Parameters<Calls[Call]>
  ): Promise<Awaited<ReturnType<Calls[Call]>>> {
    this.#child.stdin.write(`${JSON.stringify({ call, args })}\n`)
    const late = setTimeout(() => {
      const held = `TCP holds ${Math.round(tcpMemory() / 1e6)} MB in the kernel (net.ipv4.tcp_mem: ${TCP_MEMORY})`
      console.error(`${call} has not ended within ${CALL_TIMEOUT / 1000} s; ${held}`)
      this.#child.kill('SIGKILL')
    }, CALL_TIMEOUT)
    const { value } = await this.#lines.next()
    clearTimeout(late)
    if (value === undefined) throw new Error(`the clients have ended during ${call}`)
    return JSON.parse(value)
  }

  async stop(): Promise<void> {
    await killed(this.#child)
  }
}

/** Why a relay cannot run here. */
export function missing(...programs: string[]): string | undefined {
  const absent = programs.filter(program => spawnSync('which', [program]).status !== 0)
  return absent.length === 0 ? undefined : `not installed: apt-get install ${absent.join(' ')}`
}

/** What the program complains of is shown. */
function spawn(lab: Lab, command: string, words: string[]): ChildProcessWithoutNullStreams {
  const limit = `--nofile=${DESCRIPTORS}:${DESCRIPTORS}`
  const child = lab.converter.spawn('prlimit', [limit, command, ...words])
  child.stderr.pipe(process.stderr)
  return child
}

function relay(child: ChildProcess): Relay {
  const pid = child.pid!
  return { pids: () => [pid, ...childrenOf(pid)], stop: () => killed(child) }
}

function childrenOf(pid: number): number[] {
  const { stdout } = spawnSync('pgrep', ['-P', String(pid)], { encoding: 'utf8' })
  return stdout.split('\n').filter(Boolean).map(Number)
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'close')
}
