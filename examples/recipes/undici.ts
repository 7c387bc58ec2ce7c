/** undici 6, 7 and 8: a connector. */
import { connector } from 'atsss/undici'
import { Agent, request } from 'undici7'
import type { Recipe } from './recipe.js'

export const recipe: Recipe = async (session, { host, tls }, between) => {
  const dispatcher = new Agent({ connect: connector(session, { tls }) })
  const first = await (await request(`https://${host}/`, { dispatcher })).body.text()
  await between()
  const second = await (await request(`https://${host}/`, { dispatcher })).body.text()
  await dispatcher.close()
  return [first, second]
}
