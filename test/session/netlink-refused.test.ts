/** A sandbox that refuses netlink, or MPTCP with any errno: `ready` rejects with a code and with what helps; connections work. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { compiledUrl } from '../support/compiled.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'

const run = promisify(execFile)

const REFUSES = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
int socket(int domain, int type, int protocol) {
  const char *name = domain == AF_NETLINK ? "REFUSE_NETLINK" : protocol == 262 ? "REFUSE_MPTCP" : 0;
  const char *refusal = name ? getenv(name) : 0;
  if (refusal) { errno = atoi(refusal); return -1; }
  return ((int (*)(int, int, int))dlsym(RTLD_NEXT, "socket"))(domain, type, protocol);
}`

const PROGRAM = `
  import net from 'node:net'
  import { connect, createServer, MaPduSession } from '${compiledUrl('lib/index.ts')}'
  const server = (process.env.REFUSE_MPTCP ? net.createServer : createServer)(socket => socket.end('x')).listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  const place = { host: '127.0.0.1', port: server.address().port }
  const outcome = socket => new Promise(resolve =>
    socket.on('connect', () => resolve(socket.mptcp.protocol)).on('error', error => resolve(error.code + ': ' + error.message)))
  const said = { direct: await outcome(connect(place)), ready: [], session: [] }
  for (const controller of ['inline', 'worker']) {
    const session = new MaPduSession({ accesses: { '3gpp': 'nowhere0', 'non-3gpp': 'lo' }, controller })
    said.ready.push(await session.ready.then(({ level }) => level, ({ code, message }) => [code, message]))
    said.session.push(await outcome(session.connect(place)))
  }
  console.log(JSON.stringify(said))
  process.exit()`

let folder: string
let library: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'atsss-refused-'))
  library = join(folder, 'refuses.so')
  writeFileSync(join(folder, 'refuses.c'), REFUSES)
  await run('cc', ['-shared', '-fPIC', '-o', library, join(folder, 'refuses.c'), '-ldl'])
})
afterAll(() => rmSync(folder, { recursive: true }))

async function refused(env: NodeJS.ProcessEnv) {
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', PROGRAM], {
    env: { ...process.env, ...env, LD_PRELOAD: library },
    timeout: 30_000,
  })
  return JSON.parse(stdout)
}

const { errno } = constants

requires('MPTCP', mptcp).describe('netlink', () => {
  for (const code of ['EAFNOSUPPORT', 'EPERM', 'EACCES', 'EPROTONOSUPPORT'] as const)
    test(`refused with ${code}`, async () => {
      const error = [code, expect.stringMatching(new RegExp(`^socket ${code}: .*netlink sockets.*allow AF_NETLINK`))]
      expect(await refused({ REFUSE_NETLINK: `${errno[code]}` })).toEqual({
        direct: 'mptcp',
        ready: [error, error],
        session: ['mptcp', 'mptcp'],
      })
    })
})

requires('MPTCP', mptcp).describe('MPTCP', () => {
  for (const code of [
    'ENOSYS',
    'EOPNOTSUPP',
    'EPERM',
    'EPROTONOSUPPORT',
    'EAFNOSUPPORT',
    'EPROTOTYPE',
    'ENETDOWN',
    'EIO',
  ] as const)
    test(`refused with ${code}: TCP`, async () => {
      expect(await refused({ REFUSE_MPTCP: `${errno[code]}` })).toMatchObject({
        direct: 'tcp',
        session: ['tcp', 'tcp'],
      })
    })

  test('not opened for want of descriptors: an error', async () => {
    const { direct } = await refused({ REFUSE_MPTCP: `${errno.EMFILE}` })
    expect(direct).toMatch(/^EMFILE: /)
  })
})
