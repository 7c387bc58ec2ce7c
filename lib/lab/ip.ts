/** Runs `ip` (iproute2), the only program that the lab calls. */
import { spawn } from 'node:child_process'
import { AtsssError } from '../errors.js'

/** Runs the lines as one batch, with options such as `-n NETNS`. Rejects with the line that failed and what `ip` said about it. */
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
  const failed = whatFailed(lines, options, complaints.trim(), code)
  if (/not permitted|permission denied/i.test(complaints))
    throw new AtsssError(
      'ERR_LAB_PRIVILEGE',
      `the lab needs root: use sudo, or run it under "unshare -Urnm" (${failed})`,
    )
  throw new AtsssError('ERR_LAB_FAILED', failed)
}

/** `ip` gives the line's number: "Command failed -:2". */
function whatFailed(
  lines: readonly string[],
  options: readonly string[],
  complaints: string,
  code: number | null,
): string {
  const line = lines[Number(/^Command failed -:(\d+)/m.exec(complaints)?.[1]) - 1]
  const reason = complaints.replace(/^Command failed -:\d+$/m, '').trim() || `it ended with ${code}`
  return `"${['ip', ...options, line ?? '-batch -'].join(' ')}" failed: ${reason}`
}
