/** The scripted converter as a program: `node --import tsx hostile.ts '{"scripts":[[…]],"options":{…}}'`. */
import { type HostileOptions, hostileConverter, type Step } from '../../support/hostile-converter.js'

export interface HostilePlan {
  scripts: Step[][]
  options: HostileOptions
}

export interface HostileLine {
  event: 'ended'
  /** The number of the connection, from 0. */
  index: number
  how: 'reset' | 'fin' | undefined
  /** All that came, hexadecimal. */
  bytes: string
  acceptedAt: number
  at: number
}

const { scripts, options } = JSON.parse(process.argv[2]!) as HostilePlan
const converter = await hostileConverter(scripts, options)
process.stdout.write('{"event":"ready"}\n')
for (let index = 0; ; index++) {
  const how = await converter.ended(index)
  const { bytes, acceptedAt } = converter.heard[index]!
  const line: HostileLine = { event: 'ended', index, how, bytes: bytes.toString('hex'), acceptedAt, at: Date.now() }
  process.stdout.write(`${JSON.stringify(line)}\n`)
}
