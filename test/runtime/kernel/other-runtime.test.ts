/** Bun and Deno: an error that says what to do, everywhere and at once; and never that MPTCP is supported. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { compiledUrl } from '../../support/compiled.js'

/** As far as it matters here: such a runtime says what it is, and has sockets of its own. */
const script = (key: string) => `
  Object.defineProperty(process.versions, '${key}', { value: '1.2.3', enumerable: true })
  const { connect, isSupported, MaPduSession } = await import('${compiledUrl('lib/index.ts')}')
  const failed = emitter => new Promise(resolve => emitter.once('error', resolve))
  const session = new MaPduSession({ accesses: { '3gpp': 'nowhere0', 'non-3gpp': 'lo' }, controller: 'inline' })
  const errors = [
    await failed(connect(9, '127.0.0.1')),
    await session.ready.catch(error => error),
  ]
  const { supported, reason } = isSupported()
  console.log(JSON.stringify({ supported, reason, errors: errors.map(({ code, message }) => [code, message]) }))
  process.exit()`

test.each([
  ['bun', 'Bun'],
  ['deno', 'Deno'],
])('%s', async (key, name) => {
  const args = ['--input-type=module', '-e', script(key)]
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { timeout: 30_000 })
  const reason = `This is ${name} 1.2.3, whose sockets are not Node's: atsss cannot make connections with them. Run the program with Node.js 20.19 or later`
  const error = ['ERR_ATSSS_NODE', reason]
  expect(JSON.parse(stdout)).toEqual({ supported: false, reason, errors: [error, error] })
  expect(stderr).toBe('')
})

test('an old Node: the same error, which names the version that is needed', async () => {
  const old = `
    delete process.getBuiltinModule
    Object.defineProperty(process.versions, 'node', { value: '18.20.8' })
    const { connect, isSupported } = await import('${compiledUrl('lib/index.ts')}')
    const { code, message } = await new Promise(resolve => connect(9, '127.0.0.1').once('error', resolve))
    console.log(JSON.stringify([code, message, isSupported()]))
    process.exit()`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', old], {
    timeout: 30_000,
  })
  const reason = 'This is Node.js 18.20.8, which is too old: atsss needs Node.js 20.19 or later'
  expect(JSON.parse(stdout)).toEqual(['ERR_ATSSS_NODE', reason, expect.objectContaining({ supported: false, reason })])
})
