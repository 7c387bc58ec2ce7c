/** The live page in a real browser, of a session in the lab whose links its buttons change. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, expect } from 'vitest'
import { WatchClient } from '../../lib/cli/watch/client.js'
import { type Page, startPage } from '../../lib/cli/watch/page-server.js'
import { all, mptcp, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { RULES, SessionLab, type SessionUe } from '../support/session-lab.js'

/** Debian's. */
const CHROMIUM = '/usr/bin/chromium'
const browser = () => (existsSync(CHROMIUM) ? undefined : `${CHROMIUM} (apt-get install chromium)`)
const pageTest = requires('a browser, and MPTCP in network namespaces', all(root, netns, mptcp, browser))

pageTest.describe('the page of a session', () => {
  const folder = mkdtempSync(join(tmpdir(), 'atsss-page-'))
  let rig: SessionLab
  let ue: SessionUe
  let client: WatchClient
  let page: Page
  let chrome: Browser
  beforeAll(async () => {
    rig = await SessionLab.open()
    const path = join(folder, 's')
    ue = await rig.ue({ rules: RULES.wifiThenCell, watch: { path, control: true } })
    client = await WatchClient.open(path)
    page = await startPage({ links: rig.lab.accesses })
    page.show(client)
    const quiet = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking']
    const args = ['--no-sandbox', '--disable-component-update', '--disable-sync', ...quiet]
    chrome = await chromium.launch({ executablePath: CHROMIUM, args })
  })
  afterAll(async () => {
    await chrome?.close()
    await page?.close()
    client?.close()
    await rig?.close()
    rmSync(folder, { recursive: true })
  })

  pageTest('shows what happens, changes links and rules, and contacts no other host', async () => {
    const tab = await chrome.newPage()
    const wrong: string[] = []
    const asked: string[] = []
    tab.on('pageerror', error => wrong.push(error.message))
    tab.on('console', message => message.type() === 'error' && wrong.push(message.text()))
    tab.on('request', request => asked.push(new URL(request.url()).origin))
    await tab.goto(page.url)
    await ue.bulk()
    const card = (access: string) => tab.locator(`.access[data-access="${access}"]`)
    await soon(() => tab.textContent('#state')).toBe('live')
    await soon(() => tab.textContent('#level')).toBe('full steering')
    await soon(() => card('non-3gpp').textContent()).toMatch(/Wi-Fi.*available.*Mbit\/s/)
    await soon(() => tab.locator('#connections tr.subflow').count()).toBe(2)
    expect(await tab.textContent('#gap-figure')).toBe('–')

    await card('non-3gpp').getByText('Cut').click()
    await soon(() => card('non-3gpp').textContent()).toMatch(/lost/)
    await soon(() => card('non-3gpp').getByText('Restore').getAttribute('aria-pressed')).toBe('true')
    await soon(() => card('3gpp').textContent()).toMatch(/Mbit\/s/)
    await soon(() => tab.textContent('#happenings')).toMatch(/Wi-Fi is lost: wifi has no carrier/)
    expect(await tab.textContent('#happenings')).toMatch(/link wifi: cut/)
    // What it is all about, in large type.
    await soon(() => tab.textContent('#gap-figure')).toMatch(/^\d+ ms$|^\d\.\d s$/)
    expect(await tab.textContent('#gap-way')).toMatch(/^Wi-Fi to Cellular, \d\d:\d\d:\d\d$/)
    await card('non-3gpp').getByText('Restore').click()
    await ue.until('non-3gpp', true)

    const slider = tab.locator('.link[data-link="cell"]').getByLabel('rate')
    await slider.fill('7')
    await soon(() => rig.lab.link('cell').present.rateMbps).toBe(7)
    // What somebody else does to a link is shown too.
    await rig.lab.link('cell').set({ rateMbps: 20 })
    page.linkChanged('cell', { rateMbps: 20 }, 'in the next cell')
    await soon(() => slider.inputValue()).toBe('20')
    expect(await tab.textContent('#happenings')).toMatch(/link cell: in the next cell/)

    await tab.getByRole('radio', { name: 'share' }).check()
    await soon(() => tab.textContent('#present')).toBe('50 % over cellular')
    await soon(() => tab.textContent('#rules')).toMatch(/load-balancing: 50 % over Cellular/)
    // Rules that come from elsewhere are what the form shows.
    await client.ask({ do: 'update', rules: 'interactive' })
    await soon(() => tab.getByRole('radio', { name: 'interactive' }).isChecked()).toBe(true)
    expect(wrong).toEqual([])
    await tab.getByRole('radio', { name: 'JSON' }).check()
    expect(await tab.inputValue('#json')).toContain('SMALLEST_DELAY')
    await tab.fill('#json', '[{"precedence": 300}]')
    await tab.getByText('Apply').click()
    await soon(() => tab.textContent('#refused')).toMatch(/rules\[0\]/)
    // On a small window nothing is wider than it, in no part of the page.
    await tab.setViewportSize({ width: 390, height: 700 })
    await soon(widest).toBeLessThanOrEqual(390)
    // Both charts have been drawn: not one colour all over.
    for (const chart of ['throughput', 'rtt']) expect(await inks(chart)).toBeGreaterThan(4)
    expect(new Set(asked)).toEqual(new Set([new URL(page.url).origin]))
    client.close()
    await soon(() => tab.textContent('#state')).toMatch(/^ended at \d\d:\d\d:\d\d: this is its last state$/)
    expect(await tab.locator('#change').isVisible()).toBe(false)
    // The last state stays, also when the page is loaded again.
    for (const again of [false, true]) {
      if (again) await tab.reload()
      await soon(() => tab.locator('#connections tr.connection').count()).toBe(1)
      await soon(() => tab.textContent('#gap-figure')).toMatch(/\d/)
      await soon(() => inks('throughput')).toBeGreaterThan(4)
      await soon(() => tab.textContent('#state')).toMatch(/^ended at/)
    }
    expect(wrong.filter(text => !text.includes('400'))).toEqual([])

    /** The right edge of the element that reaches furthest. */
    function widest(): Promise<number> {
      return tab.evaluate(() => {
        const { document } = globalThis as unknown as Window
        const all = [...document.querySelectorAll('main *, header *')]
        return Math.max(
          document.documentElement.scrollWidth,
          ...all.map(one => Math.round(one.getBoundingClientRect().right)),
        )
      })
    }

    async function inks(chart: string): Promise<number> {
      return tab.evaluate(id => {
        const canvas = (globalThis as unknown as Window).document.querySelector(`#${id} canvas`)!
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
        return new Set(new Uint32Array(data.buffer)).size
      }, chart)
    }
  })
})

/** On a busy machine, too. */
function soon<T>(value: () => T) {
  return expect.poll(value, { timeout: 20_000 })
}

/** As much of a browser's as is used here. */
interface Window {
  document: {
    documentElement: { scrollWidth: number }
    querySelectorAll(selector: string): Iterable<{ getBoundingClientRect(): { right: number } }>
    querySelector(selector: string): {
      width: number
      height: number
      getContext(kind: '2d'): { getImageData(...area: number[]): { data: Uint8ClampedArray } }
    } | null
  }
}
