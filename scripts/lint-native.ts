/**
 * Checks the C++ sources with clang-format and clang-tidy (native/.clang-format, native/.clang-tidy):
 *
 *   tsx scripts/lint-native.ts [--format]
 *
 * `--format` only formats them. If the tools are missing it says so and passes, or fails with EXPECT_ALL, as in CI. clang-tidy needs what
 * CMake wrote into build/ (npm run build:native).
 */
import { execFile, spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = fileURLToPath(new URL('../', import.meta.url))
const sources = (readdirSync(join(root, 'native'), { recursive: true }) as string[])
  .filter(name => /\.(cc|h)$/.test(name))
  .map(name => join(root, 'native', name))
const formatOnly = process.argv.includes('--format')

if (has('clang-format')) format()
if (!formatOnly && has('clang-tidy')) await tidy()

function format(): void {
  const what = formatOnly ? ['-i'] : ['--dry-run', '-Werror']
  const { status } = spawnSync('clang-format', ['--style=file', ...what, ...sources], { stdio: 'inherit' })
  if (status !== 0) process.exitCode = 1
}

/** Checks one file on each core. */
async function tidy(): Promise<void> {
  const database = join(root, 'build')
  if (!existsSync(join(database, 'compile_commands.json')))
    return lacks('build/compile_commands.json is missing: npm run build:native')
  // Only prebuilt binaries contain it, so this build has no compile command for it.
  const left = sources.filter(path => path.endsWith('.cc') && !path.endsWith('old-glibc.cc'))
  const worker = async (): Promise<void> => {
    for (let path = left.pop(); path !== undefined; path = left.pop())
      try {
        await promisify(execFile)('clang-tidy', ['--quiet', '-p', database, path], { maxBuffer: 1 << 26 })
      } catch (error) {
        console.error((error as { stdout?: string }).stdout || (error as Error).message)
        process.exitCode = 1
      }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, worker))
}

function has(tool: string): boolean {
  if (!spawnSync(tool, ['--version']).error) return true
  lacks(`${tool} is not installed: the C++ sources were not checked with it`)
  return false
}

function lacks(what: string): void {
  console.error(what)
  if (process.env.EXPECT_ALL) process.exitCode = 1
}
