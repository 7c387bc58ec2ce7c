import { spawnSync } from 'node:child_process'
import { expect } from 'vitest'
import { ipBatch } from '../../lib/lab/ip.js'
import { requires } from '../support/requires.js'

const ipTest = requires('iproute2', () => spawnSync('ip', ['-V']).error?.message)

ipTest('a batch that fails: the error has the line, the options, and what ip said about it', async () => {
  await expect(ipBatch(['link show lo', 'bogus show'], '-4')).rejects.toMatchObject({
    code: 'ERR_LAB_FAILED',
    message: expect.stringMatching(/^"ip -4 bogus show" failed: Object "bogus" is unknown/),
  })
})

ipTest('options that ip does not know: the error has what it was called with', async () => {
  await expect(ipBatch(['link show lo'], '-bogus')).rejects.toMatchObject({
    code: 'ERR_LAB_FAILED',
    message: expect.stringMatching(/^"ip -bogus -batch -" failed: .*bogus/),
  })
})
