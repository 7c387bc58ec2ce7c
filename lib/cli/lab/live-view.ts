/** The live page of a lab: of the session that a command opens there, with controls for the lab's links. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { Lab } from '../../lab/index.js'
import { WatchClient } from '../watch/client.js'
import { startPage } from '../watch/page-server.js'

export interface LiveView {
  /** What the configuration of the session is to have besides. */
  watch: { path: string; control: true }
  /** Shows one session after the other, until it is closed. */
  follow(lab: Lab, port: number, tell: (url: string) => void): Promise<void>
  close(): void
}

/** How often it is looked whether a session is there, in milliseconds. */
const LOOK = 100

export function liveView(): LiveView {
  const folder = mkdtempSync(join(tmpdir(), 'atsss-lab-view-'))
  const path = join(folder, 'session.sock')
  const end = new AbortController()
  return {
    watch: { path, control: true },
    async follow({ accesses, link }, port, tell) {
      const links = Object.fromEntries(Object.keys(accesses).map(name => [name, link(name)]))
      while (!end.signal.aborted) {
        const client = await session(path, end.signal)
        if (!client) return
        const page = await startPage(client, { port, links })
        tell(page.url)
        const aborted = new Promise(resolve => end.signal.addEventListener('abort', resolve, { once: true }))
        await Promise.race([client.ended, aborted])
        client.close()
        await page.close()
      }
    },
    close() {
      end.abort()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** The next one that lets itself be watched; undefined: there shall be none. */
async function session(path: string, end: AbortSignal): Promise<WatchClient | undefined> {
  while (!end.aborted) {
    if (existsSync(path)) {
      const client = await WatchClient.open(path).catch(() => undefined)
      if (client) return client
    }
    await wait(LOOK)
  }
  return undefined
}
