/** The examples as their first lines say to run them: in `atsss lab`, which is what the documentation has people type. */
import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { start } from '../cli/atsss.js'
import { all, mptcp, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'

const labTest = requires('network namespaces and MPTCP', all(root, netns, mptcp))
const BUILT = [process.execPath, 'dist/cli/main.js'] as const

/** The command in the example's own first comment, in the lab; `seconds` in place of the last argument. */
function inLab(name: string, seconds?: number) {
  const comment = readFileSync(`examples/${name}`, 'utf8').replace(/ \\\n \*/g, '')
  const [, options = '', program = ''] = /sudo npx atsss lab (.*?) *-- +npx (tsx .*)/.exec(comment) ?? []
  const words = program.split(' ')
  if (seconds !== undefined) words.splice(-1, 1, String(seconds))
  const lab = ['lab', '--quiet', ...options.split(' ').filter(word => word !== '')]
  return start([...lab, '--', process.execPath, '--import', ...words], {}, BUILT)
}

labTest('5-load-balancing: 20 % over cellular, then 80 %, on one connection', async () => {
  const { status, stdout, stderr } = await inLab('5-load-balancing.ts', 10).ended
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  const shares = [...stdout.matchAll(/^\d+ s: (\d+) % over cell/gm)].map(match => Number(match[1]))
  expect(shares.length).toBeGreaterThanOrEqual(9)
  const mean = (of: number[]) => of.reduce((sum, share) => sum + share, 0) / of.length
  expect(mean(shares.slice(2, 5))).toBeLessThan(35)
  expect(mean(shares.slice(-3))).toBeGreaterThan(65)
})

labTest('6-priority: over cellular too while Wi-Fi is slow', async () => {
  const { status, stdout, stderr } = await inLab('6-priority.ts', 16).ended
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout).toMatch(/^ {2}set-backup: non-3gpp is congested: 3gpp too$/m)
  const bytes = (text: string) => Number([...text.matchAll(/(\d+) bytes over cellular/g)].at(-1)?.[1] ?? 0)
  // The first connection may begin over cellular on a busy machine: what counts is what comes after.
  const [before, after] = stdout.split('non-3gpp is congested')
  expect(bytes(after!) - bytes(before!)).toBeGreaterThan(100_000)
})

labTest('8-metrics: what Prometheus reads', async () => {
  const lab = inLab('8-metrics.ts')
  await expect.poll(() => lab.stdout, { timeout: 15_000 }).toContain('http://127.0.0.1:9464/metrics')
  const [ue] = (await lines('ip netns list')).filter(line => line.includes(`-${lab.child.pid}-`) && /-ue\b/.test(line))
  const scrape = () =>
    lines(`ip netns exec ${ue?.split(' ')[0]} ${process.execPath} -e "
      fetch('http://127.0.0.1:9464/metrics').then(async answer => console.log(await answer.text()))"`)
  const read = async (name: string) => {
    const line = (await scrape()).find(text => text.startsWith(name)) ?? ''
    return Number(line.split(' ').at(-1))
  }
  await expect
    .poll(() => read('atsss_access_bytes_total{access="non-3gpp",direction="received"}'), { timeout: 15_000 })
    .toBeGreaterThan(100)
  const before = await read('atsss_access_bytes_total{access="non-3gpp",direction="sent"}')
  await expect
    .poll(() => read('atsss_access_bytes_total{access="non-3gpp",direction="sent"}'), { timeout: 15_000 })
    .toBeGreaterThan(before)
  expect(await read('atsss_access_available{access="3gpp"}')).toBe(1)
  expect(await read('atsss_access_rtt_seconds{access="non-3gpp",direction="sent"}')).toBeGreaterThan(0.015)
  expect(await read('atsss_handovers_total{to="3gpp"}')).toBe(0)
  lab.child.kill('SIGTERM')
  expect((await lab.ended).status).toBe(128 + 15)
})

async function lines(command: string): Promise<string[]> {
  const { stdout } = await start(['-c', command], {}, ['sh']).ended
  return stdout.split('\n')
}
