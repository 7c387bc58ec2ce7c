/** The client of a session's watch socket: receives snapshots and events, and sends requests. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { EventEmitter } from 'eventemitter3'
import { AtsssError } from '../../errors.js'
import { tooLong } from '../../runtime/watch/folders.js'
import {
  type Hello,
  Lines,
  type Snapshot,
  WATCH_VERSION,
  type WatchEvent,
  type WatchMessage,
} from '../../runtime/watch/messages.js'

interface WatchClientEvents {
  snapshot: [snapshot: Snapshot]
  event: [happening: WatchEvent]
  /** The session has ended; with an error if its messages could not be read. */
  close: [error: Error | undefined]
}

/** A request, without its id. */
export type Wish = { do: 'every'; milliseconds: number } | { do: 'update'; rules: unknown }

export class WatchClient extends EventEmitter<WatchClientEvents> {
  readonly hello: Hello
  readonly path: string
  /** Resolves when the session has ended, also if it has ended already. */
  readonly ended: Promise<void>
  readonly #socket: Socket
  readonly #answers = new Map<number, (error: string | undefined) => void>()
  #lastId = 0

  private constructor(path: string, socket: Socket, hello: Hello) {
    super()
    this.path = path
    this.hello = hello
    this.#socket = socket
    this.ended = new Promise(resolve => this.once('close', () => resolve()))
  }

  /**
   * Throws ERR_ATSSS_WATCH if no process listens there, or it is not a session of this version.
   *
   * @param patience how long it may take to answer, in milliseconds: a process may be stopped, or busy
   */
  static async open(path: string, patience = Number.POSITIVE_INFINITY): Promise<WatchClient> {
    const long = tooLong(path)
    if (long !== undefined) throw new AtsssError('ERR_ATSSS_WATCH', `no session can be watched at this place: ${long}`)
    const socket = connect(path).setEncoding('utf8')
    await once(socket, 'connect').catch((error: Error) => {
      throw new AtsssError('ERR_ATSSS_WATCH', `no session can be watched at ${path}: ${whyNot(error)}`, {
        cause: error,
      })
    })
    return new Promise((resolve, reject) => {
      const lines = new Lines()
      let client: WatchClient | undefined
      let wrong: Error | undefined
      const late = () => {
        wrong = new AtsssError('ERR_ATSSS_WATCH', `${path}: its process has not answered for ${patience} ms`)
        socket.destroy()
      }
      const timer = patience === Number.POSITIVE_INFINITY ? undefined : setTimeout(late, patience)
      const take = (message: WatchMessage) => {
        if (client) return client.#take(message)
        if (message.type !== 'hello' || message.version !== WATCH_VERSION)
          throw new AtsssError(
            'ERR_ATSSS_WATCH',
            `${path} is not the watch socket of a session of this version of atsss`,
          )
        clearTimeout(timer)
        client = new WatchClient(path, socket, message)
        resolve(client)
      }
      socket.on('data', (text: unknown) => {
        try {
          for (const line of lines.push(String(text))) take(JSON.parse(line) as WatchMessage)
        } catch (error) {
          wrong = error as Error
          socket.destroy()
        }
      })
      socket.on('error', error => {
        wrong = error
      })
      socket.on('close', () => {
        clearTimeout(timer)
        if (client) client.#end(wrong)
        else reject(wrong ?? new AtsssError('ERR_ATSSS_WATCH', `${path} has closed the connection`))
      })
    })
  }

  /** Sends a request. Rejects with the session's reason if it refuses. */
  ask(wish: Wish): Promise<void> {
    if (this.#socket.destroyed) return Promise.reject(new AtsssError('ERR_ATSSS_WATCH', GONE))
    const id = ++this.#lastId
    this.#socket.write(`${JSON.stringify({ ...wish, id })}\n`)
    return new Promise((resolve, reject) => {
      const refuse = (error: string) => reject(new AtsssError('ERR_ATSSS_WATCH', error))
      this.#answers.set(id, error => (error === undefined ? resolve() : refuse(error)))
    })
  }

  close(): void {
    this.#socket.destroy()
  }

  #take(message: WatchMessage): void {
    if (message.type === 'snapshot') this.emit('snapshot', message)
    else if (message.type === 'event') this.emit('event', message)
    else if (message.type === 'answer') {
      this.#answers.get(message.id)?.(message.error)
      this.#answers.delete(message.id)
    }
  }

  #end(error: Error | undefined): void {
    for (const answer of this.#answers.values()) answer(GONE)
    this.#answers.clear()
    this.emit('close', error)
  }
}

function whyNot({ code, message }: NodeJS.ErrnoException): string {
  switch (code) {
    case 'ENOENT':
      return 'there is no such socket: start the process, and give its session the option "watch: true"'
    case 'ECONNREFUSED':
      return 'its process has ended'
    case 'EACCES':
      return 'it belongs to another user: run atsss watch as that user'
    default:
      return message
  }
}

const GONE = 'the session has ended'
