/** `atsss ping` on loopback, and what it counts. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { notedAnswer, notedLoss, summaryLines, summaryOf, UNTRIED } from '../../lib/cli/ping/counts.js'
import { atsss, start } from './atsss.js'

async function listener(): Promise<number> {
  const server = createServer(socket => socket.on('error', () => {}).resume()).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  return (server.address() as { port: number }).port
}

test('counts: sent, answered, lost; the least, the mean and the longest round trip', () => {
  const counts = [20.04, 30, 25].reduce(notedAnswer, notedLoss(UNTRIED))
  expect(summaryOf(counts)).toEqual({
    ...{ sent: 4, answered: 3, lossPercent: 25, minMs: 20.04, maxMs: 30 },
    avgMs: expect.closeTo(25.013, 3),
  })
  expect(summaryLines('non-3gpp (wlan0) to 192.0.2.1:5124', counts)).toBe(
    '\nnon-3gpp (wlan0) to 192.0.2.1:5124\n4 sent, 3 answered, 25 % lost, round trip min/avg/max 20.0/25.0/30.0 ms\n',
  )
  expect(summaryLines('x', notedLoss(UNTRIED))).toBe('\nx\n1 sent, 0 answered, 100 % lost\n')
  expect(summaryOf(UNTRIED)).toEqual({
    ...{ sent: 0, answered: 0, lossPercent: null, minMs: null, avgMs: null, maxMs: null },
  })
})

test('each probe a line, then the summary; one path without any answer is status 1', async () => {
  const port = await listener()
  const to = (at: number) => ['--converter', `127.0.0.1:${at}`]
  const paths = [...to(port), ...to(1)]
  const { status, stdout } = await atsss(['ping', ...paths, '--interface', 'lo', '-c', '2', '-i', '0.1'])
  expect(status).toBe(1)
  for (const sequence of [1, 2]) {
    expect(stdout).toMatch(new RegExp(`^lo to 127\\.0\\.0\\.1:${port}: ${sequence}: \\d+\\.\\d ms$`, 'm'))
    expect(stdout).toMatch(new RegExp(`^lo to 127\\.0\\.0\\.1:1: ${sequence}: connect ECONNREFUSED`, 'm'))
  }
  expect(stdout).toMatch(/\n\nlo to .*\n2 sent, 2 answered, 0 % lost, round trip min\/avg\/max [\d./]+ ms\n/)
  expect(stdout).toMatch(/\n2 sent, 0 answered, 100 % lost\n$/)
}, 20_000)

test('--json, until it is interrupted: status 0, and the summary', async () => {
  const port = await listener()
  const { child, ended } = start(['ping', '--converter', `127.0.0.1:${port}`, '--json', '--interval', '0.1'])
  await once(child.stdout, 'data')
  child.kill('SIGINT')
  const { status, stdout } = await ended
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
  expect(status).toBe(0)
  const path = { converter: `127.0.0.1:${port}`, address: '127.0.0.1', port }
  expect(lines[0]).toEqual({ ...path, sequence: 1, ms: expect.any(Number) })
  expect(lines.at(-1).summary).toMatchObject([{ ...path, lossPercent: 0 }])
  expect(lines.at(-1).summary[0].sent).toBe(lines.length - 1)
}, 20_000)

test.each<[string, string[], RegExp]>([
  ['no converter', [], /there is no converter to ping: name one with --converter/],
  ['no count', ['--count', '0'], /--count must be 1 or more/],
  ['too often', ['--interval', '0.01'], /--interval must be 0.1…3600; it is '0.01'/],
  ['no patience', ['--timeout', '1'], /--timeout must be 10…60000/],
])(
  '%s: status 2',
  async (_, args, reason) => {
    const config = args.length === 0 ? [] : ['--converter', '192.0.2.1:5124']
    const env = { ATSSS_CONFIG: '{}' }
    expect(await atsss(['ping', ...config, ...args], '', env)).toMatchObject({
      ...{ status: 2, stderr: expect.stringMatching(reason) },
    })
  },
  15_000,
)
