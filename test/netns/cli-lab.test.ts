import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { start } from '../cli/atsss.js'
import { all, mptcp, mptcpFastOpen, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { asUser, HELPER_GROUP, helperProgram } from '../support/steering-helper.js'

const labTest = requires(
  'network namespaces and MPTCP and Fast Open on MPTCP sockets',
  all(root, netns, mptcp, mptcpFastOpen),
)
const BUILT = [process.execPath, 'dist/cli/main.js'] as const
const atsss = `${BUILT.join(' ')}`

const directory = mkdtempSync(join(tmpdir(), 'atsss-lab-'))
afterAll(() => rmSync(directory, { recursive: true }))

const lab = (...args: string[]) => start(['lab', ...args], {}, BUILT)

labTest('a command as the UE: over both accesses, through the converter; its status is passed on', async () => {
  const get = `printf 'GET /bytes/300000 HTTP/1.0\\r\\n\\r\\n' | ${atsss} connect -v 198.51.100.2 80 | wc -c; exit 7`
  // What is preloaded is for the command: the lab's own converter would connect through this one, which is nowhere.
  const preloaded = {
    NODE_OPTIONS: `--require=${resolve('dist/preload/require.cjs')}`,
    ATSSS_CONVERTER: '203.0.113.9:1',
  }
  const { status, stdout, stderr } = await start(['lab', '--quiet', '--', 'sh', '-c', get], preloaded, BUILT).ended
  expect(Number(stdout)).toBeGreaterThan(300_000)
  expect(stderr).toMatch(
    /connected after \d+ ms: MPTCP to 198\.51\.100\.2 port 80, through the converter 192\.0\.2\.1:5124, 0-RTT, on wifi/,
  )
  expect(status).toBe(7)
})

labTest('ping: the round trip of each access; what is lost on one of them', async () => {
  const ping = `${atsss} ping --count 4 --interval 0.1 --timeout 3000 --json`
  const { status, stdout } = await lab('--quiet', '--', 'sh', '-c', `${ping}; ip link set cell down; ${ping}`).ended
  expect(status).toBe(1)
  const summaries = stdout.split('\n').flatMap(line => (line.includes('"summary"') ? JSON.parse(line).summary : []))
  const of = (access: string) => summaries.filter(one => one.access === access)
  // 2 x 10 ms and 2 x 30 ms; of a busy machine the emulated links are not exact.
  expect(of('non-3gpp')).toMatchObject([{ interface: 'wifi', answered: 4, lossPercent: 0 }, { answered: 4 }])
  expect(of('3gpp')).toMatchObject([
    { interface: 'cell', answered: 4 },
    { sent: 4, answered: 0, lossPercent: 100 },
  ])
  expect(of('non-3gpp')[0].minMs).toBeGreaterThan(15)
  expect(of('3gpp')[0].minMs).toBeGreaterThan(45)
})

labTest('a command ended by a signal, and one that is not there', async () => {
  const [killed, missing] = await Promise.all([
    lab('--quiet', '--', 'sh', '-c', 'kill -TERM $$').ended,
    lab('--quiet', '--', 'no-such-program').ended,
  ])
  expect(killed.status).toBe(128 + 15)
  expect(missing.status).not.toBe(0)
  expect(missing.stderr).toContain('no-such-program')
})

labTest('a kernel without MPTCP: it says so, and which one is needed', async () => {
  // As such a kernel has it: nothing is in that folder.
  const hidden = 'mount -t tmpfs none /proc/sys/net/mptcp && exec "$@"'
  const program = ['unshare', '-m', 'sh', '-c', hidden, 'sh', ...BUILT]
  const { status, stderr } = await start(['lab', '--quiet', '--', 'true'], {}, program).ended
  expect(stderr).toContain('The lab needs a kernel with MPTCP')
  expect(stderr).toContain('Linux 5.16 or later')
  expect(status).toBe(1)
})

labTest('without a command: it prints how to use it, and ^C removes it', async () => {
  const running = lab('--json', '--profile', 'train')
  const open = await line(running, /"event":"open"/)
  expect(open).toMatchObject({
    accesses: [
      { name: 'wifi', access: 'non-3gpp' },
      { name: 'cell', access: '3gpp' },
    ],
    converter: { v4: '192.0.2.1', port: 5124 },
    config: { accesses: { '3gpp': 'cell', 'non-3gpp': 'wifi' }, converters: '192.0.2.1:5124', watch: true },
  })
  const { ue } = (open as { namespaces: { ue: string } }).namespaces
  const ping = [
    'netns',
    'exec',
    ue,
    process.execPath,
    'dist/cli/main.js',
    'doctor',
    '--json',
    '--interface',
    'wifi',
    '--converter',
    '192.0.2.1:5124',
  ]
  const { stdout } = spawnSync('ip', ping, { encoding: 'utf8' })
  const path = JSON.parse(stdout).findings.find(({ id }: { id: string }) => id === 'path-wifi')
  expect(path).toMatchObject({ state: 'good', found: expect.stringContaining('Convert answered (0-RTT)') })
  running.child.kill('SIGINT')
  expect((await running.ended).status).toBe(0)
  expect(existsSync(`/run/netns/${ue}`)).toBe(false)
})

labTest("one's own topology: its trace changes the links while a command runs", async () => {
  const topology = join(directory, 'lab.json')
  const trace = [{ at: 2, link: 'wlan', set: { carrier: false }, note: 'out of reach' }]
  const accesses = [
    { name: 'wlan', access: 'non-3gpp', link: { rateMbps: 10 } },
    { name: 'modem', access: '3gpp', link: { delayMs: 5 } },
  ]
  writeFileSync(topology, JSON.stringify({ accesses, trace }))
  const carrier = '/sys/class/net/wlan/carrier'
  const script = `cat ${carrier}; while grep -q 1 ${carrier}; do sleep 0.1; done; cat ${carrier}`
  const { status, stdout, stderr } = await lab('--topology', topology, '--', 'sh', '-c', script).ended
  expect([status, stdout]).toEqual([0, '1\n0\n'])
  expect(stderr).toContain('wlan: out of reach')
})

test('a topology that cannot be, and a profile that there is not', async () => {
  const topology = join(directory, 'wrong.json')
  writeFileSync(topology, '{"trace":[{"at":0,"link":"wlan","set":{}}]}')
  const [file, profile] = await Promise.all([lab('--topology', topology).ended, lab('--profile', 'trai').ended])
  expect([file.status, profile.status]).toEqual([1, 2])
  expect(file.stderr).toContain(`atsss lab: --topology ${topology}: trace[0].link: must be 'wifi', 'cell' or 'data'`)
  expect(profile.stderr).toContain(
    "--profile must be one of wifi+lte, wifi+5g, train; it is 'trai'; did you mean train?",
  )
})

/** A command of an ordinary user, as the UE; the steering helper is there. */
function unprivileged(...command: string[]): string[] {
  const socket = join(directory, 'helper.sock')
  const script = `
    ${helperProgram} --socket ${socket} --group ${HELPER_GROUP} 2>${directory}/helper.log & helper=$!
    until [ -S ${socket} ]; do sleep 0.02; done
    export ATSSS_CONFIG=$(echo "$ATSSS_CONFIG" | sed 's#}$#,"helper":"${socket}"}#')
    ${asUser(61_001).join(' ')} "$@"
    status=$?; kill $helper; exit $status`
  chmodSync(directory, 0o755)
  return ['sh', '-c', script, 'sh', ...command]
}

labTest(
  'bench, of an ordinary user: each access alone is used alone, both together, and a handover goes over, in both directions',
  async () => {
    const urls = ['--upload', 'http://198.51.100.2/upload', 'http://198.51.100.2/bytes/1000000000']
    const { status, stdout, stderr } = await lab(
      '--quiet',
      '--',
      ...unprivileged(...BUILT, 'bench', '--json', '--seconds', '2', ...urls),
    ).ended
    expect([status, stderr.replace(/^measuring .* …\n/gm, '')]).toEqual([0, ''])
    const { measurements } = JSON.parse(stdout)
    for (const { bytes, level } of measurements) {
      expect(bytes).toBeGreaterThan(100_000)
      expect(level).toBe('userspace')
    }
    for (const direction of ['down', 'up']) {
      const of = (name: string) =>
        measurements.find((each: Record<string, unknown>) => each.name === name && each.direction === direction)
      expect(of('3gpp alone').share).toEqual({ '3gpp': 100, 'non-3gpp': 0 })
      expect(of('non-3gpp alone').share).toEqual({ '3gpp': 0, 'non-3gpp': 100 })
      for (const access of ['3gpp', 'non-3gpp']) {
        expect(of('both together').share[access]).toBeGreaterThan(5)
        expect(of(`handover to ${access}`).share[access]).toBeGreaterThan(5)
        expect(of(`handover to ${access}`).share[access]).toBeLessThan(95)
      }
    }
  },
)

labTest('bench: what takes no upload', async () => {
  const urls = ['--upload', 'http://198.51.100.2/nothing', 'http://198.51.100.2/bytes/1000000000']
  const { status, stderr } = await lab('--quiet', '--', ...BUILT, 'bench', '--seconds', '1', ...urls).ended
  expect(status).toBe(2)
  expect(stderr).toContain(
    'http://198.51.100.2/nothing answered an upload with status 404 before its end: give a URL that',
  )
})

labTest('bench: what is no download', async () => {
  const [missing, small, none] = await Promise.all([
    lab('--quiet', '--', ...BUILT, 'bench', 'http://198.51.100.2/nothing').ended,
    lab('--quiet', '--', ...BUILT, 'bench', 'http://198.51.100.2/bytes/10').ended,
    lab('--quiet', '--', ...BUILT, 'bench', 'ftp://198.51.100.2/').ended,
  ])
  expect([missing.status, small.status, none.status]).toEqual([2, 2, 2])
  expect(small.stderr).toContain('http://198.51.100.2/bytes/10 has 10 bytes, which is too little to measure')
  expect(missing.stderr).toContain('http://198.51.100.2/nothing answered with status 404: give the URL of a large file')
  expect(none.stderr).toContain("the URL must begin with http:// or https://; it is 'ftp://198.51.100.2/'")
})

/**
 * As another user: `setpriv` leaves no privilege behind. /dev/net/tun is open to all, as udev has it, whatever this machine's
 * is like: in a mount namespace of the command's own.
 */
const OPEN_TUN = 'mount -t tmpfs tmpfs "$0" && mknod -m 0666 "$0/tun" c 10 200 && mount --bind "$0/tun" /dev/net/tun'
const devices = mkdtempSync(join(tmpdir(), 'atsss-lab-devices-'))
afterAll(() => rmSync(devices, { recursive: true }))
const UNPRIVILEGED = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--inh-caps=-all']
const NOBODY = ['unshare', '--mount', 'sh', '-c', `${OPEN_TUN} && exec "$@"`, devices, ...UNPRIVILEGED]
const userNamespaces = () => {
  const [command, ...args] = [...NOBODY, 'unshare', '-Urnm', 'test', '-w', '/dev/net/tun'] as const
  const { status, stderr } = spawnSync(command!, args, { encoding: 'utf8' })
  return status === 0 ? undefined : stderr.trim() || '/dev/net/tun cannot be opened to users'
}

requires('user namespaces', all(root, netns, mptcp, userNamespaces))(
  'as another user: in a user namespace',
  async () => {
    // Root's folders of /tmp are no folders of this user.
    const script = `id -u; test -O "$XDG_RUNTIME_DIR" && test -O "$TMPDIR" || exit 4; printf 'GET /bytes/20 HTTP/1.0\\r\\n\\r\\n' | ${atsss} connect -v 198.51.100.2 80; exit 3`
    const { status, stdout, stderr } = await start(['lab', '--quiet', '--', 'sh', '-c', script], {}, [
      ...NOBODY,
      ...BUILT,
    ]).ended
    expect(stderr).toContain('MPTCP to 198.51.100.2 port 80, through the converter')
    expect(stdout).toMatch(/^0\nHTTP\/1\.1 200 OK\r\n[\s\S]*The quick brown fox $/)
    expect(status).toBe(3)
  },
)

requires('user namespaces', all(root, netns, mptcp, userNamespaces))(
  'as another user: the page of a user namespace is on the loopback that the user has',
  async () => {
    const running = start(['lab', '--json', '--web'], {}, [...NOBODY, ...BUILT])
    const { url } = (await line(running, /"event":"view"/)) as { url: string }
    const { status, body } = await fetch(new URL(`/events${new URL(url).search}`, url))
    expect(status).toBe(200)
    let text = ''
    for await (const chunk of body!.pipeThrough(new TextDecoderStream())) {
      text += chunk
      if (/event: moment.*\n.*"connections":\[\{/.test(text)) break
    }
    expect(text).toContain('"name":"wifi"')
    running.child.kill('SIGINT')
    expect((await running.ended).status).toBe(0)
  },
)

labTest('as another user where user namespaces are forbidden: what to do', async () => {
  const forbidding = [...UNPRIVILEGED, 'env', `PATH=${directory}:/usr/bin:/bin`, ...BUILT]
  writeFileSync(
    join(directory, 'unshare'),
    '#!/bin/sh\necho "unshare: unshare failed: Operation not permitted" >&2; exit 1\n',
    { mode: 0o755 },
  )
  spawnSync('chmod', ['755', directory])
  const { status, stderr } = await start(['lab', '--', 'true'], {}, forbidding).ended
  expect(status).toBe(1)
  expect(stderr).toContain('the lab needs root (sudo), or user namespaces, which this system does not allow')
  expect(stderr).toContain('sysctl -w user.max_user_namespaces=')
})

/** The first line of its output that is so, as JSON. */
async function line(running: { stdout: string; stderr: string }, pattern: RegExp): Promise<unknown> {
  for (;;) {
    const found = running.stdout
      .split('\n')
      .slice(0, -1)
      .find(text => pattern.test(text))
    if (found !== undefined) return JSON.parse(found)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

labTest('--web: a page of the lab’s own application, whose links it changes; gone with ^C', async () => {
  const running = lab('--json', '--web')
  const { url } = (await line(running, /"event":"view"/)) as { url: string }
  const page = new URL(url)
  const withToken = (path: string) => new URL(`${path}${page.search}`, page)
  const cut = (carrier: boolean) =>
    fetch(withToken('/link'), {
      method: 'POST',
      body: JSON.stringify({ name: 'wifi', change: { carrier } }),
    })
  const moments = (await fetch(withToken('/events'))).body!
  let last:
    | {
        accesses: { access: string; state: string }[]
        connections: object[]
        moment: { rates: Record<string, { down: number }> }
      }
    | undefined
  const reading = (async () => {
    let text = ''
    for await (const chunk of moments.pipeThrough(new TextDecoderStream())) {
      text += chunk
      const frames = text.split('\n\n')
      text = frames.pop()!
      for (const frame of frames)
        if (frame.startsWith('event: moment')) last = JSON.parse(/^data: (.*)$/m.exec(frame)![1]!)
    }
  })().catch(() => {})
  const wifi = () => last?.accesses.find(({ access }) => access === 'non-3gpp')?.state
  await expect.poll(() => last?.connections.length, { timeout: 15_000 }).toBe(3)
  expect(wifi()).toBe('available')
  expect((await cut(false)).status).toBe(204)
  await expect.poll(wifi, { timeout: 10_000 }).toBe('lost')
  await expect
    .poll(() => JSON.stringify(last?.connections), { timeout: 10_000 })
    .toMatch(/"title":"Cellular","kind":"in use"/)
  // The download goes as fast as it can: more than the 15 Mbit/s of the film.
  const fast = await fetch(withToken('/download'), { method: 'POST', body: '{"isFast":true}' })
  expect(fast.status).toBe(204)
  await expect
    .poll(
      () => Math.max(...(last?.moment ? ['3gpp', 'non-3gpp'].map(access => last!.moment.rates[access]!.down) : [0])),
      { timeout: 10_000 },
    )
    .toBeGreaterThan(16.5e6)
  expect((await cut(true)).status).toBe(204)
  await expect.poll(wifi, { timeout: 10_000 }).toBe('available')
  running.child.kill('SIGINT')
  expect((await running.ended).status).toBe(0)
  await reading
})
