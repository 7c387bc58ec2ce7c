import { EventEmitter, once } from 'node:events'
import { expect, test } from 'vitest'
import { type KeyInput, keyLine, obeyKeys } from '../../lib/cli/lab/keys.js'
import type { LinkChange } from '../../lib/lab/index.js'

class Terminal extends EventEmitter implements KeyInput {
  isRaw = false
  isPaused = false
  setRawMode(isRaw: boolean): void {
    this.isRaw = isRaw
  }
  pause(): void {
    this.isPaused = true
  }
  press(keys: string): void {
    this.emit('data', Buffer.from(keys))
  }
}

function linkNamed(name: string) {
  const link = {
    name,
    present: {} as LinkChange,
    async set(change: LinkChange) {
      await new Promise(setImmediate)
      Object.assign(link.present, change)
    },
  }
  return link
}

test('a digit cuts a link and restores it; the line says what the next press does', async () => {
  const terminal = new Terminal()
  const links = [linkNamed('wifi'), linkNamed('cell')]
  const said: string[] = []
  const done = new EventEmitter()
  expect(keyLine(links)).toBe(
    'Keys: 1 cuts wifi, 2 cuts cell; the same key restores it. q ends the lab, and everything in it.',
  )
  const keys = obeyKeys(terminal, links, (link, set, text) => {
    said.push(text)
    expect(links.find(({ name }) => name === link)!.present).toMatchObject(set)
    if (said.length === 3) done.emit('done')
  })
  expect(terminal.isRaw).toBe(true)
  // Faster than the link changes: each press counts.
  terminal.press('11')
  terminal.press('x9')
  terminal.press('2')
  await once(done, 'done')
  expect(said).toEqual(['wifi: cut (1 restores it)', 'wifi: restored (1 cuts it)', 'cell: cut (2 restores it)'])
  terminal.press('q')
  await keys.ended
  keys[Symbol.dispose]()
  expect([terminal.isRaw, terminal.isPaused, terminal.listenerCount('data')]).toEqual([false, true, 0])
})

test.each(['\u0003', '\u0004'])('%j ends it, as in a terminal that is not raw', async key => {
  const terminal = new Terminal()
  const keys = obeyKeys(terminal, [], () => {})
  terminal.press(key)
  await keys.ended
})

test('a link that cannot be changed ends it with the reason', async () => {
  const terminal = new Terminal()
  const link = { ...linkNamed('wifi'), set: () => Promise.reject(new Error('the emulator has gone')) }
  const keys = obeyKeys(terminal, [link], () => {})
  terminal.press('1')
  await expect(keys.ended).rejects.toThrow('the emulator has gone')
})
