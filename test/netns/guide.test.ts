/** docs/guide.md, typed as it stands: in the lab, and on a laptop with two networks and a converter elsewhere. */
import { once } from 'node:events'
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest'
import { pathManagerSetting } from '../../lib/runtime/kernel/sysctl.js'
import { start } from '../cli/atsss.js'
import { type Laptop, openLaptop, SERVER } from '../support/laptop.js'
import { all, mptcp, mptcpFastOpen, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { asUser, RunningHelper } from '../support/steering-helper.js'

/** As this kernel calls it. */
const userspace = pathManagerSetting('userspace')!

const labTest = requires(
  'network namespaces and MPTCP and Fast Open on MPTCP sockets',
  all(root, netns, mptcp, mptcpFastOpen),
)
const project = fileURLToPath(new URL('../../', import.meta.url))
const guide = readFileSync(join(project, 'docs/guide.md'), 'utf8')
const directory = mkdtempSync(join(tmpdir(), 'atsss-guide-'))
afterAll(() => rmSync(directory, { recursive: true }))

/** The blocks of code under a heading. */
function under(heading: string, language = 'sh'): string[] {
  const [, ...sections] = guide.split(new RegExp(`^#+ ${heading}$`, 'm'))
  const [section] = sections[0]!.split(/^#+ /m)
  const found = [...section!.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
    ([, text]) => text!,
  )
  expect(found.length).toBeGreaterThan(0)
  return found
}

/** The one line that has this. */
function command(heading: string, word: string): string {
  const lines = under(heading).flatMap(block => block.split('\n').filter(line => line.includes(word)))
  expect(lines, word).toHaveLength(1)
  return here(lines[0]!)
}

/** Of this checkout, by whoever runs the test, and with the lab's server for the Internet's. */
function here(line: string): string {
  return line
    .replaceAll('npx atsss', `${process.execPath} ${join(project, 'dist/cli/main.js')}`)
    .replaceAll('npx tsx', `${process.execPath} --import tsx`)
    .replaceAll(/\bsudo /g, '')
    .replaceAll('example.com', SERVER)
    .replaceAll('examples/device', join(project, 'examples/device'))
}

const shell = (line: string) => start(['-c', line], {}, ['bash']).ended

labTest.describe('the lab only', () => {
  const lines = under('The lab only').flatMap(block => block.trim().split('\n'))

  labTest('doctor finds nothing bad', async () => {
    const { status, stdout } = await shell(here(lines[0]!))
    expect(stdout).toMatch(/Converter 192\.0\.2\.1:5124 over cell: reachable/)
    expect(stdout).toMatch(/Converter 192\.0\.2\.1:5124 over wifi: reachable/)
    expect(stdout).toMatch(/, 0 bad\n$/)
    expect(status).toBe(0)
  })

  labTest('explain says a rule', async () => {
    const { status, stdout } = await shell(here(lines[1]!))
    expect(stdout).toMatch(/matches/)
    expect(status).toBe(0)
  })

  labTest('the third makes a connection, and says what the guide says', async () => {
    const { status, stdout, stderr } = await shell(here(lines[2]!))
    expect(stdout).toMatch(/^HTTP\/1\.[01] 200/)
    const [, said] = /^```\n(connected after .*)\n```$/m.exec(guide) ?? []
    expect(stderr.replace(/after \d+ ms/, 'after 45 ms')).toContain(said)
    expect(status).toBe(0)
  })

  labTest(
    'one connection on the train',
    async () => {
      const { status, stdout } = await shell(here(lines[3]!).replace(/60$/, '16'))
      expect(stdout).toMatch(/non-3gpp is lost/)
      expect(stdout).toMatch(/\d+ answers over 1 connection;/)
      expect(status).toBe(0)
    },
    90_000,
  )
})

labTest.describe('a laptop with two networks', () => {
  let laptop: Laptop
  const on = (line: string) => laptop.run('laptop', 'bash', '-c', `cd ${directory} && ${line}`)

  beforeAll(() => {
    laptop = openLaptop()
    writeFileSync(join(directory, 'atsss.json'), under('The first connection', 'json')[0]!)
    // `run` takes the configuration beside the nearest package.json: here there is one.
    cpSync(join(project, 'package.json'), join(directory, 'package.json'))
    const answer = "require('http').createServer((_, response) => response.end('hello')).listen(80)"
    laptop.spawn('internet', process.execPath, '-e', answer)
  })
  afterAll(() => laptop?.[Symbol.asyncDispose]())

  labTest(
    'the guide, from its converter to its handover',
    async () => {
      const converter = command('The converter', 'atsss converter').replace('203.0.113.0/24', '10.0.0.0/8')
      const running = laptop.spawn('internet', 'bash', '-c', `exec ${converter}`)
      await once(running.stdout, 'data')

      // As a laptop may be at first.
      await on('ip route del default dev usb0; echo 1 > /proc/sys/net/ipv4/conf/usb0/rp_filter')
      const doctor = command('The accesses', 'atsss doctor --3gpp')
      const before = await on(doctor)
      expect(before.status).toBe(1)
      expect(before.stdout).toContain('sysctl -w net.ipv4.conf.usb0.rp_filter=2')
      expect(before.stdout).toContain(`sysctl -w ${userspace.name}=${userspace.value}`)

      for (const [index, block] of under('The accesses').slice(1).entries())
        for (const line of block.trim().split('\n')) {
          const { status, stderr } = await on(here(line))
          expect({ index, line, status, stderr }).toEqual({ index, line, status: 0, stderr: '' })
        }
      const after = await on(doctor)
      expect(after.stdout).toMatch(
        /Converter 192\.0\.2\.1:5124 over usb0: reachable, .*Convert answered \(0-RTT\): not-authorized/,
      )
      expect(after.stdout).toMatch(/, 0 bad\n/)
      expect(after.status).toBe(0)

      // From here on as an ordinary user, with what the service runs that this installs.
      expect(command('The helper', 'atsss helper')).toContain('helper install --yes')
      const helper = await RunningHelper.start({ spawn: (name, args) => laptop.spawn('laptop', name, ...args) })
      onTestFinished(() => helper.stop())
      const config = JSON.parse(under('The first connection', 'json')[0]!)
      writeFileSync(join(directory, 'atsss.json'), JSON.stringify({ ...config, helper: helper.path }))
      chmodSync(directory, 0o755)
      const me = asUser(61_001)
      const mine = (line: string) =>
        laptop.run('laptop', me[0]!, ...me.slice(1), 'bash', '-c', `cd ${directory} && ${line}`)

      const explained = await mine(command('The first connection', 'atsss explain'))
      expect(explained.stdout).toMatch(/non-3gpp/)
      const first = await mine(command('The first connection', 'atsss connect'))
      expect(first.stdout).toMatch(/^HTTP\/1\.[01] 200/)
      expect(first.stderr).toMatch(
        /MPTCP to 198\.51\.100\.2 port 80, through the converter 192\.0\.2\.1:5124, 0-RTT, on wlan0/,
      )

      const app = laptop.spawn(
        'laptop',
        me[0]!,
        ...me.slice(1),
        'bash',
        '-c',
        `cd ${directory} && exec env ${command('The handover', 'atsss run')}`,
      )
      let said = ''
      app.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
      app.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
      const ended = once(app, 'close')
      try {
        await expect.poll(() => said, { timeout: 20_000 }).toContain('report 3: 200')
        const watch = `${command('The handover', 'atsss watch')} --once`
        const seen = await mine(watch)
        expect(seen.stderr).toBe('')
        expect(seen.stdout).toMatch(/wlan0/)
        await on(command('The handover', 'ip link set wlan0 down'))
        const [, last] = [...said.matchAll(/report (\d+): 200/g)].at(-1)!
        await expect.poll(() => said, { timeout: 20_000 }).toContain(`report ${Number(last) + 4}: 200`)
        expect((await mine(watch)).stdout).toMatch(/usb0/)
        expect(said).not.toMatch(/report \d+: (?!200)/)
      } finally {
        app.kill('SIGTERM') // which `run` passes on; it would outlive the laptop otherwise
        await ended
      }
    },
    90_000,
  )
})
