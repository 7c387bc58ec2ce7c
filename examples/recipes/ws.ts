/** ws: an agent makes the connection for the handshake, and ws keeps it. */
import { once } from 'node:events'
import { HttpsAgent } from 'atsss/http'
import { WebSocket } from 'ws'
import type { Recipe } from './recipe.js'

export const recipe: Recipe = async (session, { host, tls }, between) => {
  const agent = new HttpsAgent(session, tls)
  const socket = new WebSocket(`wss://${host}/`, { agent })
  await once(socket, 'open')
  const first = await answer('one')
  await between()
  const second = await answer('two')
  socket.close()
  await once(socket, 'close')
  agent.destroy()
  return [first, second]

  async function answer(question: string): Promise<string> {
    socket.send(question)
    return String((await once(socket, 'message'))[0])
  }
}
