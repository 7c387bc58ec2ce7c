/** The converter's part of the benchmark: relays compared, and ten thousand connections. It needs a lab. */
import { crowd } from './converter/crowd.js'
import type { ConverterMeasure } from './converter/measure.js'
import { relays } from './converter/relays.js'
import { ConverterSite } from './converter/site.js'
import type { Extent, SteeringResult } from './steering/measure.js'

const MEASURES: readonly ConverterMeasure[] = [relays, crowd]

export const CONVERTER_NAMES: readonly string[] = MEASURES.map(({ name }) => name)

/** Those of `names`, each reported when it is done. Throws where anything fails, or a byte is wrong. */
export async function measureConverter(
  names: readonly string[],
  extent: Extent,
  done: (name: string, result: SteeringResult) => void,
): Promise<void> {
  const measures = MEASURES.filter(({ name }) => names.includes(name))
  if (measures.length === 0) return
  const site = await siteIfAllowed()
  if (!site) {
    const why = 'needs a network namespace: root, or "unshare -Urnm npm run bench"'
    for (const { name } of measures) done(name, { figures: {}, text: `${name}\n  ${why}\n`, judgements: [] })
    return
  }
  try {
    for (const { name, run } of measures)
      done(name, await run(site, { ...extent, progress: text => extent.progress(`${name}, ${text}`) }))
  } finally {
    await site.close()
  }
}

async function siteIfAllowed(): Promise<ConverterSite | undefined> {
  try {
    return await ConverterSite.open()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_LAB_PRIVILEGE') return undefined
    throw error
  }
}
