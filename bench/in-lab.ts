/** Measures that need a lab: one is opened for all that are wanted, and closed after them. */
import type { Judgement } from './report.js'

export interface Extent {
  /** A token of each, without meaning. */
  quick: boolean
  /** All percentages of the load balancing. */
  all: boolean
  /** Undefined: as the measure likes. */
  rounds: number | undefined
  progress(text: string): void
}

export interface LabResult {
  /** For the JSON. */
  figures: unknown
  text: string
  judgements: Judgement[]
}

/** One measure, on a lab with what it needs (`Site`). */
export interface LabMeasure<Site> {
  name: string
  run(site: Site, extent: Extent): Promise<LabResult>
}

/** Runs those of `measures` that are in `names`, and reports each when it is done. Throws where anything fails, or a byte is wrong. */
export async function measureInLab<Site extends { close(): Promise<unknown> }>(
  open: () => Promise<Site>,
  measures: readonly LabMeasure<Site>[],
  names: readonly string[],
  extent: Extent,
  done: (name: string, result: LabResult) => void,
): Promise<void> {
  const wanted = measures.filter(({ name }) => names.includes(name))
  if (wanted.length === 0) return
  const site = await openIfAllowed(open)
  if (!site) {
    const why = 'needs emulated links: root, or "unshare -Urnm npm run bench"'
    for (const { name } of wanted) done(name, { figures: {}, text: `${name}\n  ${why}\n`, judgements: [] })
    return
  }
  try {
    for (const { name, run } of wanted)
      done(name, await run(site, { ...extent, progress: text => extent.progress(`${name}, ${text}`) }))
  } finally {
    await site.close()
  }
}

async function openIfAllowed<Site>(open: () => Promise<Site>): Promise<Site | undefined> {
  try {
    return await open()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_LAB_PRIVILEGE') return undefined
    throw error
  }
}
