/** ioredis: a connector, which makes each of its connections. */
import { once } from 'node:events'
import type { MaPduSession, MptcpSocket } from 'atsss'
import { Redis } from 'ioredis'
import type { Recipe } from './recipe.js'

export const recipe: Recipe = async (session, { host }, between) => {
  const client = new Redis({ Connector: connectorOf(session, host) as never, lazyConnect: true })
  await client.connect()
  const first = await client.get('connection')
  await between()
  const second = await client.get('connection')
  await client.quit()
  return [first, second]
}

function connectorOf(session: MaPduSession, host: string) {
  return class {
    #socket: MptcpSocket | undefined

    check(): boolean {
      return true
    }

    async connect(): Promise<MptcpSocket> {
      this.#socket = session.connect(6379, host)
      await once(this.#socket, 'connect')
      return this.#socket
    }

    disconnect(): void {
      this.#socket?.end()
    }
  }
}
