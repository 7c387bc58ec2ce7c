/** The demo's device application: an HTTP client whose sockets come from `atsss`, or from `net` for comparison. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type ClientRequestArgs, get } from 'node:http'
import net from 'node:net'
import { connect, type MptcpReport, type MptcpSocket } from 'atsss'

/** Its argument. */
export interface Task {
  host: string
  port: number
  path: string
  /** Without one: directly, with net.connect. */
  converter?: string
  times: number
}

/** A line that it writes for each request. */
export interface Outcome {
  /** Milliseconds from connect() to the first byte of the response. */
  firstByte: number
  /** Milliseconds from connect() to the last byte. */
  lastByte: number
  bytes: number
  sha256: string
  mptcp?: MptcpReport
  /** The kernel's counters (/proc/net/netstat) in the process's namespace, without those that are zero. */
  counters: Record<string, number>
}

const task: Task = JSON.parse(process.argv[2] ?? '{}')
for (let count = 0; count < task.times; count++) console.log(JSON.stringify(await fetchOnce(task)))

function fetchOnce({ host, port, path, converter }: Task): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const createConnection = converter
      ? (options: ClientRequestArgs) => connect({ ...options, host, port, converters: converter })
      : (options: ClientRequestArgs) => net.connect({ ...options, host, port })
    const begun = performance.now()
    const request = get({ host, port, path, createConnection }, response => {
      const firstByte = performance.now() - begun
      const { mptcp } = response.socket as Partial<MptcpSocket>
      const hash = createHash('sha256')
      let bytes = 0
      response.on('data', chunk => {
        bytes += chunk.length
        hash.update(chunk)
      })
      response.on('end', () =>
        resolve({
          firstByte,
          lastByte: performance.now() - begun,
          bytes,
          sha256: hash.digest('hex'),
          ...(mptcp ? { mptcp } : {}),
          counters: counters(),
        }),
      )
    })
    request.on('error', reject)
  })
}

/** Two lines for each group: the names, then the numbers. */
function counters(): Record<string, number> {
  const lines = readFileSync('/proc/net/netstat', 'utf8').trim().split('\n')
  const found: Record<string, number> = {}
  for (let index = 0; index + 1 < lines.length; index += 2) {
    const names = lines[index]!.split(' ').slice(1)
    const values = lines[index + 1]!.split(' ').slice(1)
    for (const [column, name] of names.entries()) if (values[column] !== '0') found[name] = Number(values[column])
  }
  return found
}
