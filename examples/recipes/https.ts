/** https: TLS goes end to end through the converter, and its sessions are resumed. */
import type { IncomingMessage } from 'node:http'
import { get } from 'node:https'
import { HttpsAgent } from 'atsss/http'
import type { Recipe } from './recipe.js'

export const recipe: Recipe = async (session, { host, tls }, between) => {
  const agent = new HttpsAgent(session, tls)
  const first = await text(`https://${host}/`)
  await between()
  const second = await text(`https://${host}/`)
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
