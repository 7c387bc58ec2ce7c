/** Kernels before 5.16, which have MPTCP and do not say so, and sandboxes that forbid it: isSupported, connections, listeners. */
import { spawnSync } from 'node:child_process'
import { afterAll, beforeAll, expect } from 'vitest'
import { compiledUrl } from '../../support/compiled.js'
import { type OldKernel, oldKernel } from '../../support/old-kernel.js'
import { all, compiler, mptcp } from '../../support/probes.js'
import { requires } from '../../support/requires.js'

const oldTest = requires('MPTCP and a C compiler', all(mptcp, compiler))

const SCRIPT = `
  const { connect, createServer, isSupported } = await import('${compiledUrl('lib/index.ts')}')
  const { createConverter } = await import('${compiledUrl('lib/converter/index.ts')}')
  const { once } = await import('node:events')
  const degraded = []
  const converter = createConverter({ listen: ['127.0.0.1:0'], allowLoopback: true })
  converter.on('degraded', what => degraded.push(what))
  await converter.listen()
  const server = createServer({ mptcp: 'prefer' }, socket => socket.end()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  const tried = async options => {
    const socket = connect({ host: '127.0.0.1', port, ...options })
    const [error] = await Promise.race([once(socket, 'connect').then(() => []), once(socket, 'error')]).catch(e => [e])
    const { protocol, fallback } = socket.mptcp
    socket.destroy()
    return error ? { code: error.code, message: error.message } : { protocol, fallback }
  }
  console.log(JSON.stringify({ support: isSupported(), prefer: await tried({}), require: await tried({ mptcp: 'require' }), degraded }))
  process.exit(0)`

oldTest.describe('a kernel or a sandbox that', () => {
  let old: OldKernel
  const seen = (env: NodeJS.ProcessEnv) => {
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', SCRIPT], {
      ...{ encoding: 'utf8', env: { ...old.env, ...env } },
    })
    if (stdout === '') throw new Error(stderr)
    return JSON.parse(stdout)
  }
  beforeAll(() => {
    old = oldKernel()
  })
  afterAll(() => old?.remove())

  oldTest(
    'does not have MPTCP_INFO (Linux 5.6 to 5.15): the floor is named, and connections are TCP from the start',
    () => {
      const reason = expect.stringContaining('Linux 5.16 or later is needed')
      const { support, prefer, require, degraded } = seen({ NO_MPTCP_INFO: '1' })
      expect(support).toEqual({ supported: false, reason })
      expect(prefer).toEqual({ protocol: 'tcp', fallback: reason })
      expect(require).toEqual({ code: 'ERR_MPTCP_UNSUPPORTED', message: reason })
      expect(degraded).toContainEqual({
        what: 'mptcp',
        message: expect.stringContaining('listening with plain TCP'),
        remedy: 'Linux 5.16 or later is needed',
      })
    },
  )

  for (const [name, errno] of [
    ['EPERM', 1],
    ['ENOSYS', 38],
    ['EOPNOTSUPP', 95],
    ['ESOCKTNOSUPPORT', 94],
  ] as const)
    oldTest(`forbids MPTCP sockets with ${name}: TCP, and a reason that names it`, () => {
      const reason = expect.stringContaining('security policy')
      const { support, prefer, require } = seen({ DENY_MPTCP: String(errno) })
      expect(support).toEqual({ supported: false, reason })
      expect(prefer).toEqual({ protocol: 'tcp', fallback: reason })
      expect(require).toEqual({ code: 'ERR_MPTCP_UNSUPPORTED', message: reason })
    })

  oldTest('has no descriptor left: that is no reason for TCP', () => {
    expect(() => seen({ DENY_MPTCP: '24' })).toThrow('listen EMFILE 127.0.0.1')
  })
})
