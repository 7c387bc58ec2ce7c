/**
 * Connects as it is told, one task after the other, and says what became of it, a JSON line at a time:
 *
 *   node --import tsx client.ts '{"tasks":[{"connect":{"host":"198.51.100.2","port":7},"write":"ping","until":4}]}'
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { isIP, type LookupFunction } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, isSupported, type MptcpConnectOptions, type MptcpReport } from 'atsss'
import { native } from '../../../lib/runtime/kernel/native.js'
import { writePattern } from './pattern.js'

export interface Task {
  connect: MptcpConnectOptions
  /** How many connections of it at once. @defaultValue 1 */
  times?: number
  /** Written in the same turn as `connect()`. */
  write?: string
  /** Written this many milliseconds after `connect()`. */
  later?: { after: number; write: string }
  /** Written once connected, at once. */
  thenWrite?: string
  /** So many bytes of the pattern follow, and the end of the stream. */
  upload?: number
  /** `end()`, in the same turn. */
  end?: boolean
  /** Destroyed once this many bytes have come. */
  until?: number
  /** Destroyed this many milliseconds after `connect()`. */
  destroyAfter?: number
  /** The address is asked for under a name, and known after this many milliseconds. */
  lookupTakes?: number
  /** Milliseconds to rest afterwards. */
  pause?: number
}

export interface ClientPlan {
  tasks: Task[]
}

/** One connection, at its end. Times are in milliseconds since `connect()`. */
export interface ConnectionResult {
  event: 'closed'
  task: number
  connectedAt?: number
  firstByteAt?: number
  endedAt?: number
  closedAt: number
  bytes: number
  sha256: string
  /** The beginning of what came. */
  text: string
  error?: { code?: string; name: string; message: string; errors?: { code?: string; message: string }[] }
  /** `socket.mptcp` at `'connect'`, or at the end if there was none. */
  report: Omit<MptcpReport, 'converterError'> & { converterError?: { code?: string; message: string } }
  localAddress?: string
  remoteAddress?: string
  remotePort?: number
}

export interface ClientEnd {
  event: 'end'
  supported: ReturnType<typeof isSupported>
  /** Descriptors of the process, before and after the tasks. */
  descriptors: { before: number; after: number }
  addon: { descriptors: number; waits: number }
}

const plan = JSON.parse(process.argv[2]!) as ClientPlan
const say = (value: object) => process.stdout.write(`${JSON.stringify(value)}\n`)
const openDescriptors = () => readdirSync('/proc/self/fd').length

function about(error: Error): NonNullable<ConnectionResult['error']> {
  const { code, name, message, errors } = error as NodeJS.ErrnoException & { errors?: NodeJS.ErrnoException[] }
  return {
    ...(code === undefined ? {} : { code }),
    name,
    message,
    ...(errors ? { errors: errors.map(({ code, message }) => ({ ...(code ? { code } : {}), message })) } : {}),
  }
}

function reported({ converterError, ...report }: MptcpReport): ConnectionResult['report'] {
  return { ...report, ...(converterError ? { converterError: about(converterError) } : {}) }
}

function byName(options: MptcpConnectOptions, takes: number): MptcpConnectOptions {
  const address = options.host!
  const lookup: LookupFunction = (_host, { all }, done) => {
    const family = isIP(address)
    setTimeout(() => (all ? done(null, [{ address, family }]) : done(null, address, family)), takes)
  }
  return { ...options, host: 'server.example', lookup }
}

async function perform(task: Task, index: number): Promise<void> {
  const start = performance.now()
  const since = () => Math.round((performance.now() - start) * 10) / 10
  const socket = connect(task.lookupTakes === undefined ? task.connect : byName(task.connect, task.lookupTakes))
  const result: Partial<ConnectionResult> = { event: 'closed', task: index, bytes: 0, text: '' }
  const hash = createHash('sha256')
  socket.on('connect', () => {
    result.connectedAt = since()
    result.report = reported(socket.mptcp)
    Object.assign(result, {
      localAddress: socket.localAddress,
      remoteAddress: socket.remoteAddress,
      remotePort: socket.remotePort,
    })
    if ((task.times ?? 1) === 1) say({ event: 'connected', task: index, at: Date.now() })
    if (task.thenWrite !== undefined) socket.write(task.thenWrite)
  })
  socket.on('data', chunk => {
    result.firstByteAt ??= since()
    result.bytes! += chunk.length
    if (result.text!.length < 200) result.text += chunk.toString('latin1', 0, 200)
    hash.update(chunk)
    if (task.until !== undefined && result.bytes! >= task.until) socket.destroy()
  })
  socket.on('end', () => {
    result.endedAt = since()
  })
  socket.on('error', error => {
    result.error = about(error)
  })
  if (task.write !== undefined) socket.write(task.write)
  const { later } = task
  if (later) setTimeout(() => socket.write(later.write), later.after)
  if (task.upload !== undefined) void writePattern(socket, task.upload).then(() => socket.end())
  if (task.end) socket.end()
  if (task.destroyAfter !== undefined) setTimeout(() => socket.destroy(), task.destroyAfter)
  await once(socket, 'close').catch(() => once(socket, 'close'))
  result.report ??= reported(socket.mptcp)
  result.closedAt = since()
  result.sha256 = hash.digest('hex')
  say(result)
}

const supported = isSupported()
void process.stdout // From its first stream on the event loop keeps a descriptor.
const before = openDescriptors()
for (const [index, task] of plan.tasks.entries()) {
  await Promise.all(Array.from({ length: task.times ?? 1 }, () => perform(task, index)))
  if (task.pause) await sleep(task.pause)
}
// What was destroyed while its peer might still send stays until that has ended too.
for (let i = 0; i < 300 && native().counts().descriptors > 0; i++) await sleep(10)
await sleep(20)
const ending: ClientEnd = {
  event: 'end',
  supported,
  descriptors: { before, after: openDescriptors() },
  addon: native().counts(),
}
say(ending)
