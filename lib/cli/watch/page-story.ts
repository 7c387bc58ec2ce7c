/** The events that a page receives: first the history, then what happens. */
import type { ServerResponse } from 'node:http'
import { basename } from 'node:path'
import type { Access, Link, LinkChange } from '../../lab/index.js'
import type { Hello, Snapshot, WatchEvent } from '../../runtime/watch/messages.js'
import type { WatchClient } from './client.js'
import { type History, MOMENTS, NO_HISTORY, next } from './history.js'
import { describeSnapshot, handoverOf, type PageHandover } from './page-data.js'
import { handoversInWords, happeningInWords, labelOf, longestGap, type Titles, TOGETHER_MS, titlesOf } from './words.js'

export interface StoryOptions {
  /** What the page calls it; by default the name of the session's program. */
  title?: string | undefined
  /** The links of a lab, by name, which the page may change. */
  links?: Readonly<Record<string, PageLink>>
  download?: PageDownload | undefined
}

/** The link of an access of a lab, which the page shows and changes. */
export interface PageLink extends Pick<Access, 'access'> {
  link: Pick<Link, 'set' | 'present'>
}

/** The download of the lab's own application, which the page can switch. */
export interface PageDownload {
  /** Whether it goes as fast as it can, and not at the rate of a film. */
  readonly isFast: boolean
  set(isFast: boolean): void
}

/** Something that has happened, in words. */
export interface Noted {
  /** A later note of the same id replaces it. */
  id: number
  at: number
  kind: WatchEvent['event'] | 'link' | 'download'
  text: string
  /** The same in as few words as fit beside a line in a chart. */
  label: string
  /** Whether it is good news, or bad; absent: neither. */
  isGood?: boolean
  /** Only of kind `handover`. */
  handover?: PageHandover
}

/** The most past events that a newly opened page gets. */
const HAPPENINGS = 200
/** A page that does not read is cut off once this many bytes are queued for it. */
const MOST_WAITING = 1_048_576

export class Story {
  readonly #title: string | undefined
  readonly #links: Readonly<Record<string, PageLink>>
  readonly #download: PageDownload | undefined
  readonly #happenings: Noted[] = []
  readonly #groups = new NoteGroups()
  /** The connections of the latest handover. */
  #moved: readonly HandoverEvent[] = []
  readonly #readers = new Set<ServerResponse>()
  #client: WatchClient | undefined
  /** Of the session that is shown, also after its end. */
  #hello: Hello | undefined
  #rules: Hello['rules'] = []
  #endedAt: number | undefined
  #history: History = NO_HISTORY

  constructor({ title, links = {}, download }: StoryOptions) {
    this.#title = title
    this.#links = links
    this.#download = download
  }

  /** The session that is shown; undefined while there is none. */
  get client(): WatchClient | undefined {
    return this.#client
  }

  /** Shows this session from now on. After its end its last state stays, until the next one is shown. */
  show(client: WatchClient): void {
    this.#client = client
    this.#hello = client.hello
    this.#rules = client.hello.rules
    this.#endedAt = undefined
    this.#history = NO_HISTORY
    this.#send('past', this.#past())
    client.on('snapshot', snapshot => this.#take(snapshot))
    client.on('event', happening => this.#takeEvent(happening))
    client.on('close', () => {
      if (this.#client !== client) return
      this.#client = undefined
      this.#endedAt = Date.now()
      this.#send('gone', { at: this.#endedAt })
    })
  }

  /** @param why the reason, if one was given */
  linkChanged(name: string, change: LinkChange, why?: string): void {
    const text = `${name}: ${why || changeInWords(change)}`
    // While a slider moves there is one note, with its latest value.
    const isGradual = !why && change.carrier === undefined && change.down === undefined
    const group = isGradual ? `link ${name} ${Object.keys(change).join()}` : undefined
    this.#note({ at: Date.now(), kind: 'link', text: `link ${text}`, label: text }, group)
    this.#send('links', this.#linksNow())
  }

  downloadChanged(): void {
    const text = this.#download?.isFast ? 'download: as fast as it goes' : 'download: a film'
    this.#note({ at: Date.now(), kind: 'download', text, label: text })
    this.#send('download', this.#downloadNow()!)
  }

  follow(response: ServerResponse): void {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
    response.write(frame('past', this.#past()))
    this.#readers.add(response)
    response.on('close', () => this.#readers.delete(response))
  }

  #past(): object {
    const { moments, last } = this.#history
    return {
      title: this.#title,
      hello: this.#hello && headOf(this.#hello),
      rules: this.#rules,
      endedAt: this.#endedAt,
      now: last && describeSnapshot(last),
      links: this.#linksNow(),
      download: this.#downloadNow(),
      moments,
      happenings: this.#happenings,
      most: MOMENTS,
    }
  }

  #linksNow(): object[] {
    return Object.entries(this.#links).map(([name, { access, link }]) => ({ name, access, ...link.present }))
  }

  #downloadNow(): object | undefined {
    return this.#download && { isFast: this.#download.isFast }
  }

  #take(snapshot: Snapshot): void {
    this.#history = next(this.#history, snapshot)
    const moment = this.#history.moments.at(-1)
    if (moment) this.#send('moment', { moment, ...describeSnapshot(snapshot) })
  }

  #takeEvent(happening: WatchEvent): void {
    const titles = titlesOf(this.#history.last?.accesses ?? this.#hello!.accesses)
    if (happening.event === 'handover') return this.#takeHandover(happening, titles)
    this.#note(noteOf(happening, titles))
    if (happening.event !== 'rules') return
    this.#rules = happening.rules
    this.#send('rules', { rules: this.#rules })
  }

  /** All connections of an access move at the same time: that is one handover for people. */
  #takeHandover(happening: HandoverEvent, titles: Titles): void {
    const { at, from, to } = happening
    const group = `handover ${from} ${to}`
    this.#moved = this.#groups.isOpen(group, at) ? [...this.#moved, happening] : [happening]
    this.#note(noteOfHandovers(this.#moved, titles), group)
  }

  /** @param group notes of the same one, close together, are one note */
  #note(note: Omit<Noted, 'id'>, group?: string): void {
    const id = this.#groups.idFor(group, note.at)
    const noted: Noted = { id, ...note }
    const before = this.#happenings.findIndex(other => other.id === id)
    if (before >= 0) this.#happenings.splice(before, 1, { ...noted, at: this.#happenings[before]!.at })
    else this.#happenings.push(noted)
    this.#happenings.splice(0, this.#happenings.length - HAPPENINGS)
    this.#send('happening', this.#happenings.find(other => other.id === id) ?? noted)
  }

  #send(event: string, data: object): void {
    const bytes = frame(event, data)
    for (const reader of this.#readers) {
      if (reader.writableLength < MOST_WAITING) reader.write(bytes)
      // It would miss this. A page that connects again gets all that is kept.
      else reader.destroy()
    }
  }
}

/** Numbers notes; those of the same group get the same number while they follow each other closely. */
export class NoteGroups {
  readonly #last = new Map<string, { id: number; at: number }>()
  #lastId = 0

  /** Whether the next note of this group, at this time, belongs to the one before. */
  isOpen(group: string, at: number): boolean {
    const last = this.#last.get(group)
    return last !== undefined && at - last.at < TOGETHER_MS
  }

  idFor(group: string | undefined, at: number): number {
    if (group === undefined) return ++this.#lastId
    const id = this.isOpen(group, at) ? this.#last.get(group)!.id : ++this.#lastId
    this.#last.set(group, { id, at })
    return id
  }
}

type HandoverEvent = WatchEvent & { event: 'handover' }

function noteOf(happening: WatchEvent, titles: Titles): Omit<Noted, 'id'> {
  const { at, event: kind } = happening
  const note = { at, kind, text: happeningInWords(happening, titles), label: labelOf(happening, titles) }
  if (happening.event === 'access') return { ...note, isGood: happening.available }
  if (happening.event === 'degraded' || happening.event === 'problem') return { ...note, isGood: false }
  return note
}

/** @param handovers of different connections, the same way, at the same time */
export function noteOfHandovers(handovers: readonly HandoverEvent[], titles: Titles): Omit<Noted, 'id'> {
  const [{ at, from, to }] = handovers as [HandoverEvent]
  const handover = handoverOf({ at, from, to, gapMs: longestGap(handovers) }, titles)
  const label = `to ${handover.to}${handover.gap === undefined ? '' : `, gap ${handover.gap}`}`
  return { at, kind: 'handover', text: handoversInWords(handovers, titles), label, handover }
}

/** The path and the arguments of a program say little in large type. */
function headOf({ title, pid, control }: Hello): object {
  return { name: basename(title), title, pid, control }
}

function frame(event: string, data: object): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`
}

const WORDS: Readonly<Record<string, (value: unknown) => string>> = {
  carrier: value => (value ? 'restored' : 'cut'),
  down: value => (value ? 'silent' : 'no longer silent'),
  rateMbps: value => (value ? `${value} Mbit/s` : 'any rate'),
  delayMs: value => `${value} ms one way`,
  jitterMs: value => `${value} ms of jitter`,
  lossPercent: value => `${value} % loss`,
}

function changeInWords(change: LinkChange): string {
  const said = ([name, value]: [string, unknown]) => WORDS[name]?.(value) ?? `${name} ${JSON.stringify(value)}`
  return Object.entries(change).map(said).join(', ')
}
