/** The events that a page receives: first the history, then what happens. */
import type { ServerResponse } from 'node:http'
import type { Access, Link, LinkChange } from '../../lab/index.js'
import type { Snapshot } from '../../runtime/watch/messages.js'
import type { WatchClient } from './client.js'
import { type History, handoverBetween, MOMENTS, NO_HISTORY, next } from './history.js'
import { describeSnapshot } from './page-data.js'
import { happeningInWords } from './words.js'

/** The link of an access of a lab, which the page shows and changes. */
export interface PageLink extends Pick<Access, 'access'> {
  link: Pick<Link, 'set' | 'present'>
}

interface Noted {
  at: number
  text: string
  kind: string
  /** Of kind `access`: what it is now. */
  available?: boolean
}

/** The most past events that a newly opened page gets. */
const HAPPENINGS = 200
/** A page that does not read is skipped once this many bytes are queued for it. */
const MOST_WAITING = 1_048_576

export class Story {
  readonly #links: Readonly<Record<string, PageLink>>
  readonly #happenings: Noted[] = []
  readonly #readers = new Set<ServerResponse>()
  #client: WatchClient | undefined
  #history: History = NO_HISTORY

  constructor(links: Readonly<Record<string, PageLink>>) {
    this.#links = links
  }

  /** The session that is shown; undefined while there is none. */
  get client(): WatchClient | undefined {
    return this.#client
  }

  /** Shows this session from now on, until it ends. */
  show(client: WatchClient): void {
    this.#client = client
    this.#history = NO_HISTORY
    this.#send('past', this.#past())
    client.on('snapshot', snapshot => this.#take(snapshot))
    client.on('event', happening => {
      const available = happening.event === 'access' ? { available: happening.available } : {}
      this.#note({ at: happening.at, text: happeningInWords(happening), kind: happening.event, ...available })
    })
    client.on('close', () => {
      if (this.#client !== client) return
      this.#client = undefined
      this.#send('gone', {})
    })
  }

  /** @param why the reason, if one was given */
  linkChanged(name: string, change: LinkChange, why?: string): void {
    this.#note({ at: Date.now(), text: `link ${name}: ${why || inWords(change)}`, kind: 'link' })
    this.#send('links', this.#linksNow())
  }

  follow(response: ServerResponse): void {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
    response.write(frame('past', this.#past()))
    this.#readers.add(response)
    response.on('close', () => this.#readers.delete(response))
  }

  #past(): object {
    const { moments } = this.#history
    const hello = this.#client?.hello
    return { hello, links: this.#linksNow(), moments, happenings: this.#happenings, most: MOMENTS }
  }

  #linksNow(): object[] {
    return Object.entries(this.#links).map(([name, { access, link }]) => ({ name, access, ...link.present }))
  }

  #take(snapshot: Snapshot): void {
    const handover = handoverBetween(this.#history.last, snapshot)
    if (handover !== undefined) this.#note({ at: snapshot.at, text: handover, kind: 'handover' })
    this.#history = next(this.#history, snapshot)
    const moment = this.#history.moments.at(-1)
    if (moment) this.#send('moment', { moment, ...describeSnapshot(snapshot) })
  }

  #note(happened: Noted): void {
    this.#happenings.push(happened)
    this.#happenings.splice(0, this.#happenings.length - HAPPENINGS)
    this.#send('happening', happened)
  }

  #send(event: string, data: object): void {
    for (const reader of this.#readers) if (reader.writableLength < MOST_WAITING) reader.write(frame(event, data))
  }
}

function frame(event: string, data: object): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`
}

const WORDS: Readonly<Record<string, (value: unknown) => string>> = {
  carrier: value => (value ? 'plugged in' : 'cut'),
  down: value => (value ? 'a black hole' : 'no black hole any more'),
  rateMbps: value => (value ? `${value} Mbit/s` : 'any rate'),
  delayMs: value => `${value} ms one way`,
  jitterMs: value => `${value} ms of jitter`,
  lossPercent: value => `${value} % loss`,
}

function inWords(change: LinkChange): string {
  const said = ([name, value]: [string, unknown]) => WORDS[name]?.(value) ?? `${name} ${JSON.stringify(value)}`
  return Object.entries(change).map(said).join(', ')
}
