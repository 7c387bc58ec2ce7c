/** Where clients join: endpoints that the kernel has, in a network namespace of the test's, as iproute2 shows them. */
import { spawnSync } from 'node:child_process'
import { expect } from 'vitest'
import type { Degraded } from '../../../lib/converter/outgoing/listener.js'
import { compiledUrl } from '../../support/compiled.js'
import { ownNamespace } from '../../support/native-addon.js'
import { all, mptcp } from '../../support/probes.js'
import { requires } from '../../support/requires.js'

const joinTest = requires('MPTCP and a network namespace', all(mptcp, ownNamespace.probe))
const module = compiledUrl('lib/converter/incoming/join-endpoints.ts')

interface Seen {
  endpoints: Record<string, string>
  degraded: Degraded[]
}

/** Runs a script with `places`, `open`, `degraded`, and `see` to note the endpoints of the namespace by a name. */
function inNamespace(script: string): Seen {
  const source = `
    import { execFileSync } from 'node:child_process'
    import { openJoinEndpoints } from '${module}'
    const ip = words => execFileSync('ip', words.split(' '), { encoding: 'utf8' })
    ip('link set lo up')
    const endpoints = {}
    const degraded = []
    const open = places => openJoinEndpoints(places, what => degraded.push(what))
    const see = name => { endpoints[name] = ip('mptcp endpoint show') }
    const places = [{ address: '127.0.0.1', port: 5400 }, { address: '::1', port: 5400 }]
    ${script}
    console.log(JSON.stringify({ endpoints, degraded }))`
  const [command, ...args] = ownNamespace.command
  const node = [process.execPath, '--input-type=module', '-e', source]
  const { stdout, stderr, status } = spawnSync(command!, [...args, ...node], { encoding: 'utf8', timeout: 20_000 })
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 })
  return JSON.parse(stdout)
}

/** Of iproute2: `127.0.0.1 port 5400 id 1 signal`. The ids are the kernel's to give. */
const lines = (text: string | undefined) =>
  (text ?? '')
    .split('\n')
    .filter(line => line !== '')
    .map(line => line.trim().replace(/ id \d+/, ''))
    .sort()

joinTest('an endpoint for each address, with its port; close() removes all', () => {
  const { endpoints, degraded } = inNamespace(`
    const opened = await open(places)
    see('open')
    await opened.close()
    see('closed')`)
  expect(degraded).toEqual([])
  expect(lines(endpoints.open)).toEqual(['127.0.0.1 port 5400 signal', '::1 port 5400 signal'])
  expect(endpoints.closed).toBe('')
})

joinTest('IPv4 is added last: the kernel announces first what was added last, and IPv6 may be in its way', () => {
  const { endpoints } = inNamespace(`
    const opened = await open([...places, { address: '127.0.0.2', port: 5400 }])
    see('open')
    await opened.close()`)
  const ids = [...endpoints.open!.matchAll(/^(\S+) .*\bid (\d+)/gm)].map(([, address, id]) => [Number(id), address])
  expect(ids.sort()).toEqual([
    [1, '::1'],
    [2, '127.0.0.1'],
    [3, '127.0.0.2'],
  ])
})

joinTest('what an administrator has added is used, and stays; so does what is another’s', () => {
  const { endpoints, degraded } = inNamespace(`
    ip('mptcp endpoint add 127.0.0.1 port 5400 signal')
    ip('mptcp endpoint add 127.0.0.1 port 5999 signal')
    ip('mptcp endpoint add 127.0.0.2 subflow')
    const opened = await open(places)
    see('open')
    await opened.close()
    see('closed')`)
  expect(degraded).toEqual([])
  const others = ['127.0.0.1 port 5400 signal', '127.0.0.1 port 5999 signal', '127.0.0.2 subflow']
  expect(lines(endpoints.open)).toEqual([...others, '::1 port 5400 signal'])
  expect(lines(endpoints.closed)).toEqual(others)
})

joinTest('an address of another host is reported with a remedy; the other endpoints are made nevertheless', () => {
  const { endpoints, degraded } = inNamespace(`
    const opened = await open([{ address: '192.0.2.1', port: 5400 }, ...places])
    see('open')
    await opened.close()
    see('closed')`)
  expect(degraded).toEqual([
    {
      what: 'pcp-join',
      message: expect.stringMatching(/^Clients cannot join connections from outside .*: .*EADDRNOTAVAIL/),
      remedy: 'ip mptcp endpoint add 192.0.2.1 port 5400 signal',
    },
  ])
  expect(lines(endpoints.open)).toEqual(['127.0.0.1 port 5400 signal', '::1 port 5400 signal'])
  expect(endpoints.closed).toBe('')
})

joinTest('more than the kernel allows (8): each refusal is reported, and close() removes the others', () => {
  const { endpoints, degraded } = inNamespace(`
    const opened = await open(Array.from({ length: 10 }, (_, i) => ({ address: '127.0.0.1', port: 5400 + i })))
    see('open')
    await opened.close()
    see('closed')`)
  expect(lines(endpoints.open).length + degraded.length).toBe(10)
  expect(degraded.length).toBeGreaterThan(0)
  expect(endpoints.closed).toBe('')
})

joinTest('removed by somebody else meanwhile; and nothing to open at all', () => {
  const { endpoints, degraded } = inNamespace(`
    const opened = await open(places)
    ip('mptcp endpoint flush')
    await opened.close()
    see('closed')
    await (await open([])).close()`)
  expect({ endpoints, degraded }).toEqual({ endpoints: { closed: '' }, degraded: [] })
})
