/**
 * The steering helper against clients that are wrong, greedy or hostile: each is refused with a reason, none costs others anything, and
 * nothing but the client's own subflows changes. In a network namespace with nothing but a loopback.
 */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { HelperCalls } from '../netns/programs/helper-client.js'
import { compiled, compiledUrl } from '../support/compiled.js'
import { all, mptcp, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { asUser, helperProgram, RunningHelper } from '../support/steering-helper.js'

const [OWNER, STRANGER] = [61_001, 61_002]
const SERVER = { host: '127.0.0.1', port: 5000 }

/** A namespace that lasts as long as its first process, which is an MPTCP server in it. */
class LoopbackNamespace {
  readonly #first: ChildProcessWithoutNullStreams

  constructor(first: ChildProcessWithoutNullStreams) {
    this.#first = first
  }

  static async open(): Promise<LoopbackNamespace> {
    const server = `
      const { createServer } = await import(${JSON.stringify(new URL('../../dist/index.js', import.meta.url).href)})
      createServer(socket => socket.on('error', () => {}).resume()).listen(${SERVER.port}, '0.0.0.0', () => console.log('ready'))`
    const script =
      'ip link set lo up; ip addr add 127.0.0.2/8 dev lo; cd /proc/sys/net/mptcp; ' +
      'echo 1 > pm_type 2> /dev/null || echo userspace > path_manager; exec "$@"'
    const node = [process.execPath, '--input-type=module', '-e', server]
    const child = spawn('unshare', ['--net', 'sh', '-c', script, 'sh', ...node])
    const [line] = (await createInterface(child.stdout)[Symbol.asyncIterator]().next()).value ?? ''
    expect(line).toBe('r')
    return new LoopbackNamespace(child)
  }

  spawn(command: string, args: string[]): ChildProcessWithoutNullStreams {
    return spawn('nsenter', ['-t', String(this.#first.pid), '-n', command, ...args])
  }

  run(command: string, ...args: string[]): string {
    return spawnSync('nsenter', ['-t', String(this.#first.pid), '-n', command, ...args], { encoding: 'utf8' }).stdout
  }

  close(): void {
    this.#first.kill()
  }
}

class Client {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #answers = new Map<number, (value: unknown) => void>()
  #lastId = 0

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child
    createInterface(child.stdout).on('line', text => {
      const { id, value } = JSON.parse(text)
      this.#answers.get(id)?.(value)
    })
    child.stderr.setEncoding('utf8').on('data', text => process.stderr.write(text))
  }

  static async start(host: LoopbackNamespace | undefined, helper: { path: string }, uid: number): Promise<Client> {
    const [command, ...args] = [...asUser(uid), process.execPath, compiled('test/netns/programs/helper-client.ts')]
    const child = host ? host.spawn(command!, [...args, helper.path]) : spawn(command!, [...args, helper.path])
    const client = new Client(child)
    await client.#answer(0)
    return client
  }

  async call<Call extends keyof HelperCalls>(
    call: Call,
    ...args: Parameters<HelperCalls[Call]>
  ): Promise<Awaited<ReturnType<HelperCalls[Call]>>> {
    const id = ++this.#lastId
    this.#child.stdin.write(`${JSON.stringify({ id, call, args })}\n`)
    return (await this.#answer(id)) as Awaited<ReturnType<HelperCalls[Call]>>
  }

  /** Resolves when its descriptors are closed. */
  async stop(): Promise<void> {
    const ended = new Promise(resolve => this.#child.once('exit', resolve))
    this.#child.kill('SIGKILL')
    await ended
  }

  #answer(id: number): Promise<unknown> {
    return new Promise(resolve => this.#answers.set(id, resolve))
  }
}

requires('MPTCP and network namespaces, as root', all(root, mptcp)).describe('the steering helper', () => {
  let host: LoopbackNamespace
  let helper: RunningHelper
  let owner: Client
  let stranger: Client
  let token: number
  let own: number
  beforeAll(async () => {
    host = await LoopbackNamespace.open()
    helper = await RunningHelper.start(host, '--sockets', '3', '--clients', '5', '--requests', '800')
    owner = await Client.start(host, helper, OWNER)
    stranger = await Client.start(host, helper, STRANGER)
    token = await owner.call('connect', SERVER.host, SERVER.port)
    own = await stranger.call('connect', SERVER.host, SERVER.port)
    expect([token === 0, own === 0, token === own]).toEqual([false, false, false])
  })
  afterAll(async () => {
    await owner?.stop()
    await helper?.stop()
    host?.close()
  })

  const backup = (of: number) => ({
    token: of,
    local: { address: '127.0.0.1', port: 1, flags: ['backup'] as const },
    remote: { address: SERVER.host, port: SERVER.port },
  })
  const create = (of: number, address = '127.0.0.2') => ({
    token: of,
    local: { address, id: 2, flags: ['subflow'] as const, interfaceIndex: 1 },
    remote: { address: SERVER.host, port: SERVER.port },
  })

  test('makes a subflow of a connection that its client has', async () => {
    expect(await owner.call('ask', 'watch', { token })).toBe(0)
    expect(await owner.call('ask', 'subflow-create', create(token))).toBe(0)
    await expect.poll(() => owner.call('subflows')).toBe(2)
    // The kernel's own refusal: there is no such subflow.
    expect(await owner.call('ask', 'subflow-destroy', backup(token))).toBe(3) // ESRCH
  })

  test('a process that does nothing else stays until the helper has answered, and then ends', () => {
    const script = `
      const { openSteeringHelper } = await import('${compiledUrl('lib/runtime/network/steering-helper.ts')}')
      const found = await openSteeringHelper('${helper.path}')
      console.log(found.isReachable)`
    const [command, ...user] = asUser(OWNER)
    expect(host.run(command!, ...user, process.execPath, '--input-type=module', '-e', script)).toBe('true\n')
  })

  describe('refuses', () => {
    test("another user's connection, with whatever is passed", async () => {
      const commands = ['watch', 'subflow-create', 'subflow-destroy', 'set-flags', 'announce', 'remove'] as const
      for (const command of commands) {
        const given = { ...create(token), ...(command === 'set-flags' ? backup(token) : {}), localId: 1 }
        if (command === 'announce') given.local = { ...given.local, flags: [] as never }
        expect(await stranger.call('ask', command, given), command).toBe('token')
        expect(await stranger.call('ask', command, given, 'none'), command).toBe('no-socket')
      }
    })

    test.each([
      ['a file', 'file', 'not-mptcp'],
      ['a Unix socket', 'unix', 'not-mptcp'],
      ['a TCP socket', 'tcp', 'not-mptcp'],
      ['a datagram socket', 'datagram', 'not-mptcp'],
    ] as const)('%s', async (_, passed, code) => {
      expect(await stranger.call('ask', 'watch', { token: own }, passed)).toBe(code)
    })

    test('the token 0, which for the kernel means the endpoints of all connections', async () => {
      host.run('ip', 'mptcp', 'endpoint', 'add', '127.0.0.2', 'id', '9', 'subflow')
      try {
        const given = { token: 0, local: { address: '127.0.0.2', id: 9, flags: ['backup'] as const }, remote: SERVER0 }
        expect(await stranger.call('ask', 'set-flags', given, 'unconnected')).toBe('not-connected')
        expect(host.run('ip', 'mptcp', 'endpoint')).toMatch(/127\.0\.0\.2 id 9 subflow *\n?$/)
      } finally {
        host.run('ip', 'mptcp', 'endpoint', 'flush')
      }
    })

    test('flags, addresses and ids that it does not need', async () => {
      const fullmesh = create(own)
      fullmesh.local.flags = ['fullmesh'] as never
      expect(await stranger.call('ask', 'subflow-create', fullmesh)).toBe('malformed')
      expect(await stranger.call('ask', 'subflow-create', { ...create(own), remote: {} as never })).toBe('malformed')
      expect(await stranger.call('ask', 'announce', { token: own, local: { address: '127.0.0.2' } })).toBe('malformed')
      expect(await stranger.call('ask', 'hello', {}, 'file')).toBe('malformed')
    })

    test('sockets and programs of another network namespace', async () => {
      const outside = await Client.start(undefined, helper, OWNER)
      try {
        expect(await outside.call('ask', 'watch', { token: 0 }, 'unconnected')).toBe('namespace')
      } finally {
        await outside.stop()
      }
    })

    test.each([
      ['one byte', '00', 'malformed'],
      ['a byte too many', '02535441'.padEnd(130, '0'), 'malformed'],
      ['more requests than a datagram may have', `02535441${'0'.repeat(120)}`.repeat(17), 'malformed'],
      ['another version', '01535441'.padEnd(128, '0'), 'version'],
      ['a command that there is not', `025354410100000063${'0'.repeat(110)}`, 'malformed'],
    ])('%s', async (_, bytes, code) => expect(await stranger.call('raw', bytes)).toBe(code))

    test('more clients than a user may have, and not the others’', async () => {
      let answers: unknown[] = []
      // The clients of the tests before may not have ended yet.
      const welcomed = async () => {
        answers = await stranger.call('crowd', 9)
        return answers.slice(0, 5)
      }
      await expect.poll(welcomed, { timeout: 5_000, interval: 300 }).toEqual([0, 0, 0, 0, 0])
      expect(new Set(answers.slice(5))).toEqual(new Set(['clients']))
      expect(await owner.call('ask', 'hello', {}, 'none')).toBe(0)
    })

    test('an ordinary user outside of the group', async () => {
      const { status } = spawnSync('setpriv', [
        ...asUser(STRANGER, false).slice(1),
        ...[process.execPath, '-e', `require('fs').accessSync('${helper.path}', 6)`],
      ])
      expect(status).not.toBe(0)
    })
  })

  describe('several requests in one datagram', () => {
    const watch = (of: number) => ['watch', { token: of }, 'own'] as ['watch', { token: number }, 'own']

    test('have each their own answer, in their order', async () => {
      const given = { ...backup(own), localId: 1 }
      expect(
        await stranger.call('batch', [
          ['hello', {}, 'none'],
          watch(own),
          watch(token),
          ['watch', { token: own }, 'tcp'],
          ['forget', { token: own }, 'none'],
          ['announce', { token: own, local: { address: '127.0.0.2' } }, 'own'],
          ['subflow-destroy', given, 'own'],
        ]),
      ).toEqual([0, 0, 'token', 'not-mptcp', 0, 'malformed', 3]) // ESRCH
    })

    test('with a descriptor too few or too many: it is not guessed whose each is', async () => {
      const both = [watch(own), ['watch', { token: own }, 'none'] as ['watch', object, 'none']]
      expect(await stranger.call('batch', both)).toEqual(['no-socket', 'no-socket'])
      expect(await stranger.call('batch', [watch(own), watch(own)], 'file')).toEqual(['no-socket', 'no-socket'])
    })

    test('count each for the quota, and those after another version are not read', async () => {
      const all = Array.from({ length: 16 }, () => watch(own))
      expect(await stranger.call('batch', all)).toEqual(Array(16).fill(0))
      const hello = `0253544101000000${'01000000'.padEnd(112, '0')}`
      expect(await stranger.call('raw', hello + hello.replace('02', '03') + hello)).toBe(0)
      expect(helper.log).toMatch(/has gone after 16 requests/)
      await expect.poll(() => helper.log).toMatch(/has gone after 2 requests, of which 1 were refused/)
    })
  })

  test('garbage of 6,000 requests, with any descriptor: its own connection is still there, and others are served', async () => {
    expect(await stranger.call('fuzz', 6_000, 15)).toBe(true)
    expect(await owner.call('latency', 20)).toBeLessThan(1_000)
    expect(helper.log).not.toMatch(/signal|ERROR|runtime error/)
  })

  test('sockets whose last close blocks: only their own client waits', async () => {
    const lingering = await Client.start(host, helper, 61_004)
    const port = await owner.call('listen')
    process.kill(helper.pid, 'SIGSTOP')
    expect(await lingering.call('linger', 3, port)).toBe(true)
    await lingering.stop()
    process.kill(helper.pid, 'SIGCONT')
    await expect.poll(() => helper.log).toMatch(/uid 61004.*not-mptcp/)
    expect(await owner.call('latency', 50)).toBeLessThan(1_000)
    // Its process hangs in the first close.
    expect(helper.log).not.toMatch(/uid 61004.*has gone/)
  })

  test('a flood of 100,000 requests is taken at the rate that is allowed, and delays no other user', async () => {
    const flooding = stranger.call('flood', 100_000, true)
    const latencies = await owner.call('latency', 100)
    expect(latencies).toBeLessThan(1_000)
    // A burst of 8,000, then 800 a second.
    const flooded = await Promise.race([flooding, new Promise(resolve => setTimeout(resolve, 3_000, 'goes on'))])
    expect(flooded).toBe('goes on')
    expect(helper.log).toContain(`uid ${STRANGER}`)
    expect(helper.log).toContain('more than 800 requests in a second')
    await stranger.stop()
  })

  test('one that never reads is dropped', async () => {
    const deaf = await Client.start(host, helper, 61_003)
    await deaf.call('connect', SERVER.host, SERVER.port)
    expect(await deaf.call('flood', 100_000, false)).toMatchObject({
      ended: expect.stringMatching(/^(EPIPE|ECONNRESET)$/),
    })
    await deaf.stop()
    expect(await owner.call('latency', 20)).toBeLessThan(1_000)
  })

  test('after all that: the connection has its two subflows, and the helper is the same process', async () => {
    expect(await owner.call('subflows')).toBe(2)
    expect(() => process.kill(helper.pid, 0)).not.toThrow()
    expect(helper.log).not.toMatch(/signal|ERROR|runtime error/)
  })
})

requires(
  'MPTCP, network namespaces, and systemd-socket-activate',
  () => all(root, mptcp)() ?? (spawnSync('systemd-socket-activate', ['--version']).error ? 'not installed' : undefined),
).describe('with the socket of systemd', () => {
  test('it is started by its first client, and serves it', async () => {
    const host = await LoopbackNamespace.open()
    onTestFinished(() => host.close())
    const folder = mkdtempSync(join(tmpdir(), 'atsss-activated-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const path = join(folder, 'helper.sock')
    const child = host.spawn('systemd-socket-activate', ['--seqpacket', '-l', path, helperProgram])
    onTestFinished(() => void child.kill())
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
    await expect.poll(() => existsSync(path)).toBe(true)
    expect(said).not.toContain('ready')
    spawnSync('chmod', ['-R', 'a+rwX', folder])
    const client = await Client.start(host, { path }, OWNER)
    onTestFinished(() => client.stop())
    const token = await client.call('connect', SERVER.host, SERVER.port)
    expect(await client.call('ask', 'watch', { token })).toBe(0)
    expect(said).toContain('ready')
  })

  test.each([
    ['no socket at all', [], 64, '--socket'],
    ['a number that is none', ['--clients', 'x'], 64, '--clients needs a number'],
    ['a group that there is not', ['--socket', '/tmp/x.sock', '--group', 'nosuchgroup'], 64, 'no group nosuchgroup'],
    ['without CAP_NET_ADMIN', ['--socket', '/tmp/atsss-test-helper.sock'], 1, 'CAP_NET_ADMIN'],
  ])('%s: says what is wrong', (_, args, status, words) => {
    const command = [
      '--bounding-set=-all',
      '--inh-caps=-all',
      '--reuid=65534',
      '--clear-groups',
      helperProgram,
      ...args,
    ]
    const ended = spawnSync('setpriv', command, { encoding: 'utf8' })
    expect(ended.stderr).toContain(words)
    expect(ended.status).toBe(status)
  })
})

const SERVER0 = { address: SERVER.host, port: SERVER.port }
