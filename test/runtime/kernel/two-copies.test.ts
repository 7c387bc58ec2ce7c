/** Two copies of the package in one process, which share one addon: that of the path that both find. */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, expect, test, vi } from 'vitest'
import { COMPILED, compiledUrl, project } from '../../support/compiled.js'
import { mptcp } from '../../support/probes.js'
import { requires } from '../../support/requires.js'

vi.setConfig({ testTimeout: 60_000 })

const copy = mkdtempSync(join(tmpdir(), 'atsss-copy-'))
afterAll(() => rmSync(copy, { recursive: true }))
cpSync(join(COMPILED, 'lib'), join(copy, 'lib'), { recursive: true, dereference: true })
for (const name of ['package.json', 'build', 'node_modules']) symlinkSync(join(project, name), join(copy, name))
const urls = [compiledUrl('lib/index.ts'), pathToFileURL(join(copy, 'lib/index.js')).href]

/** Both copies as `one` and `two`, and a server at `port`. */
const both = `
  import net from 'node:net'
  const [one, two] = await Promise.all(${JSON.stringify(urls)}.map(url => import(url)))
  if (one.connect === two.connect) throw new Error('this is one copy')
  const server = net.createServer(socket => socket.on('error', () => {}).end('hello')).listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  const { port } = server.address()
  const connect = copy => new Promise(resolve => {
    const socket = copy.connect({ port, host: '127.0.0.1', connectTimeout: 5000 })
    socket.on('error', error => resolve(error.code)).on('data', data => resolve(String(data)))
    socket.on('data', () => socket.destroy())
  })
`

function run(source: string) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', `${both}${source}`], {
    encoding: 'utf8',
    timeout: 30_000,
  })
  return { status, out: stdout, err: stderr }
}

const inTurn = `
  const answers = []
  for (const copy of [one, two, one, two, one]) answers.push(await connect(copy))
  answers.push(...await Promise.all([one, two, two, one].map(connect)))
  console.log(answers.join())
  server.close()`
const answers = `${Array(9).fill('hello').join()}\n`

const copies = requires('MPTCP', mptcp)

copies('both connect, in turn and at once', () => {
  expect(run(inTurn)).toEqual({ status: 0, out: answers, err: '' })
})

copies('also in a worker thread, beside both in the main thread', () => {
  const inWorker = `${both}${inTurn}`
  expect(
    run(`
    const { Worker } = await import('node:worker_threads')
    const worker = new Worker(new URL('data:text/javascript,' + ${JSON.stringify(encodeURIComponent(inWorker))}))
    const ended = new Promise(resolve => worker.once('exit', resolve).once('error', resolve))
    ${inTurn.replace('server.close()', '')}
    console.log('worker', await ended)
    server.close()`),
  ).toMatchObject({
    status: 0,
    err: '',
    out: expect.stringMatching(/^(hello,){8}hello\n(hello,){8}hello\nworker 0\n$/),
  })
})

copies('the process ends while both wait', () => {
  expect(
    run(`
    for (const copy of [one, two]) copy.connect({ port, host: '127.0.0.1' })
    setImmediate(() => process.exit(3))`),
  ).toEqual({ status: 3, out: '', err: '' })
})

copies('the preloads of both: the later one takes connections', () => {
  const preloads = urls.map(url => url.replace('/index.js', '/preload/preload.js'))
  expect(
    run(`
    const [{ preload: first }, { preload: second }] = await Promise.all(${JSON.stringify(preloads)}.map(url => import(url)))
    first({ mptcp: 'require' }, { includeLocal: true })
    const release = second({ mptcp: 'off' }, { includeLocal: true })
    for (const end of [release, () => {}]) {
      const socket = net.connect(port, '127.0.0.1').resume()
      const error = await new Promise(resolve => socket.once('error', resolve).once('close', resolve))
      console.log(error.code ?? socket.mptcp?.protocol)
      end()
    }
    server.close()`),
  ).toEqual({ status: 0, out: 'tcp\nERR_MPTCP_FALLBACK\n', err: '' })
})

test('both have loaded the same addon, once', () => {
  const { out } = run(`
    console.log(process.report.getReport().sharedObjects.filter(path => path.endsWith('atsss.node')).length)
    await connect(one); await connect(two)
    console.log(process.report.getReport().sharedObjects.filter(path => path.endsWith('atsss.node')).length)
    server.close()`)
  expect(out).toBe('0\n1\n')
})
