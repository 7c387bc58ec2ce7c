/**
 * Scripts that use the package's sources in a Node of their own, for what a test process cannot show of itself: whether
 * it ends, what is collected, how it is in a worker thread.
 */
import { execFile } from 'node:child_process'
import { compiledUrl } from './compiled.js'

export const entry = compiledUrl('lib/index.ts')

export interface Ended {
  /** The exit code, or the signal that ended it. */
  code: number | string
  out: string
  err: string
}

/** @param source an ES module; `connect`, `MptcpSocket` and `isSupported` are there */
export function runClient(source: string, { flags = [] as string[], timeout = 20_000 } = {}): Promise<Ended> {
  const args = [...flags, '--input-type=module', '-e', `${PRELUDE}\n${source}`]
  return new Promise(resolve => {
    const child = execFile(process.execPath, args, { timeout }, (_, out, err) =>
      resolve({ code: child.exitCode ?? child.signalCode ?? 'not started', out, err }),
    )
  })
}

const PRELUDE = `import { connect, MptcpSocket, isSupported } from ${JSON.stringify(entry)}`
