/** The live page of a lab: of the session that a command opens there, with controls for the lab's links. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { Lab } from '../../lab/index.js'
import { WatchClient } from '../watch/client.js'
import { type Page, startPage } from '../watch/page-server.js'
import type { PageDownload } from '../watch/page-story.js'

interface LiveView extends Pick<Page, 'url' | 'linkChanged'>, AsyncDisposable {
  /** Additional properties of the session's configuration. */
  watch: { path: string; control: true }
}

/** Milliseconds between two checks for a session. */
const LOOK = 100

/** Shows one session after another, until it is closed. @param download of the lab's own application, if that runs */
export async function openLiveView(
  { accesses }: Lab,
  port: number | { fd: number },
  title: string,
  download: PageDownload | undefined,
): Promise<LiveView> {
  const page = await startPage({ port, title, links: accesses, download })
  const folder = mkdtempSync(join(tmpdir(), 'atsss-lab-view-'))
  const path = join(folder, 'session.sock')
  const end = new AbortController()
  const following = follow(path, page, end.signal)
  return {
    url: page.url,
    linkChanged: page.linkChanged,
    watch: { path, control: true },
    async [Symbol.asyncDispose]() {
      end.abort()
      await Promise.all([following, page.close()])
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function follow(path: string, page: Page, end: AbortSignal): Promise<void> {
  const aborted = new Promise(resolve => end.addEventListener('abort', resolve, { once: true }))
  while (!end.aborted) {
    const client = existsSync(path) ? await WatchClient.open(path).catch(() => undefined) : undefined
    if (client) {
      page.show(client)
      await Promise.race([client.ended, aborted])
      client.close()
    } else await wait(LOOK, undefined, { signal: end }).catch(() => {}) // aborted
  }
}
