/**
 * Copies the live page and its chart library to dist/cli/watch/page, beside the server. Part of `npm run build:lib`.
 * The chart library is a development dependency, so that devices do not have to install it. Also makes the command executable,
 * which tsc does not.
 */
import { chmodSync, copyFileSync, cpSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CHART_FILES } from '../lib/cli/watch/page-server.js'

const root = fileURLToPath(new URL('../', import.meta.url))
const page = join(root, 'dist/cli/watch/page')
rmSync(page, { recursive: true, force: true })
cpSync(join(root, 'lib/cli/watch/page'), page, { recursive: true })
const chart = dirname(createRequire(import.meta.url).resolve('uplot/package.json'))
for (const name of CHART_FILES) copyFileSync(join(chart, 'dist', name), join(page, name))
copyFileSync(join(chart, 'LICENSE'), join(page, 'uPlot.LICENSE'))
chmodSync(join(root, 'dist/cli/main.js'), 0o755)
