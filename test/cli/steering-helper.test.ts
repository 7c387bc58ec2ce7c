/** `atsss helper`: what its installation would do, and what it does to files. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { installation } from '../../lib/cli/steering-helper/installation.js'
import { root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { helperProgram } from '../support/steering-helper.js'
import { atsss, PROGRAM, start } from './atsss.js'

const folder = mkdtempSync(join(tmpdir(), 'atsss-install-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('install prints each step, with the files, and does nothing', async () => {
  const { status, stdout } = await atsss(['helper', 'install', '--allow-interface', 'wlan0', '--user', 'alice'])
  expect(status).toBe(0)
  for (const step of [
    'install -D -m 755',
    'usermod -aG atsss alice',
    '-net.mptcp.path_manager = userspace',
    'ListenSequentialPacket=/run/atsss/helper.sock',
    'ExecStart=/usr/local/lib/atsss/atsss-helper --allow-interface wlan0\n',
    'systemctl enable --now atsss-helper.socket',
  ])
    expect(stdout).toContain(step)
  expect(stdout).toMatch(/Nothing was changed/)
})

test.each([
  ['a verb that there is not', ['helper', 'remove'], 'unknown word: remove'],
  ['an interface that is none', ['helper', 'install', '--allow-interface', 'a b'], "needs an interface's name"],
  ['no number', ['helper', 'install', '--sockets', '0'], 'needs a number'],
  ['a socket, which systemd has', ['helper', 'install', '--socket', '/x'], 'no effect with "install"'],
  ['--yes without install', ['helper', '--yes'], 'belongs to "install"'],
])('%s: a wrong command line', async (_, args, words) => {
  const { status, stderr } = await atsss(args)
  expect(stderr).toContain(words)
  expect(status).toBe(2)
})

test('the files, and a program that nobody but root can change, in place of one that may be running', () => {
  const steps = installation(helperProgram, ['--sockets', '9'], [], folder)
  const program = join(folder, 'usr/local/lib/atsss/atsss-helper')
  const files = steps.filter(({ command }) => /^(install|cat) /.test(command))
  expect(files).toHaveLength(5)
  for (const { act } of files) act()
  writeFileSync(program, 'an old one')
  for (const { act } of files) act()
  expect(statSync(program).mode & 0o777).toBe(0o755)
  expect(readFileSync(program).equals(readFileSync(helperProgram))).toBe(true)
  expect(existsSync(`${program}.new`)).toBe(false)
  expect(readFileSync(join(folder, 'etc/systemd/system/atsss-helper.service'), 'utf8')).toContain(
    'atsss-helper --sockets 9',
  )
  expect(readFileSync(join(folder, 'etc/sysusers.d/atsss-helper.conf'), 'utf8')).toContain('g atsss -')
})

requires('root', root)('without root: it says what to do, and does nothing', async () => {
  const program = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', ...PROGRAM]
  const [helper, doctor] = await Promise.all([
    start(['helper', 'install', '--yes'], {}, program).ended,
    start(['doctor', '--fix', '--yes'], {}, program).ended,
  ])
  expect(helper).toMatchObject({
    ...{
      status: 1,
      stdout: '',
      stderr: 'atsss helper: the installation needs root: sudo npx atsss helper install --yes\n',
    },
  })
  expect(doctor.stdout).toMatch(/^failed: .*needs root: sudo npx atsss /m)
})
