/**
 * The recipes of examples/recipes, end to end: through the converter, the first request over wifi, the second over cell after
 * wifi has lost its carrier, on the same connection.
 */
import { readdirSync } from 'node:fs'
import { afterAll, beforeAll, expect } from 'vitest'
import { compiled } from '../support/compiled.js'
import { Program } from '../support/convert-lab.js'
import { pause } from '../support/native-addon.js'
import { all, mptcp, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { SessionLab } from '../support/session-lab.js'
import { traffic } from '../support/ue.js'

const labTest = requires('MPTCP in network namespaces', all(root, netns, mptcp))
const recipes = readdirSync(new URL('../../examples/recipes', import.meta.url))
  .map(file => file.replace('.ts', ''))
  .filter(name => name !== 'recipe')

labTest.describe('libraries, across a handover', () => {
  let rig: SessionLab
  const start = (host: 'ue' | 'server', name: string, ...args: string[]) => {
    const path = compiled(`test/netns/programs/${name}.ts`)
    return new Program(rig.lab[host].spawn(process.execPath, [path, ...args]))
  }
  beforeAll(async () => {
    rig = await SessionLab.open()
    await start('server', 'library-server').event('ready')
  })
  afterAll(() => rig?.close())

  for (const name of recipes)
    labTest(name, async () => {
      const accesses = { '3gpp': 'cell', 'non-3gpp': 'wifi' }
      const options = JSON.stringify({ accesses, converters: rig.convert.at(rig.port), rules: 'handover' })
      const bytes = traffic(rig.lab)
      await bytes()
      const client = start('ue', 'library-client', name, options, rig.lab.serverAddress.v4)
      const { made } = await client.event<{ made: object[] }>('half')
      const before = await bytes()
      expect(made).toMatchObject([{ protocol: 'mptcp', interface: 'wifi', converter: { port: rig.port } }])
      expect(before.wifi!.uplink).toBeGreaterThan(before.cell!.uplink)

      await rig.lab.link('wifi').set({ carrier: false })
      await bytes()
      client.child.stdin.write('on\n')
      const { answers } = await client.event<{ answers: unknown[] }>('done')
      await client.ended()
      const after = await bytes()
      await rig.lab.link('wifi').set({ carrier: true })

      expect(answers).toHaveLength(2)
      expect(answers[0]).toBeTruthy()
      expect(answers[1]).toEqual(answers[0]) // the same connection
      expect(after.cell!.uplink).toBeGreaterThan(0)
      expect(after.wifi!.uplink).toBe(0)
    })

  for (const name of ['http', 'https', 'undici', 'fetch'])
    labTest(
      `${name}, over TCP, which cannot be moved: the idle connection is not left stranded in its pool`,
      async () => {
        const accesses = { '3gpp': 'cell', 'non-3gpp': 'wifi' }
        const client = start(
          ...(['ue', 'library-client', name, JSON.stringify({ accesses, mptcp: 'off' })] as const),
          rig.lab.serverAddress.v4,
        )
        await client.event('half')
        const bytes = traffic(rig.lab)
        await rig.lab.link('wifi').set({ carrier: false })
        await bytes()
        await pause(1500) // while nothing moves, the kernel tells of a lost carrier up to a second late: until then a request goes there
        client.child.stdin.write('on\n')
        const { answers } = await client.event<{ answers: string[] }>('done')
        await rig.lab.link('wifi').set({ carrier: true })
        expect(answers[1]).toMatch(/^connection \d+$/)
        expect(answers[1]).not.toBe(answers[0])
        expect((await bytes()).cell!.uplink).toBeGreaterThan(0)
      },
    )
})
