/** mqtt: a function that makes the connection, and each later one after a loss. */
import { MqttClient } from 'mqtt'
import type { Recipe } from './recipe.js'

export const recipe: Recipe = async (session, { host }, between) => {
  const client = new MqttClient(() => session.connect(1883, host), { keepalive: 30 })
  await new Promise<void>(resolve => client.once('connect', () => resolve()))
  await client.subscribeAsync('answers')
  const first = await answer()
  await between()
  const second = await answer()
  await client.endAsync()
  return [first, second]

  async function answer(): Promise<string> {
    const reply = new Promise<string>(resolve => client.once('message', (_, payload) => resolve(String(payload))))
    await client.publishAsync('questions', 'who am I?', { qos: 1 })
    return reply
  }
}
