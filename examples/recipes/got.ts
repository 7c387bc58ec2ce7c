/** got: the agents, for both schemes. */
import { HttpAgent, HttpsAgent } from 'atsss/http'
import got from 'got'
import type { Recipe } from './recipe.js'

export const recipe: Recipe = async (session, { host, tls }, between) => {
  const agent = { http: new HttpAgent(session), https: new HttpsAgent(session, tls) }
  const client = got.extend({ agent, retry: { limit: 0 } })
  const first = await client(`http://${host}/`).text()
  await between()
  const second = await client(`http://${host}/`).text()
  agent.http.destroy()
  agent.https.destroy()
  return [first, second]
}
