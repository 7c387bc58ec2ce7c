/** `atsss report`: what is in it, and above all what is not. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { environment, REMOVED, redacted, withoutSecrets } from '../../lib/cli/report/secrets.js'
import { counters, distribution } from '../../lib/cli/report/system.js'
import { reportText } from '../../lib/cli/report.js'
import { atsss } from './atsss.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'atsss-report-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const COOKIE = 'c0ffee00c0ffee01'

test('no secret of a configuration is in it, wherever it was quoted', () => {
  const given = {
    converters: [
      { host: '192.0.2.1', port: 5124, cookie: COOKIE },
      { domain: 'example.com', cookie: '0badcafe' },
    ],
    extra: { apiKey: 'k-12345', private_key: ['line1', 'line2'], 'auth-token': 7_777_777, password: '' },
    monkey: 'stays', // a word with "key" in it
    keepAlive: true,
  }
  const { value, secrets } = withoutSecrets(given)
  expect(value).toEqual({
    converters: [
      { host: '192.0.2.1', port: 5124, cookie: REMOVED },
      { domain: 'example.com', cookie: REMOVED },
    ],
    extra: { apiKey: REMOVED, private_key: REMOVED, 'auth-token': REMOVED, password: REMOVED },
    monkey: 'stays',
    keepAlive: true,
  })
  const quoted = `bad cookie '${COOKIE.toUpperCase()}', 0badcafe; k-12345 line1 7777777 http://me:secret@proxy.example/x 192.0.2.1`
  expect(redacted(quoted, secrets)).toBe(
    `bad cookie '${REMOVED}', ${REMOVED}; ${REMOVED} ${REMOVED} ${REMOVED} http://${REMOVED}@proxy.example/x 192.0.2.1`,
  )
})

test('of the environment only what matters, and no secret', () => {
  const secrets = new Set<string>()
  const env = {
    ...{ HOME: '/home/me', AWS_SECRET_ACCESS_KEY: 'x', NODE_OPTIONS: '--import atsss/register' },
    ...{ ATSSS_CONFIG: `{"converters":{"host":"h","cookie":"${COOKIE}"}}`, ATSSS_TOKEN: 'y', ATSSS_CONVERTER: 'a:1' },
  }
  expect(environment(env, secrets)).toEqual({
    NODE_OPTIONS: '--import atsss/register',
    ATSSS_CONFIG: `{"converters":{"host":"h","cookie":"${REMOVED}"}}`,
    ATSSS_TOKEN: REMOVED,
    ATSSS_CONVERTER: 'a:1',
  })
  expect([...secrets]).toEqual([COOKIE])
  expect(environment({ ATSSS_CONFIG: `{"cookie":"${COOKIE}",` }, secrets)).toEqual({
    ATSSS_CONFIG: '[JSON that cannot be read]',
  })
})

test('counters as /proc/net/netstat has them: those of MPTCP that have counted, and of Fast Open', () => {
  const netstat = `TcpExt: SyncookiesSent TCPTimeouts TCPFastOpenActive TCPFastOpenActiveFail
TcpExt: 9 3 5 0
MPTcpExt: MPCapableSYNRX MPJoinSynTx Blackhole
MPTcpExt: 0 12 1
`
  expect(counters(netstat)).toEqual([
    ...['TcpExtTCPTimeouts 3', 'TcpExtTCPFastOpenActive 5', 'MPTcpExtMPJoinSynTx 12', 'MPTcpExtBlackhole 1'],
  ])
  expect(distribution('NAME="x"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')).toBe(
    'Debian GNU/Linux 12 (bookworm)',
  )
  expect(distribution(undefined)).toBe('unknown distribution')
})

test('what a terminal would obey is not in it', () => {
  expect(reportText(new Date(0), [['Sessions', ['a \u001b[31mb\nc']]])).toBe(
    'atsss report, 1970-01-01T00:00:00.000Z\n\n## Sessions\n\na ?[31mb\nc\n',
  )
})

test('written whole, for its user only, and over no other file; a wrong configuration is a finding', async () => {
  const config = join(folder, 'atsss.json')
  writeFileSync(
    config,
    JSON.stringify({ converters: [{ host: '127.0.0.1', port: 1, cookie: COOKIE }], interfaze: 'lo' }),
  )
  const output = join(folder, 'report.txt')
  const first = await atsss(['report', '--config', config, '--output', output])
  expect(first).toMatchObject({ status: 0, stdout: `${output}\n`, stderr: expect.stringContaining('read it before') })
  expect(statSync(output).mode & 0o777).toBe(0o600)
  const text = readFileSync(output, 'utf8')
  for (const title of [
    'Versions',
    'Findings',
    'Interfaces',
    'Settings',
    'Counters',
    'Configuration',
    'Environment',
    'Sessions',
  ])
    expect(text).toContain(`## ${title}\n\n`)
  expect(text).toContain(`Node ${process.versions.node}, `)
  expect(text).toMatch(/^bad +Configuration: .*interfaze: unknown property/m)
  expect(text).toMatch(/^good +Node/m)
  expect(text).toContain(`"cookie": "${REMOVED}"`)
  expect(text).not.toContain(COOKIE)

  writeFileSync(config, `{ "converters": [{ "host": "127.0.0.1", "cookie": "${COOKIE}" }]`)
  const broken = await atsss(['report', '--config', config, '--output', '-'])
  expect(broken.status).toBe(0)
  expect(broken.stdout).toContain('it is not JSON, so nothing of it is shown')
  expect(broken.stdout + broken.stderr).not.toMatch(/c0ffee/)

  const failed = await atsss(['report', '--config', '{}', '--output', join(folder, 'none', 'x')])
  expect(failed).toMatchObject({ status: 1, stderr: expect.stringContaining('ENOENT') })
}, 60_000)
