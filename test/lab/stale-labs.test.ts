/** Labs of processes in another PID namespace, such as a container that shares /run/netns. */
import { spawnSync } from 'node:child_process'
import { expect } from 'vitest'
import { compiledUrl } from '../support/compiled.js'
import { all, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'

const rootTest = requires('network namespaces', all(root, netns))

const cleanup = JSON.stringify(compiledUrl('lib/lab/cleanup.ts'))

/** Prints the name of a lab of its own, of which there is one namespace. */
const MAKE = `
  import { execFileSync } from 'node:child_process'
  import { newLabName } from ${cleanup}
  const name = newLabName() + '-ue'
  execFileSync('ip', ['netns', 'add', name])
  console.log(name)`
const REMOVE = `
  import { removeStaleLabs } from ${cleanup}
  removeStaleLabs()`

/** In a mount namespace with an empty /run/netns of its own: labs of other tests are out of reach. */
function inPrivateNetns(script: string, ...args: string[]): string[] {
  const { stdout, stderr, status } = spawnSync(
    'unshare',
    ['-m', 'sh', '-ec', `mkdir -p /run/netns; mount -t tmpfs tmpfs /run/netns; ${script}`, process.execPath, ...args],
    { encoding: 'utf8' },
  )
  expect([status, stderr]).toEqual([0, ''])
  return stdout.split('\n').filter(line => line !== '')
}

const RUN = '"$0" --input-type=module -e'
/** A PID namespace whose own /proc shows its own processes only. */
const ELSEWHERE = `unshare --pid --fork --mount-proc ${RUN}`

rootTest('a living lab is not removed from another PID namespace, where its PID means nothing', () => {
  const lines = inPrivateNetns(
    `${RUN} "$1" & while [ -z "$(ls /run/netns)" ]; do sleep 0.05; done; ${ELSEWHERE} "$2"; ls /run/netns; kill $!`,
    `${MAKE}; setInterval(() => {}, 1000)`,
    REMOVE,
  )
  const [name, ...left] = lines
  expect(left).toEqual([name])
})

rootTest('a lab whose owner has ended is removed in the same PID namespace', () => {
  const [name, ...left] = inPrivateNetns(`${RUN} "$1"; ${RUN} "$2"; ls /run/netns`, MAKE, REMOVE)
  expect(name).toMatch(/^atsss-\d+-\d+-[0-9a-f]{8}-ue$/)
  expect(left).toEqual([])
})

rootTest('a lab whose owner lives is not', () => {
  const [name, ...left] = inPrivateNetns(
    `${RUN} "$1"; ls /run/netns`,
    `${MAKE};${REMOVE.replace(/^\s*import/, '\nimport')}`,
  )
  expect(left).toEqual([name])
})
