/** Keys that cut and restore the links of a lab. */
import type { Link, LinkChange } from '../../lab/index.js'

/** What keys need of a terminal. */
export interface KeyInput {
  setRawMode?(isRaw: boolean): unknown
  on(event: 'data', listener: (keys: Buffer) => void): unknown
  off(event: 'data', listener: (keys: Buffer) => void): unknown
  pause(): unknown
}

type KeyLink = Pick<Link, 'name' | 'present' | 'set'>

interface Keys extends Disposable {
  /** Resolves at the key that ends the lab; rejects if a link cannot be changed. */
  ended: Promise<void>
}

/** q, Ctrl-C and Ctrl-D: a terminal in raw mode passes them on. */
const QUIT = ['q', '\u0003', '\u0004']

/** What the keys do: `Keys: 1 cuts wifi, 2 cuts cell; the same key restores it. q ends the lab, and everything in it.` */
export function keyLine(links: readonly KeyLink[]): string {
  const cuts = links.slice(0, MOST).map(({ name }, index) => `${index + 1} cuts ${name}`)
  return `Keys: ${cuts.join(', ')}; the same key restores it. q ends the lab, and everything in it.`
}

/** A key is one digit. */
const MOST = 9

/** @param changed called with each change that is in force */
export function obeyKeys(
  input: KeyInput,
  links: readonly KeyLink[],
  changed: (link: string, set: LinkChange, text: string) => void,
): Keys {
  let take = (_: Buffer) => {}
  const ended = new Promise<void>((resolve, reject) => {
    let before = Promise.resolve()
    const toggle = async (index: number) => {
      const link = links[index]
      if (!link) return
      const isCut = link.present.carrier === false
      await link.set({ carrier: isCut })
      const next = `${index + 1} ${isCut ? 'cuts' : 'restores'} it`
      changed(link.name, { carrier: isCut }, `${link.name}: ${isCut ? 'restored' : 'cut'} (${next})`)
    }
    take = keys => {
      for (const key of keys.toString()) {
        if (QUIT.includes(key)) resolve()
        else if (key >= '1' && key <= String(MOST)) {
          before = before.then(() => toggle(Number(key) - 1))
          before.catch(reject)
        }
      }
    }
  })
  ended.catch(() => {}) // what awaits it gets the error
  input.setRawMode?.(true)
  input.on('data', take)
  return {
    ended,
    [Symbol.dispose]() {
      input.off('data', take)
      input.setRawMode?.(false)
      input.pause()
    },
  }
}
