/**
 * A laptop as its owner has it: two interfaces, wlan0 and usb0, whose far ends are routers of others. No emulated links, and
 * nothing of the lab: veth pairs, and namespaces of this test.
 *
 *   laptop --- wlan0 --- home   --- internet (192.0.2.1 the converter, 198.51.100.2 the server)
 *         \--- usb0  --- mobile --/
 */
import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'

export const CONVERTER = '192.0.2.1'
export const SERVER = '198.51.100.2'

export type Place = 'laptop' | 'home' | 'mobile' | 'internet'
const PLACES: readonly Place[] = ['laptop', 'home', 'mobile', 'internet']

export interface Laptop extends AsyncDisposable {
  /** Starts a program somewhere; it ends with the laptop. */
  spawn(place: Place, command: string, ...args: string[]): ChildProcessWithoutNullStreams
  /** Lines for ip(8), such as `link set wlan0 down`. */
  ip(place: Place, ...lines: string[]): void
  /** Runs one to its end. */
  run(
    place: Place,
    command: string,
    ...args: string[]
  ): Promise<{ status: number | null; stdout: string; stderr: string }>
  /** `atsss` on the laptop, as it is built. */
  atsss(...args: string[]): Promise<{ status: number | null; stdout: string; stderr: string }>
}

let laptops = 0

export function openLaptop(): Laptop {
  const prefix = `lap-${process.pid}-${++laptops}`
  const name = (place: Place) => `${prefix}-${place}`
  const children = new Set<ChildProcess>()
  const remove = () =>
    void ip(
      PLACES.map(place => `netns del ${name(place)}`),
      true,
    )
  try {
    ip(PLACES.map(place => `netns add ${name(place)}`))
    for (const place of PLACES) ip(['link set lo up'], false, '-n', name(place))
    pair(name('laptop'), 'wlan0', '10.1.0.2', name('home'), 'lan', '10.1.0.1')
    pair(name('laptop'), 'usb0', '10.2.0.2', name('mobile'), 'ran', '10.2.0.1')
    pair(name('home'), 'wan', '10.11.0.1', name('internet'), 'home', '10.11.0.2')
    pair(name('mobile'), 'wan', '10.12.0.1', name('internet'), 'mobile', '10.12.0.2')
  } catch (error) {
    remove()
    throw error
  }
  const routes = (place: Place, ...lines: string[]) => ip(lines, false, '-n', name(place))
  routes(
    'laptop',
    'route add default via 10.1.0.1 dev wlan0 metric 100',
    'route add default via 10.2.0.1 dev usb0 metric 200',
  )
  routes('home', 'route add default via 10.11.0.2')
  routes('mobile', 'route add default via 10.12.0.2')
  routes(
    'internet',
    `addr add ${CONVERTER}/32 dev lo`,
    `addr add ${SERVER}/32 dev lo`,
    'route add 10.1.0.0/24 via 10.11.0.1',
    'route add 10.2.0.0/24 via 10.12.0.1',
  )

  const begin = (place: Place, command: string, ...args: string[]) => {
    const child = spawn('ip', ['netns', 'exec', name(place), command, ...args])
    children.add(child)
    child.once('exit', () => children.delete(child))
    child.stdin.on('error', () => {})
    return child
  }
  const run: Laptop['run'] = async (place, command, ...args) => {
    const child = begin(place, command, ...args)
    const said = { stdout: '', stderr: '' }
    child.stdin.end()
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text))
    const [status] = await once(child, 'close')
    return { status, ...said }
  }
  for (const place of ['home', 'mobile'] as const) write(name(place), 'net.ipv4.ip_forward', '1')
  write(name('internet'), 'net.ipv4.tcp_fastopen', '515') // as a converter must: RFC 8803 §7.1
  return {
    spawn: begin,
    ip: routes,
    run,
    atsss: (...args) => run('laptop', process.execPath, 'dist/cli/main.js', ...args),
    async [Symbol.asyncDispose]() {
      const ended = [...children].map(child => once(child, 'close'))
      for (const child of children) child.kill('SIGKILL')
      await Promise.all(ended)
      remove()
    },
  }
}

function pair(a: string, nameA: string, addressA: string, b: string, nameB: string, addressB: string): void {
  ip([`link add ${nameA} netns ${a} type veth peer name ${nameB} netns ${b}`])
  ip([`addr add ${addressA}/24 dev ${nameA}`, `link set ${nameA} up`], false, '-n', a)
  ip([`addr add ${addressB}/24 dev ${nameB}`, `link set ${nameB} up`], false, '-n', b)
}

function write(namespace: string, sysctl: string, value: string): void {
  const path = `/proc/sys/${sysctl.replaceAll('.', '/')}`
  const { status } = spawnSync('ip', ['netns', 'exec', namespace, 'sh', '-c', `echo ${value} > ${path}`])
  if (status !== 0) throw new Error(`cannot write ${path} in ${namespace}`)
}

function ip(lines: readonly string[], force = false, ...options: string[]): void {
  const args = [...options, ...(force ? ['-force'] : []), '-batch', '-']
  const { status, stderr } = spawnSync('ip', args, { input: lines.map(line => `${line}\n`).join(''), encoding: 'utf8' })
  if (status !== 0 && !force) throw new Error(`ip: ${stderr}`)
}
