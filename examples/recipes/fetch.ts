/** Node's own fetch lets nobody choose its sockets: the preload does. `node --import atsss/register` is this without a line of code. */
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
