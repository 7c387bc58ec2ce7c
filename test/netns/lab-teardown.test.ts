import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { expect } from 'vitest'
import { openLab } from '../../lib/lab/index.js'
import { compiledUrl } from '../support/compiled.js'
import { pause, until } from '../support/native-addon.js'
import { all, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'

const labTest = requires('network namespaces', all(root, netns))

const labModule = compiledUrl('lib/lab/index.ts')

const runModule = ['--input-type=module', '-e']

interface Owner {
  process: ChildProcess
  namespaces: string[]
  /** A program in the lab, one that this has started, and the emulator. */
  pids: number[]
}

/** A process of its own that opens a lab and starts a program in it, then does as told. */
async function owner(then: string): Promise<Owner> {
  const source = `
    import { openLab } from ${JSON.stringify(labModule)}
    const lab = await openLab()
    const child = lab.server.spawn('sh', ['-c', 'sleep 1000 & echo $!; wait'])
    child.stdout.once('data', text => {
      const namespaces = [lab.ue, lab.converter, lab.server].map(host => host.name)
      console.log(JSON.stringify({ namespaces, pids: [child.pid, Number(text)] }))
      setTimeout(async () => { ${then} }, 50)
    })
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, [...runModule, source], { stdio: ['ignore', 'pipe', 'pipe'] })
  let complaints = ''
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    complaints += text
  })
  const lines = createInterface(child.stdout!)
  const line = await Promise.race([once(lines, 'line'), once(child, 'close').then(() => undefined)])
  if (line === undefined) throw new Error(`the owner of the lab has ended: ${complaints}`)
  const { namespaces, pids } = JSON.parse(line[0])
  return { process: child, namespaces, pids: [...pids, ...emulatorsOf(child.pid!)] }
}

const exists = (namespace: string) => existsSync(`/run/netns/${namespace}`)

function lives(pid: number): boolean {
  return /^State:\t[^Z]/m.test(status(pid))
}

function emulatorsOf(pid: number): number[] {
  const pids = readdirSync('/proc').map(Number).filter(Number.isInteger)
  return pids.filter(child => new RegExp(`^Name:\tlink-emulator$[^]*^PPid:\t${pid}$`, 'm').test(status(child)))
}

function status(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8')
  } catch {
    return ''
  }
}

async function expectNothingLeft({ namespaces, pids }: Owner): Promise<void> {
  expect(namespaces.filter(exists)).toEqual([])
  await until(() => !pids.some(lives))
  expect(pids.filter(lives)).toEqual([])
}

labTest.describe('a lab ends', () => {
  const endings: [string, string, number][] = [
    ['when it is closed', 'await lab.close(); process.exit()', 0],
    ['when its process exits without a word', 'process.exit(3)', 3],
    ['when its process crashes', "throw new Error('on purpose')", 1],
  ]
  for (const [title, then, code] of endings)
    labTest(title, async () => {
      const lab = await owner(then)
      expect(lab.pids).toHaveLength(3)
      expect(await once(lab.process, 'exit')).toEqual([code, null])
      await expectNothingLeft(lab)
    })

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    labTest(`when its process gets ${signal}, which ends that too`, async () => {
      const lab = await owner('')
      lab.process.kill(signal)
      expect(await once(lab.process, 'exit')).toEqual([null, signal])
      await expectNothingLeft(lab)
    })

  labTest('but not before a program that handles the signal has done with it', async () => {
    const lab = await owner(
      `process.on('SIGINT', async () => process.exit((await lab.link('wifi').stats()).uplink.mangled + 7))
       console.log('listening')`,
    )
    await once(createInterface(lab.process.stdout!), 'line')
    lab.process.kill('SIGINT')
    expect(await once(lab.process, 'exit')).toEqual([7, null])
    await expectNothingLeft(lab)
  })

  labTest('and does not keep its process alive', () => {
    const source = `
      import { openLab } from ${JSON.stringify(labModule)}
      const lab = await openLab()
      await lab.link('wifi').set({ delayMs: 1 })
      console.log(lab.ue.name)`
    const { status, stdout } = spawnSync(process.execPath, [...runModule, source], { encoding: 'utf8' })
    expect(status).toBe(0)
    expect(stdout).toMatch(/^atsss-\d+-\d+-[0-9a-f]{8}-ue\n$/)
    expect(exists(stdout.trim())).toBe(false)
  })

  labTest('with its emulator and programs when its process is killed, and the next lab removes the rest', async () => {
    const killed = await owner('')
    const living = await owner('')
    killed.process.kill('SIGKILL')
    await once(killed.process, 'exit')
    const [program, grandchild, emulator] = killed.pids as [number, number, number]
    await until(() => !lives(program) && !lives(emulator))
    expect([program, emulator].filter(lives)).toEqual([])
    expect(killed.namespaces.every(exists)).toBe(true)

    await using lab = await openLab()
    expect(killed.namespaces.filter(exists)).toEqual([])
    await until(() => !lives(grandchild))
    expect(lives(grandchild)).toBe(false)
    expect([...living.namespaces, lab.ue.name].every(exists)).toBe(true)
    expect(living.pids.every(lives)).toBe(true)
    living.process.kill()
    await once(living.process, 'exit')
  })

  labTest('with its programs, which get no warning', async () => {
    const lab = await openLab()
    const child = lab.ue.spawn('sleep', ['1000'])
    const run = lab.server.run('sleep', ['1000'])
    await pause(50)
    await Promise.all([lab.close(), lab.close()])
    expect(child.signalCode).toBe('SIGKILL')
    expect((await run).code).toBe(null)
    await expect(lab.link('wifi').stats()).rejects.toMatchObject({ code: 'ERR_LAB_FAILED' })
  })
})

labTest.describe('without being root', () => {
  const attempt = (wrapper: string[]) => {
    const source = `
      import { openLab } from ${JSON.stringify(labModule)}
      try {
        const lab = await openLab()
        console.log((await lab.ue.run('ip', ['-br', 'link'])).stdout)
        await lab.close()
      } catch (error) {
        console.log(error.code, error.message)
      }`
    const [command, ...args] = [...wrapper, process.execPath, ...runModule, source]
    return spawnSync(command!, args, { encoding: 'utf8' }).stdout
  }

  labTest('a user and mount namespace of one’s own is enough', () => {
    expect(attempt(['unshare', '-Urnm'])).toMatch(/^wifi .*\ncell /m)
  })

  labTest('less is not enough, and the error says so', () => {
    for (const less of ['-Urn', '-U'])
      expect(attempt(['unshare', less])).toMatch(/^ERR_LAB_PRIVILEGE .*needs root.*unshare -Urnm/)
  })
})
