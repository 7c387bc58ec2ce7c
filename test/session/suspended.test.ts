/** A machine that was suspended: its clock stood still, and with it every timer. What a session does when it goes on. */
import { afterEach, expect, test, vi } from 'vitest'
import { MaPduSession } from '../../lib/index.js'
import { ExternalAddress } from '../../lib/runtime/incoming/external-address.js'
import { ConverterAddresses } from '../../lib/session/converter-addresses.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'

const clock = vi.hoisted(() => ({ suspendedMs: 0 }))
vi.mock('../../lib/runtime/kernel/suspended-time.js', () => ({ suspendedMs: () => clock.suspendedMs }))
afterEach(() => void vi.restoreAllMocks())

requires('MPTCP', mptcp)('its servers request their mappings again, and look their converters up', async () => {
  const [asked, lookedUp] = [vi.fn(), vi.fn()]
  vi.spyOn(ExternalAddress.prototype, 'requestAgain').mockImplementation(asked)
  vi.spyOn(ConverterAddresses.prototype, 'refresh').mockImplementation(lookedUp)
  const session = new MaPduSession({
    accesses: { '3gpp': 'nowhere0', 'non-3gpp': 'lo' },
    converters: '127.0.0.1:5124',
    controller: 'inline',
  })
  const server = session.createServer({ pcpServers: ['127.0.0.1:9'] })
  await new Promise<void>(resolve => server.listen(0, resolve))
  await session.ready
  clock.suspendedMs += 3_600_000
  await expect.poll(() => asked.mock.calls.length, { timeout: 10_000 }).toBe(1)
  expect(lookedUp).toHaveBeenCalled()
  session.close()
})

test('how long the machine was suspended is a number that stands still while it runs', async () => {
  const { suspendedMs } = await vi.importActual<typeof import('../../lib/runtime/kernel/suspended-time.js')>(
    '../../lib/runtime/kernel/suspended-time.js',
  )
  const before = suspendedMs()
  await new Promise(resolve => setTimeout(resolve, 200))
  expect(Math.abs(suspendedMs() - before)).toBeLessThan(100)
})
