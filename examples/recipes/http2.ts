/** http2: connectTls makes its one connection. */
import { once } from 'node:events'
import { connect } from 'node:http2'
import { connectTls } from 'atsss/tls'
import type { Recipe } from './recipe.js'

export const recipe: Recipe = async (session, { host, tls }, between) => {
  const client = connect(`https://${host}:8443`, {
    createConnection: () => connectTls(session, { host, port: 8443, ALPNProtocols: ['h2'], ...tls }),
  })
  const first = await text('/')
  await between()
  const second = await text('/')
  client.close()
  await once(client, 'close')
  return [first, second]

  async function text(path: string): Promise<string> {
    let all = ''
    for await (const chunk of client.request({ ':path': path })) all += chunk
    return all
  }
}
