/** Node's own fetch accepts no sockets, so use the preload. `node --import atsss/register` does the same without a line of code. */
import { preload } from 'atsss/preload'
import type { Recipe } from './recipe.js'

export const recipe: Recipe = async (session, { host }, between) => {
  const release = preload(session)
  const first = await (await fetch(`http://${host}/`)).text()
  await between()
  const second = await (await fetch(`http://${host}/`)).text()
  release()
  return [first, second]
}
