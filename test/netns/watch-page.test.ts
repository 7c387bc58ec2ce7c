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
    page = await startPage(client, { links: { wifi: rig.lab.link('wifi'), cell: rig.lab.link('cell') } })
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

  pageTest('shows what happens, changes links and rules, and asks nobody else', async () => {
    const tab = await chrome.newPage()
    const wrong: string[] = []
    const asked: string[] = []
    tab.on('pageerror', error => wrong.push(error.message))
    tab.on('console', message => message.type() === 'error' && wrong.push(message.text()))
    tab.on('request', request => asked.push(new URL(request.url()).origin))
    await tab.goto(page.url)
    await ue.bulk()
    const row = (table: string, text: string) => tab.locator(`#${table} tr`, { hasText: text }).first()
    await expect.poll(() => tab.textContent('#state')).toBe('steering level: userspace')
    await expect.poll(() => row('accesses', 'wifi').textContent()).toMatch(/available.*Mbit\/s/)
    await expect.poll(() => tab.locator('#connections tr.subflow').count(), { timeout: 5000 }).toBe(2)

    await tab.locator('.link', { hasText: 'wifi' }).getByText('cut').click()
    await expect.poll(() => row('accesses', 'wifi').textContent(), { timeout: 5000 }).toMatch(/lost/)
    await expect.poll(() => row('accesses', 'cell').textContent(), { timeout: 5000 }).toMatch(/Mbit\/s/)
    expect(await tab.textContent('#happenings')).toMatch(/non-3gpp is lost: wifi has no carrier/)
    await tab.locator('.link', { hasText: 'wifi' }).getByText('cut').click()
    await ue.until('non-3gpp', true)

    await tab.selectOption('#preset', 'share')
    await tab.getByText('Apply').click()
    await expect.poll(() => tab.textContent('#rules')).toMatch(/load-balancing: 50 % over 3gpp/)
    expect(wrong).toEqual([])
    await tab.selectOption('#preset', 'json')
    await tab.fill('#json', '[{"precedence": 300}]')
    await tab.getByText('Apply').click()
    await expect.poll(() => tab.textContent('#refused')).toMatch(/rules\[0\]/)
    // Both charts have been drawn: not one colour all over.
    for (const chart of ['throughput', 'rtt']) expect(await inks(chart)).toBeGreaterThan(4)
    expect(new Set(asked)).toEqual(new Set([new URL(page.url).origin]))

    async function inks(chart: string): Promise<number> {
      return tab.evaluate(id => {
        const canvas = (globalThis as unknown as Window).document.querySelector(`#${id} canvas`)!
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
        return new Set(new Uint32Array(data.buffer)).size
      }, chart)
    }
  })
})

/** As much of a browser's as is used here. */
interface Window {
  document: {
    querySelector(selector: string): {
      width: number
      height: number
      getContext(kind: '2d'): { getImageData(...area: number[]): { data: Uint8ClampedArray } }
    } | null
  }
}
