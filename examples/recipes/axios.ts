/** axios: the agents, for both schemes. */
import { HttpAgent, HttpsAgent } from 'atsss/http'
import axios from 'axios'
import type { Recipe } from './recipe.js'

export const recipe: Recipe = async (session, { host, tls }, between) => {
  const httpAgent = new HttpAgent(session)
  const httpsAgent = new HttpsAgent(session, tls)
  const client = axios.create({ httpAgent, httpsAgent, proxy: false })
  const { data: first } = await client.get(`https://${host}/`)
  await between()
  const { data: second } = await client.get(`https://${host}/`)
  httpAgent.destroy()
  httpsAgent.destroy()
  return [first, second]
}
