/** @grpc/grpc-js accepts no sockets, so the preload makes its connections use the session. */
import { Client, credentials } from '@grpc/grpc-js'
import { preload } from 'atsss/preload'
import type { Recipe } from './recipe.js'

export const recipe: Recipe = async (session, { host }, between) => {
  const release = preload(session)
  const client = new Client(`${host}:50051`, credentials.createInsecure())
  const first = await ask()
  await between()
  const second = await ask()
  client.close()
  release()
  return [first, second]

  function ask(): Promise<string> {
    const [toBytes, fromBytes] = [(text: string) => Buffer.from(text), (bytes: Buffer) => String(bytes)]
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest('/Service/Ask', toBytes, fromBytes, 'who am I?', (error, answer) =>
        error ? reject(error) : resolve(answer!),
      )
    })
  }
}
