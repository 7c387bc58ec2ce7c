/** http: an agent whose idle connections follow the rules. */
import { get, type IncomingMessage } from 'node:http'
import { HttpAgent } from 'atsss/http'
import type { Recipe } from './recipe.js'

export const recipe: Recipe = async (session, { host }, between) => {
  const agent = new HttpAgent(session)
  const first = await text(`http://${host}/`)
  await between()
  const second = await text(`http://${host}/`)
  agent.destroy()
  return [first, second]

  async function text(url: string): Promise<string> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      get(url, { agent }, resolve).on('error', reject)
    })
    let all = ''
    for await (const chunk of response) all += chunk
    return all
  }
}
