import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { Finding } from '../../lib/cli/doctor/finding.js'
import { pathManagerSetting } from '../../lib/runtime/kernel/sysctl.js'
import { cert, key } from '../support/certificate.js'
import { CONVERTER, type Laptop, openLaptop, SERVER } from '../support/laptop.js'
import { all, mptcp, mptcpFastOpen, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'

/** As this kernel calls it. */
const userspace = pathManagerSetting('userspace')!

const laptopTest = requires(
  'network namespaces and MPTCP and Fast Open on MPTCP sockets',
  all(root, netns, mptcp, mptcpFastOpen),
)

/** Answers every connection with what it got, once the client has ended its side. */
const ANSWER = `
  require('net').createServer({ allowHalfOpen: true }, socket => {
    const chunks = []
    socket.on('data', chunk => chunks.push(chunk)).on('error', () => {})
    socket.on('end', () => socket.end('got ' + Buffer.concat(chunks)))
  }).listen(8080, '${SERVER}', () => console.log('ready'))
`
const PLACE = `${CONVERTER}:5124`
const ACCESSES = ['--3gpp', 'usb0', '--non-3gpp', 'wlan0', '--converter', PLACE]

laptopTest.describe('atsss on a laptop with two networks', () => {
  let laptop: Laptop

  beforeAll(async () => {
    laptop = openLaptop()
    const server = laptop.spawn('internet', process.execPath, '-e', ANSWER)
    const converter = laptop.spawn('internet', process.execPath, 'dist/cli/main.js', 'converter', '--listen', PLACE)
    await Promise.all([once(server.stdout, 'data'), once(converter.stdout, 'data')])
  })
  afterAll(() => laptop?.[Symbol.asyncDispose]())

  const doctor = async (...args: string[]) => {
    const { status, stdout, stderr } = await laptop.atsss('doctor', '--json', ...args)
    expect(stderr).toMatch(/^(trying .* …\n)*$/) // what takes more than two seconds
    const { findings } = JSON.parse(stdout) as { findings: Finding[] }
    return { status, findings, of: (id: string) => findings.find(finding => finding.id === id) }
  }

  describe('doctor', () => {
    test('finds the interfaces, the routes, and the way to the converter over each access', async () => {
      const { status, of } = await doctor(...ACCESSES, '--destination', `${SERVER}:8080`)
      expect(of('interfaces')).toMatchObject({
        state: 'good',
        found: expect.stringContaining('wlan0 (virtual, 10.1.0.2/24'),
      })
      expect(of('route-usb0')).toMatchObject({ state: 'good', found: expect.stringContaining('10.2.0.1 (metric 200)') })
      for (const device of ['wlan0', 'usb0'])
        expect(of(`path-${device}`)).toMatchObject({
          state: 'good',
          found: expect.stringMatching(
            /^reachable, RTT \d+\.\d ms; MPTCP kept; SYN data acknowledged; Convert answered \(0-RTT\): connected$/,
          ),
        })
      expect(status).toBe(0)
    })

    test('strict filters and a missing route', async () => {
      await laptop.run(
        'laptop',
        'sh',
        '-c',
        'echo 1 > /proc/sys/net/ipv4/conf/usb0/rp_filter; ip route del default dev usb0',
      )
      try {
        const { status, of } = await doctor(...ACCESSES)
        expect(of('rp-filter-usb0')).toMatchObject({
          state: 'warning',
          fixes: [{ command: 'sysctl -w net.ipv4.conf.usb0.rp_filter=2' }],
        })
        expect(of('route-usb0')).toMatchObject({ state: 'bad', found: 'none' })
        expect(of('path-usb0')).toMatchObject({
          state: 'bad',
          found: expect.stringContaining('not reachable: '),
          why: 'fix this first: Default route over usb0 (none)',
        })
        expect(of('path-wlan0')).toMatchObject({ state: 'good' })
        expect(status).toBe(1)
      } finally {
        const back =
          'echo 0 > /proc/sys/net/ipv4/conf/usb0/rp_filter; ip route add default via 10.2.0.1 dev usb0 metric 200'
        await laptop.run('laptop', 'sh', '-c', back)
      }
    })

    test('MPTCP switched off: that is what to fix, and not the converter', async () => {
      await laptop.run('laptop', 'sh', '-c', 'echo 0 > /proc/sys/net/mptcp/enabled')
      try {
        const { status, of } = await doctor(...ACCESSES)
        expect(of('mptcp')).toMatchObject({ state: 'bad', fixes: [{ command: 'sysctl -w net.mptcp.enabled=1' }] })
        for (const device of ['wlan0', 'usb0'])
          expect(of(`path-${device}`)).toMatchObject({
            why: expect.stringMatching(/^fix this first: MPTCP/),
            fixes: [],
          })
        expect(status).toBe(1)
      } finally {
        await laptop.run('laptop', 'sh', '-c', 'echo 1 > /proc/sys/net/mptcp/enabled')
      }
    })

    test('a converter that is not there', async () => {
      const { status, of } = await doctor('--converter', `${CONVERTER}:5999`)
      expect(of('path-default')).toMatchObject({ state: 'bad', found: expect.stringContaining('ECONNREFUSED') })
      expect(status).toBe(1)
    })

    test('a converter whose host does not take the data of SYNs', async () => {
      await laptop.run('internet', 'sh', '-c', 'echo 0 > /proc/sys/net/ipv4/tcp_fastopen')
      try {
        const { of } = await doctor('--interface', 'usb0', '--converter', PLACE)
        expect(of('path-usb0')).toMatchObject({
          state: 'warning',
          found: expect.stringMatching(
            /MPTCP kept; no answer to a message in the SYN; Convert answered \(1-RTT\): not-authorized$/,
          ),
          fixes: [{ command: 'sysctl -w net.ipv4.tcp_fastopen=3' }],
        })
      } finally {
        await laptop.run('internet', 'sh', '-c', 'echo 515 > /proc/sys/net/ipv4/tcp_fastopen')
      }
    })

    test('a server that is no converter, and speaks TCP only', async () => {
      const { of } = await doctor('--interface', 'wlan0', '--converter', `${SERVER}:8080`)
      expect(of('path-wlan0')).toMatchObject({
        state: 'bad',
        found: expect.stringMatching(/MPTCP lost.*Convert not answered/),
      })
    })

    test('--online: a stand-in for the public server, over each access; nothing is asked without it', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'atsss-online-'))
      onTestFinished(() => rmSync(folder, { recursive: true }))
      writeFileSync(join(folder, 'hosts'), `${SERVER} check.mptcp.dev\n`)
      const standIn = `
        import { createServer } from './dist/index.js'
        for (const port of [443, 80])
          createServer(socket => {
            socket.on('error', () => {}).once('data', () =>
              socket.end(\`HTTP/1.0 200 OK\\r\\n\\r\\nYou are \${socket.mptcp.protocol === 'mptcp' ? '' : 'not '}using MPTCP.\\n\`))
          }).listen(port, '${SERVER}', () => console.log(port))`
      const server = laptop.spawn('internet', process.execPath, '--input-type=module', '-e', standIn)
      await once(server.stdout, 'data')
      const program = `mount --bind ${folder}/hosts /etc/hosts && exec ${process.execPath} dist/cli/main.js doctor --json`
      const run = (options: string) => laptop.run('laptop', 'unshare', '-m', 'sh', '-c', `${program} ${options}`)
      const { stdout } = await run(`--online ${ACCESSES.slice(0, 4).join(' ')}`)
      const { findings } = JSON.parse(stdout) as { findings: Finding[] }
      for (const device of ['wlan0', 'usb0'])
        expect(findings.find(({ id }) => id === `online-${device}`)).toMatchObject({
          state: 'good',
          found: 'check.mptcp.dev, port 443: MPTCP; port 80: MPTCP, and it says "You are using MPTCP"',
        })
      expect((await run('')).stdout).not.toContain('check.mptcp.dev')
      server.kill('SIGKILL')
    })

    test('--fix prints, --fix --yes carries out, and only that', async () => {
      const read = async (name: string) => (await laptop.run('laptop', 'cat', `/proc/sys/net/${name}`)).stdout.trim()
      await laptop.run(
        'laptop',
        'sh',
        '-c',
        'echo 1 > /proc/sys/net/ipv4/conf/usb0/rp_filter; echo 0 > /proc/sys/net/mptcp/pm_type',
      )
      const printed = await laptop.atsss('doctor', '--fix')
      expect(printed.stdout).toContain(`\nsysctl -w ${userspace.name}=${userspace.value} `)
      expect(printed.stdout).toMatch(/^sysctl -w net\.ipv4\.conf\.usb0\.rp_filter=2 /m)
      expect(await read('mptcp/pm_type')).toBe('0')
      const fixed = await laptop.atsss('doctor', '--fix', '--yes')
      expect(fixed.stdout).toContain(`\ndone: sysctl -w ${userspace.name}=${userspace.value}\n`)
      expect([await read('mptcp/pm_type'), await read('ipv4/conf/usb0/rp_filter')]).toEqual(['1', '2'])
      const { of } = await doctor()
      expect(of('path-manager')).toMatchObject({ state: 'good', found: 'userspace' })
      expect(of('subflow-interface')).toMatchObject({
        state: 'good',
        found: expect.stringMatching(/^this kernel binds /),
      })
    })

    test("endpoints of others under the kernel's path manager; the fix removes them", async () => {
      await laptop.run(
        'laptop',
        'sh',
        '-c',
        'echo 0 > /proc/sys/net/mptcp/pm_type; ip mptcp endpoint add 10.2.0.2 dev usb0 subflow',
      )
      const { of } = await doctor()
      expect(of('endpoints')).toMatchObject({
        state: 'warning',
        found: expect.stringContaining('10.2.0.2 (id 1, subflow)'),
      })
      expect(of('subflow-interface')).toMatchObject({ state: 'good', found: expect.stringContaining('endpoint') })
      await laptop.atsss('doctor', '--fix', '--yes')
      expect((await laptop.run('laptop', 'ip', 'mptcp', 'endpoint')).stdout).toBe('')
    })

    test('without the capability', async () => {
      const { stdout } = await laptop.run(
        'laptop',
        'setpriv',
        '--bounding-set=-all',
        '--inh-caps=-all',
        '--ambient-caps=-all',
        '--reuid=65534',
        '--clear-groups',
        process.execPath,
        'dist/cli/main.js',
        'doctor',
        '--json',
      )
      const { findings } = JSON.parse(stdout) as { findings: Finding[] }
      const found = findings.find(({ id }) => id === 'capability')
      expect(found).toMatchObject({ state: 'warning' })
      expect(findings.map(({ id }) => id)).not.toContain('subflow-interface')
      expect(found?.fixes.map(({ command }) => command)).toEqual([
        'npx atsss helper install --yes',
        `setcap cap_net_admin+ep ${process.execPath}`,
        'AmbientCapabilities=CAP_NET_ADMIN',
        'podman run --cap-add=NET_ADMIN --network=host …',
      ])
    })
  })

  test('connect: a session over both, through the converter; -v says what it got', async () => {
    const child = laptop.spawn(
      'laptop',
      process.execPath,
      'dist/cli/main.js',
      'connect',
      '-v',
      ...ACCESSES,
      SERVER,
      '8080',
    )
    const said = { out: '', err: '' }
    child.stdout.on('data', text => (said.out += text))
    child.stderr.on('data', text => (said.err += text))
    child.stdin.end('hello')
    const [status] = await once(child, 'close')
    expect(said.out).toBe('got hello')
    expect(said.err).toContain(`MPTCP to ${SERVER} port 8080, through the converter ${PLACE}, 0-RTT, on wlan0`)
    expect(status).toBe(0)
  })

  test('connect --tls: end to end through the converter, the certificate checked', async () => {
    const secure = `
      require('tls').createServer(${JSON.stringify({ key, cert })}, socket => socket.on('error', () => {}).end('secret'))
        .listen(8443, '${SERVER}', () => console.log('ready'))
    `
    await once(laptop.spawn('internet', process.execPath, '-e', secure).stdout, 'data')
    const folder = mkdtempSync(join(tmpdir(), 'atsss-laptop-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const ca = join(folder, 'ca.pem')
    writeFileSync(ca, cert)
    const place = [...ACCESSES, SERVER, '8443']
    const good = await laptop.atsss('connect', '-v', '--tls', '--ca', ca, '--servername', 'localhost', ...place)
    expect([good.status, good.stdout]).toEqual([0, 'secret'])
    expect(good.stderr).toContain(`through the converter ${PLACE}`)
    expect(good.stderr).toMatch(/^TLSv1\.3, /m)
    const bad = await laptop.atsss('connect', '--tls', '--servername', 'localhost', ...place)
    expect([bad.status, bad.stdout]).toEqual([1, ''])
    expect(bad.stderr).toMatch(/self-signed certificate/)
  })

  test('init: which interface is which access by what they are, and a configuration that works', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'atsss-init-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    // The ends of veth pairs are virtual: for this command sysfs says what they stand for.
    const port = join(folder, 'devices/usb1/1-5/1-5:1.0')
    for (const path of ['net/wlan0/phy80211', 'net/usb0', 'rndis_host', port])
      mkdirSync(resolve(folder, path), { recursive: true })
    symlinkSync(join(folder, 'rndis_host'), join(port, 'driver'))
    symlinkSync(port, join(folder, 'net/usb0/device'))
    const config = join(folder, 'atsss.json')
    const script = `mount --bind ${folder}/net /sys/class/net && exec ${process.execPath} dist/cli/main.js init --yes --config ${config}`
    const { status, stdout, stderr } = await laptop.run(
      'laptop',
      'unshare',
      '-m',
      'sh',
      '-c',
      `${script} --converter ${PLACE}`,
    )
    expect([status, stdout]).toEqual([0, expect.stringContaining(`npx atsss doctor --config ${config}`)])
    expect(stderr).toMatch(/^ {2}wlan0 +Wi-Fi +10\.1\.0\.2$/m)
    expect(JSON.parse(readFileSync(config, 'utf8'))).toMatchObject({
      ...{ accesses: { '3gpp': 'usb0', 'non-3gpp': 'wlan0' }, converters: [PLACE], rules: 'handover' },
    })
    const { of } = await doctor('--config', config)
    for (const device of ['wlan0', 'usb0']) expect(of(`path-${device}`)).toMatchObject({ state: 'good' })
    const unknown = await laptop.atsss('init', '--yes', '--config', `${config}.other`)
    expect([unknown.status, unknown.stderr]).toEqual([
      1,
      expect.stringMatching(/no modem and no phone, and no Ethernet and no Wi-Fi: name the interfaces/),
    ])
  })

  test('explain: the access goes by the links', async () => {
    await laptop.run('laptop', 'ip', 'link', 'set', 'wlan0', 'down')
    try {
      const options = { accesses: { '3gpp': 'usb0', 'non-3gpp': 'wlan0' }, rules: 'handover' }
      const { stdout } = await laptop.atsss('explain', '198.51.100.2:80', '--json', '--config', JSON.stringify(options))
      expect(JSON.parse(stdout)).toMatchObject({
        rule: { precedence: 255, mode: 'active-standby' },
        steering: { accesses: ['3gpp', 'non-3gpp'] },
        accesses: { 'non-3gpp': { available: false, why: 'wlan0 is down' } },
      })
    } finally {
      await laptop.run(
        'laptop',
        'sh',
        '-c',
        'ip link set wlan0 up; ip route add default via 10.1.0.1 dev wlan0 metric 100',
      )
    }
  })
})
