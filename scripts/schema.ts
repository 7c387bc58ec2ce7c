/** Writes schema/atsss.json from the checks of lib/preload/config.ts. */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { configSchema } from '../lib/preload/config.js'

export const SCHEMA = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  $id: 'https://www.npmjs.com/package/atsss/schema/atsss.json',
  title: 'atsss.json: which connections of an application go over MPTCP, and how (docs/preload.md)',
  ...configSchema(),
}

if (process.argv[1] === import.meta.filename) {
  writeFileSync('schema/atsss.json', JSON.stringify(SCHEMA, undefined, 2))
  const { status } = spawnSync('npx', ['biome', 'format', '--write', 'schema/atsss.json'], { stdio: 'inherit' })
  process.exitCode = status ?? 1
}
