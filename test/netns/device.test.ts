/**
 * The files of examples/device: systemd finds nothing wrong with its units, the kernel has the sysctls, and what the units run,
 * as the user and with the capabilities that they give, does what it is for.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Lab, openLab } from '../../lib/lab/index.js'
import { compiled } from '../support/compiled.js'
import { Program } from '../support/convert-lab.js'
import { all, mptcp, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { HELPER_GROUP, RunningHelper } from '../support/steering-helper.js'

const project = fileURLToPath(new URL('../../', import.meta.url))
const source = join(project, 'examples/device')
const read = (name: string) => readFileSync(join(source, name), 'utf8')
const units = ['device.service', 'converter.service']
const folder = mkdtempSync(join(tmpdir(), 'atsss-device-'))
afterAll(() => rmSync(folder, { recursive: true }))

requires('systemd-analyze', () =>
  spawnSync('systemd-analyze', ['--version']).status === 0 ? undefined : 'not installed',
).describe('systemd', () => {
  test.each(units)('%s is a unit', name => {
    const path = join(folder, name)
    writeFileSync(path, read(name).replaceAll('/usr/bin/node', process.execPath))
    const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', path], { encoding: 'utf8' })
    expect({ status, said: stdout + stderr }).toEqual({ status: 0, said: '' })
  })

  test('the helper has units, and is exposed to little', () => {
    for (const name of ['atsss-helper.service', 'atsss-helper.socket']) {
      const unit = readFileSync(join(project, 'native/helper/system', name), 'utf8')
      writeFileSync(join(folder, name), unit.replaceAll('/usr/local/lib/atsss/atsss-helper', process.execPath))
    }
    const paths = ['service', 'socket'].map(kind => join(folder, `atsss-helper.${kind}`))
    const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', ...paths], {
      encoding: 'utf8',
    })
    expect({ status, said: stdout + stderr }).toEqual({ status: 0, said: '' })
    // 1.1 of 10, in tenths: what is left is CAP_NET_ADMIN, the host's network, and the two address families.
    const judged = spawnSync('systemd-analyze', ['security', '--offline=true', '--threshold=12', paths[0]!])
    expect(judged.status).toBe(0)
  })

  test('finds a wrong one', () => {
    const path = join(folder, 'wrong.service')
    writeFileSync(path, read('device.service').replace('CapabilityBoundingSet', 'CapabilityBindingSet'))
    const { stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', path], { encoding: 'utf8' })
    expect(stdout + stderr).toContain('CapabilityBindingSet')
  })
})

const sysctls = (name: string) =>
  [...read(name).matchAll(/^-?([\w.]+) = (\w+)$/gm)].map(([, key, value]) => [key, value] as const)

requires('MPTCP', mptcp)('the sysctls are those of this kernel', () => {
  const names = ['90-atsss.conf', '91-atsss-converter.conf'].flatMap(sysctls).map(([key]) => key!)
  expect(names).toHaveLength(5)
  const here = (name: string) => existsSync(`/proc/sys/${name.replaceAll('.', '/')}`)
  // Two names of one setting: see pathManagerSetting.
  const either = ['net.mptcp.pm_type', 'net.mptcp.path_manager']
  for (const name of names) expect(either.includes(name) ? either.some(here) : here(name), name).toBe(true)
})

requires('MPTCP and network namespaces', all(mptcp, root, netns)).describe('the device', () => {
  let lab: Lab
  let helper: RunningHelper

  beforeAll(async () => {
    lab = await openLab()
    await lab.ue.sysctl('net.mptcp.pm_type', 1)
    helper = await RunningHelper.start(lab.ue)
    const converter = commandOf('converter.service')
      .replace(/^.*main\.js/, join(project, 'dist/cli/main.js'))
      .replace('203.0.113.0/24', '10.0.0.0/8')
      .split(' ')
    const started = [
      lab.server.spawn(process.execPath, [compiled('test/netns/programs/library-server.ts')]),
      lab.converter.spawn('setpriv', [...asIn('converter.service'), process.execPath, ...converter, '--json']),
    ]
    await Promise.all(started.map(child => new Program(child).line(() => true)))
    // As it is installed: the application's own folder, with the package in it.
    cpSync(source, folder, { recursive: true })
    mkdirSync(join(folder, 'node_modules'))
    symlinkSync(project, join(folder, 'node_modules/atsss'))
    writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }')
    const config = read('atsss.json').replace('wwan0', 'cell').replace('wlan0', 'wifi')
    writeFileSync(join(folder, 'atsss.json'), JSON.stringify({ ...JSON.parse(config), helper: helper.path }))
    spawnSync('chmod', ['-R', 'a+rX', folder])
  })
  afterAll(async () => {
    await helper?.stop()
    await lab?.close()
  })

  describe('device.service', () => {
    test('an unmodified application: its reports go on when Wi-Fi is cut', async () => {
      const { said, stop } = device()
      await expect.poll(said, { timeout: 20_000 }).toMatch(/report 2: 200/)
      expect((await lab.link('wifi').stats()).uplink.bytes).toBeGreaterThan(1000)
      const before = (await lab.link('cell').stats()).uplink.bytes
      await lab.link('wifi').set({ carrier: false })
      const [, last] = [...said().matchAll(/report (\d+): 200/g)].at(-1)!
      await expect.poll(said, { timeout: 20_000 }).toMatch(new RegExp(`report ${Number(last) + 3}: 200`))
      await stop()
      await lab.link('wifi').set({ carrier: true })
      expect((await lab.link('cell').stats()).uplink.bytes).toBeGreaterThan(before)
      expect(said()).not.toMatch(/report \d+: (?!200)/)
      expect(said()).not.toMatch(/degraded \(level\)|AtsssWarning/)
    })

    test('outside of the group it says what it cannot do', async () => {
      const { said, stop } = device(/^SupplementaryGroups=atsss$/gm)
      await expect.poll(said, { timeout: 20_000 }).toMatch(/report 1: 200/)
      await expect.poll(said, { timeout: 20_000 }).toMatch(/CAP_NET_ADMIN.*usermod -aG atsss/)
      await stop()
    })
  })

  /** What the unit runs, as it would be run; `without` takes lines of it away. */
  function device(without?: RegExp) {
    const unit = without ? read('device.service').replace(without, '') : read('device.service')
    const args = commandOf('device.service').split(' ').slice(1)
    const env = {
      ...{ ATSSS_CONFIG: join(folder, 'atsss.json'), NODE_DEBUG: 'atsss', REPORT_EVERY_MS: '300' },
      REPORT_URL: `http://${lab.serverAddress.v4}/`,
    }
    const options = { cwd: folder, env: { ...process.env, ...env } }
    const child = lab.ue.spawn('setpriv', [...asIn('device.service', unit), process.execPath, ...args], options)
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (some: string) => (text += some))
    child.stderr.setEncoding('utf8').on('data', (some: string) => (text += some))
    const ended = new Promise(resolve => child.once('close', resolve))
    const stop = async () => {
      child.kill('SIGTERM')
      await ended
    }
    return { said: () => text, stop }
  }
})

function commandOf(unit: string): string {
  const [, command] = /^ExecStart=(.*)$/m.exec(read(unit)) ?? []
  return command!
}

/** `setpriv`'s options for what systemd would do. */
function asIn(name: string, unit = read(name)): string[] {
  expect(unit).toMatch(/^DynamicUser=yes$/m)
  expect(unit).toMatch(/^NoNewPrivileges=yes$/m)
  const set = (key: string) => {
    const [, value = ''] = new RegExp(`^${key}=(.*)$`, 'm').exec(unit) ?? []
    return [
      '-all',
      ...value
        .split(' ')
        .filter(Boolean)
        .map(cap => `+${cap.toLowerCase().replace('cap_', '')}`),
    ].join()
  }
  const ambient = set('AmbientCapabilities')
  const groups = /^SupplementaryGroups=atsss$/m.test(unit) ? `--groups=${HELPER_GROUP}` : '--clear-groups'
  const user = ['--reuid=65534', '--regid=65534', groups, '--no-new-privs']
  return [
    ...user,
    `--inh-caps=${ambient}`,
    `--ambient-caps=${ambient}`,
    `--bounding-set=${set('CapabilityBoundingSet')}`,
  ]
}
