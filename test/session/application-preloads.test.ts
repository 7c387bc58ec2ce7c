/** What an application preloads runs in the application's threads, and not in the thread of a session. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished } from 'vitest'
import { compiledUrl } from '../support/compiled.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'

const MAKES_SESSION = `
  const { MaPduSession } = await import('${compiledUrl('lib/index.ts')}')
  const session = new MaPduSession({ accesses: { '3gpp': 'nowhere0', 'non-3gpp': 'lo' } })`

/** Writes a line to the file LOG, with the thread. It ends threads that are nested too deep: this test makes no endless ones. */
const COUNTS = `
  const { createRequire } = await import('node:module')
  const require = createRequire(import.meta.url)
  const { threadId } = require('node:worker_threads')
  require('node:fs').appendFileSync(process.env.LOG, threadId + ' ')
  if (threadId > 3) process.exit()`

/** The thread of its session runs for some time after it is ready: what it makes in turn would be counted. */
const WAITS = `
  await session.ready
  await new Promise(resolve => setTimeout(resolve, 500))
  process.exit()`

const PRELOADS_SESSION = `${COUNTS}
  ${MAKES_SESSION}
  const { preload } = await import('${compiledUrl('lib/preload/index.ts')}')
  preload(session)
  globalThis.session = session`

for (const { what, preload, program } of [
  { what: 'telemetry', preload: COUNTS, program: MAKES_SESSION + WAITS },
  { what: 'a session', preload: PRELOADS_SESSION, program: `const { session } = globalThis\n${WAITS}` },
])
  for (const where of ['NODE_OPTIONS', 'the command line'] as const)
    requires('MPTCP', mptcp)(`${what} that ${where} preloads runs in the main thread only`, async () => {
      const folder = mkdtempSync(join(tmpdir(), 'atsss-preloads-'))
      onTestFinished(() => rmSync(folder, { recursive: true }))
      const [log, file] = [join(folder, 'log'), join(folder, 'preload.mjs')]
      writeFileSync(file, preload)
      const option = `--import=${file}`
      const args = [...(where === 'NODE_OPTIONS' ? [] : [option]), '--input-type=module', '-e', program]
      const env = { ...process.env, LOG: log, NODE_OPTIONS: where === 'NODE_OPTIONS' ? option : '' }
      await promisify(execFile)(process.execPath, args, { env, timeout: 30_000 })
      expect(readFileSync(log, 'utf8')).toBe('0 ')
    })
