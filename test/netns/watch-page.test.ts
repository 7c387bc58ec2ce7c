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
    const row = (table: string, text: string) => tab.locator(`#${table} tr`, { hasText: text }).first()
    await soon(() => tab.textContent('#state')).toBe('steering level: userspace')
    await soon(() => row('accesses', 'wifi').textContent()).toMatch(/available.*Mbit\/s/)
    await soon(() => tab.locator('#connections tr.subflow:not(.down)').count()).toBe(2)
    await soon(() => tab.locator('#connections tr.subflow.down').count()).toBe(2)

    const control = (text: string) => tab.locator('.link', { hasText: 'wifi' }).getByText(text)
    await control('cut').click()
    await soon(() => row('accesses', 'wifi').textContent()).toMatch(/lost/)
    await soon(() => control('cut').getAttribute('aria-pressed')).toBe('true')
    await soon(() => row('accesses', 'cell').textContent()).toMatch(/Mbit\/s/)
    expect(await tab.textContent('#happenings')).toMatch(/non-3gpp is lost: wifi has no carrier/)
    expect(await tab.textContent('#happenings')).toMatch(/link wifi: cut/)
    await soon(() => tab.textContent('#happenings')).toMatch(/handover to 3gpp/)
    await control('cut').click()
    await ue.until('non-3gpp', true)

    const slider = tab.locator('.link', { hasText: 'cell' }).getByLabel('rate')
    await slider.fill('7')
    await soon(() => rig.lab.link('cell').present.rateMbps).toBe(7)
    // What somebody else does to a link is shown too.
    await rig.lab.link('cell').set({ rateMbps: 20 })
    page.linkChanged('cell', { rateMbps: 20 }, 'in the next cell')
    await soon(() => slider.inputValue()).toBe('20')
    expect(await tab.textContent('#happenings')).toMatch(/link cell: in the next cell/)

    await tab.selectOption('#preset', 'share')
    await tab.getByText('Apply').click()
    await soon(() => tab.textContent('#rules')).toMatch(/load-balancing: 50 % over 3gpp/)
    expect(wrong).toEqual([])
    await tab.selectOption('#preset', 'json')
    await tab.fill('#json', '[{"precedence": 300}]')
    await tab.getByText('Apply').click()
    await soon(() => tab.textContent('#refused')).toMatch(/rules\[0\]/)
    // Nothing is wider than a small window: what is, scrolls in a box of its own.
    await tab.setViewportSize({ width: 380, height: 700 })
    const across = () => tab.evaluate(() => (globalThis as unknown as Window).document.documentElement.scrollWidth)
    await soon(across).toBeLessThanOrEqual(380)
    // Both charts have been drawn: not one colour all over.
    for (const chart of ['throughput', 'rtt']) expect(await inks(chart)).toBeGreaterThan(4)
    expect(new Set(asked)).toEqual(new Set([new URL(page.url).origin]))
    client.close()
    await soon(() => tab.textContent('#state')).toBe('the session has ended')
    expect(await tab.locator('#change').isVisible()).toBe(false)
    expect(await tab.textContent('#connections tbody')).toBe('none')

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
    querySelector(selector: string): {
      width: number
      height: number
      getContext(kind: '2d'): { getImageData(...area: number[]): { data: Uint8ClampedArray } }
    } | null
  }
}
