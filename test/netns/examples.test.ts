/** The examples do what they say: the demo on its own, the others in a lab with a converter and a web server. */
import { spawn } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Lab, openLab } from '../../lib/lab/index.js'
import { compiled } from '../support/compiled.js'
import { Program } from '../support/convert-lab.js'
import { all, mptcp, mptcpFastOpen, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'

const project = fileURLToPath(new URL('../../', import.meta.url))
const example = (name: string) => ['--import', 'tsx', join(project, 'examples', name)]
const needs = requires(
  'MPTCP and network namespaces and Fast Open on MPTCP sockets',
  all(mptcp, root, netns, mptcpFastOpen),
)

describe('the demo', () => {
  const report = join(project, 'demo-report/steering.svg')

  needs(
    'tells the story, and draws it',
    async () => {
      rmSync(report, { force: true })
      const { stdout, stderr, code } = await demo()
      expect({ stderr, code }).toEqual({ stderr: '', code: 0 })

      expect(stdout).toMatch(/device → +SYN MP_CAPABLE, Convert \[Connect 198\.51\.100\.2:80\]/)
      expect(stdout).toMatch(/20 MB by http\.get: .*intact: yes/)
      expect(stdout).toMatch(/atsss, through the converter +[\d.]+ ms/)
      const [down, up] = stdout.split('The same upload of 20 MB')
      for (const part of [down!, up!]) {
        expect(row(part, 'Active-Standby')).toMatch(/\(100 %\).* \(0 %\).*yes/)
        for (const mode of ['Smallest Delay', 'Load-Balancing, autonomous', 'Priority-based'])
          expect(row(part, mode)).toMatch(/yes$/)
        expect(part).toMatch(/have arrived, connections made: 1, intact: yes/)
      }
      const cellular = (part: string) =>
        Number(row(part, 'Load-Balancing, 80/20').match(/\((\d+) %\) +\d+ ms +yes/)![1])
      expect(Math.abs(cellular(up!) - 20)).toBeLessThanOrEqual(5)
      // Three seconds of a download at full speed are not enough for more than this: the peer follows later.
      expect(cellular(down!)).toBeGreaterThan(5)
      expect(cellular(down!)).toBeLessThan(40)
      expect(stdout).toMatch(/Wi-Fi loses its carrier\n.*non-3gpp lost: wifi has no carrier/)
      expect(stdout).toMatch(/swallows everything, silently\n.*non-3gpp lost: /)
      expect(stdout).toMatch(
        /can be reached at http:\/\/192\.0\.2\.1:8080\/large\n.*GET \/large from 198\.51\.100\.2 port \d+\n/,
      )
      expect(stdout).toMatch(/After 2\.0 MB Wi-Fi loses its carrier:\n.*non-3gpp lost: /)
      expect(stdout).toMatch(/8\.0 MB have arrived in .*intact: yes\.\n.*the host's own address: yes/)
      expect(stdout).not.toMatch(/NO/)
      expect(stdout).toContain('demo-report/steering.svg')
      expect(readFileSync(report, 'utf8')).toMatch(/^<svg [\s\S]*Wi-Fi cut[\s\S]*<\/svg>\n$/)
    },
    300_000,
  )

  needs('says in one line what an ordinary user lacks', async () => {
    expect(await demo({ uid: 65534 })).toEqual({
      ...{ stdout: '', code: 1 },
      stderr: 'The demo makes network namespaces and needs root for that: sudo npm run demo\n',
    })
  })
})

needs.describe('the examples with a session', () => {
  let lab: Lab
  /** Interfaces, converter, host, port. */
  let args: string[]

  beforeAll(async () => {
    lab = await openLab()
    await lab.ue.sysctl('net.mptcp.pm_type', 1)
    const started = [
      lab.server.spawn(process.execPath, [...example('demo/server.ts'), '80']),
      lab.converter.spawn(process.execPath, [
        ...[join(project, 'dist/cli/main.js'), 'converter', '--json', '--listen', '0.0.0.0:5124'],
      ]),
    ]
    await Promise.all(started.map(child => new Program(child).line(() => true)))
    args = ['cell', 'wifi', `${lab.converterAddress.v4}:5124`, lab.serverAddress.v4, '80']
  })
  afterAll(() => lab?.close())

  test('2-rules: what becomes of which connection', async () => {
    const { stdout, stderr, code } = await lab.ue.run(process.execPath, [...example('2-rules.ts'), ...args])
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 })
    expect(stdout).toContain('steering level: userspace')
    expect(stdout).toMatch(/eu\.video\.example:443\n.*'?"?video.* matches[\s\S]*20 % over 3gpp/)
    expect(stdout).toMatch(/203\.0\.113\.7:443\n.*updates.* matches.*\n {2}first over non-3gpp;/)
    expect(stdout).toMatch(/connected over wifi \(mptcp\), rule "everything else"/)
    expect(stdout).toMatch(/1 live connection moved to "smallest-delay"/)
  })

  test('3-handover: one connection, whatever happens to Wi-Fi', async () => {
    const child = lab.ue.spawn(process.execPath, [...example('3-handover.ts'), ...args, '5'])
    let stdout = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    const ended = new Promise(resolve => child.once('close', resolve))
    const said = (text: string) => expect.poll(() => stdout, { timeout: 15_000 }).toContain(text)

    await said('create: non-3gpp is the active access')
    await lab.link('wifi').set({ carrier: false })
    await said('non-3gpp is lost: wifi has no carrier')
    await wait(500)
    await lab.link('wifi').set({ carrier: true })
    await said('non-3gpp is back')
    expect(await ended).toBe(0)
    expect(stdout).toMatch(/\n\d+ answers over 1 connection; the longest wait was \d+ ms\n$/)
  })

  test('4-incoming: curl in the data network opens the page; Wi-Fi lost, too', async () => {
    const address = lab.converterAddress.v4
    const converter = [join(project, 'dist/cli/main.js'), 'converter', '--json', '--listen', `${address}:5125`]
    await lab.ue.sysctl('net.ipv4.tcp_fastopen', 3)
    const running = lab.converter.spawn(process.execPath, [...converter, '--pcp', '--pcp-ports', '8080'])
    await new Program(running).line(() => true)
    const given = [...args.slice(0, 2), `${address}:5125`, '8080', '5']
    const child = lab.ue.spawn(process.execPath, [...example('4-incoming.ts'), ...given])
    let stdout = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    const ended = new Promise(resolve => child.once('close', resolve))
    const said = (text: string) => expect.poll(() => stdout, { timeout: 15_000 }).toContain(text)
    const open = () => lab.server.run('curl', ['-sS', '-m', '5', `http://${address}:8080/page`])

    await said(`made: http://${address}:8080/`)
    // A carrier that was lost before the session looked first is no change.
    await said('non-3gpp is back')
    expect(await open()).toMatchObject({ stdout: `hello ${lab.serverAddress.v4}\n` })
    await lab.link('wifi').set({ carrier: false })
    await said('non-3gpp is lost')
    expect(await open()).toMatchObject({ stdout: `hello ${lab.serverAddress.v4}\n` })
    expect(stdout.match(/GET \/page from 198\.51\.100\.2 port \d+/g)).toHaveLength(2)
    await lab.link('wifi').set({ carrier: true })
    expect(await ended).toBe(0)
  })

  test('9-mqtt-device: reports go on while Wi-Fi is cut', async () => {
    const server = [compiled('test/netns/programs/mqtt-broker.ts')]
    const broker = new Program(lab.server.spawn(process.execPath, server, { cwd: project }))
    await broker.event('ready')
    const [cellular, wifi, converter, host] = args
    const places = [cellular!, wifi!, converter!, host!]
    const child = lab.ue.spawn(process.execPath, [...example('9-mqtt-device.ts'), ...places])
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
    const ended = new Promise(resolve => child.once('close', resolve))
    await expect.poll(() => said, { timeout: 15_000 }).toContain('report 2 is there')
    await lab.link('wifi').set({ carrier: false })
    await expect.poll(() => said, { timeout: 15_000 }).toContain('report 5 is there')
    await lab.link('wifi').set({ carrier: true })
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
    expect(said.match(/connected to/g), said).toHaveLength(1)
    expect(said).toContain('non-3gpp lost: wifi has no carrier')
    expect(broker.lines.map(line => line.number)).toEqual(expect.arrayContaining([1, 2, 3, 4, 5]))
  })
})

function demo(as: { uid?: number } = {}): Promise<{ stdout: string; stderr: string; code: number | null }> {
  const child = spawn(process.execPath, example('demo.ts'), { cwd: project, ...as })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  return new Promise((resolve, reject) => {
    child.once('error', reject).once('close', code => resolve({ stdout, stderr, code }))
  })
}

/** The table's line that begins so. */
function row(text: string, begin: string): string {
  return text.split('\n').find(line => line.trim().startsWith(begin)) ?? ''
}
