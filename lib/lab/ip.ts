/**
 * `ip` (iproute2), the one program the lab calls.
 */
import { spawn } from 'node:child_process'
import { AtsssError } from '../errors.js'

/** Runs the lines as one batch, with options such as `-n NETNS`; rejects with the output of `ip`. */
export async function ipBatch(lines: readonly string[], ...options: string[]): Promise<void> {
  const child = spawn('ip', [...options, '-batch', '-'])
  let complaints = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints += text))
  child.stdin.on('error', () => {}) // 'close' reports it
  child.stdin.end(lines.map(line => `${line}\n`).join(''))
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', cause =>
      reject(
        new AtsssError('ERR_LAB_FAILED', 'the lab needs the program "ip": install the package iproute2', { cause }),
      ),
    )
    child.once('close', resolve)
  })
  if (code === 0) return
  if (/not permitted|permission denied/i.test(complaints))
    throw new AtsssError(
      'ERR_LAB_PRIVILEGE',
      `the lab needs root, or to be run under "unshare -Urnm": ${complaints.trim()}`,
    )
  throw new AtsssError('ERR_LAB_FAILED', `ip: ${complaints.trim()}`)
}
