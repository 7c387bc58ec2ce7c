/** A 32-bit process on a 64-bit kernel, as on many ARM boards: the kernel writes its structures with its own alignment. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect } from 'vitest'
import { all, mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'

const native = fileURLToPath(new URL('../../native/addon', import.meta.url))
const COMPILER = 'i686-linux-gnu-g++'
const folder = mkdtempSync(join(tmpdir(), 'atsss-32-bit-'))
afterAll(() => rmSync(folder, { recursive: true }))

const compiler = () => (spawnSync(COMPILER, ['--version']).error ? `no ${COMPILER} (g++-i686-linux-gnu)` : undefined)
const x64 = () => (process.arch === 'x64' ? undefined : `it makes programs for x86; this is ${process.arch}`)

requires('a compiler for 32-bit programs, and MPTCP', all(x64, compiler, mptcp))(
  'every static_assert on a layout holds; where the kernel runs such programs, they read the ports of subflows right',
  () => {
    const sources = ['sampler', 'subflow-info', 'sockets', 'address', 'system-error'].map(
      name => `${native}/${name}.cc`,
    )
    const program = join(folder, 'sampler')
    // Compilers need no sanitizer, if that is what these tests run under.
    const { LD_PRELOAD: _, ...env } = process.env
    const flags = ['-std=c++17', '-O1', '-static', '-Wall', '-Wextra', '-Wconversion', '-Werror', `-I${native}`]
    const own = fileURLToPath(new URL('sampler-32-bit.cc', import.meta.url))
    execFileSync(COMPILER, [...flags, own, ...sources, '-o', program], { env })
    const { status, stdout, stderr } = spawnSync(program, { env, encoding: 'utf8' })
    // What libuv cannot execute (ENOEXEC) it gives to the shell, as execvp(3) does.
    if (/Syntax error|[Ee]xec format/.test(stderr))
      return console.error('compiled only: this kernel does not run 32-bit programs (CONFIG_IA32_EMULATION)')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const [ports, ...samples] = stdout.trimEnd().split('\n')
    const [local, remote] = ports!.split(' ')
    const expected = `errno 0, 1 subflow, port ${local}, local 127.0.0.1 ${local}, remote 127.0.0.1 ${remote}, same id 1`
    expect(samples).toEqual([`whole: ${expected}`, `in parts: ${expected}`])
  },
  120_000,
)
