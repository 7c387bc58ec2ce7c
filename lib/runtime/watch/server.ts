/** Shows a session to the processes of its user: a Unix socket with mode 0600 that says what is there, and what happens. */
import { chmodSync, lstatSync, mkdirSync, unlinkSync } from 'node:fs'
import { createServer, connect as open, type Server, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { AtsssError } from '../../errors.js'
import {
  type Happening,
  type Hello,
  Lines,
  type Snapshot,
  type WatchMessage,
  type WatchRequest,
  watchFolder,
} from './messages.js'

/** Milliseconds. */
export const EVERY = { least: 50, usual: 250, most: 60_000 }
/** One who does not read is left out once so many bytes wait for him, until he has read them. */
const MOST_WAITING = 1_048_576
/** A request longer than this is none, in characters: rules are the longest. */
const LONGEST_REQUEST = 262_144
/** How many may watch at a time. */
const MOST_WATCHERS = 16

export interface Watched {
  hello(): Hello
  snapshot(): Snapshot
  /** Undefined: the rules are not to be changed from outside. Throws what is wrong with them. */
  update: ((rules: unknown) => void) | undefined
}

interface Watcher {
  socket: Socket
  timer: NodeJS.Timeout | undefined
}

export class WatchServer {
  /** Where it listens; rejects when it cannot. */
  readonly listening: Promise<string>
  readonly #watched: Watched
  readonly #server: Server
  readonly #watchers = new Set<Watcher>()
  readonly #removeAtExit = () => this.close()
  #path: string | undefined
  #closed = false

  /** @param path undefined: `PID.sock` in the user's own folder; a second session of a process has `PID-2.sock` */
  constructor(watched: Watched, path: string | undefined) {
    this.#watched = watched
    this.#server = createServer(socket => this.#welcome(socket))
    this.#server.maxConnections = MOST_WATCHERS
    this.#server.on('error', () => {}) // one who could not be accepted: the application goes on
    this.#server.unref()
    this.listening = this.#listen(path)
    this.listening.catch(() => {}) // also told by the session
  }

  /** To all who watch. */
  tell(happening: Happening): void {
    for (const { socket } of this.#watchers) send(socket, happening)
  }

  /** The socket is removed at once. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    process.off('exit', this.#removeAtExit)
    for (const { socket } of this.#watchers) socket.destroy()
    this.#server.close()
    if (this.#path !== undefined) remove(this.#path)
  }

  async #listen(wanted: string | undefined): Promise<string> {
    const path = wanted ?? ownPath()
    try {
      await this.#bind(path)
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code !== 'EADDRINUSE' || !(await isLeftOver(path))) throw new AtsssError('ERR_ATSSS_WATCH', message)
      remove(path)
      await this.#bind(path).catch((again: Error) => {
        throw new AtsssError('ERR_ATSSS_WATCH', again.message)
      })
    }
    chmodSync(path, 0o600)
    this.#path = path
    process.once('exit', this.#removeAtExit)
    return path
  }

  #bind(path: string): Promise<void> {
    const server = this.#server
    return new Promise((resolve, reject) => {
      const closed = () => reject(new AtsssError('ERR_ATSSS_WATCH', 'the session has been closed'))
      if (this.#closed) return closed()
      server.once('error', reject).once('close', closed)
      // Its own, also in a cluster's worker, whose primary would listen for it.
      server.listen({ path, exclusive: true }, () => {
        server.off('error', reject).off('close', closed)
        resolve()
      })
    })
  }

  #welcome(socket: Socket): void {
    const watcher: Watcher = { socket, timer: undefined }
    const lines = new Lines(LONGEST_REQUEST)
    this.#watchers.add(watcher)
    socket.setEncoding('utf8').unref()
    socket.on('error', () => {}) // one who goes away is no matter
    socket.on('close', () => {
      clearInterval(watcher.timer)
      this.#watchers.delete(watcher)
    })
    socket.on('data', (text: string) => {
      try {
        for (const line of lines.push(text)) this.#obey(watcher, JSON.parse(line) as WatchRequest)
      } catch {
        socket.destroy()
      }
    })
    send(socket, this.#watched.hello())
    send(socket, this.#watched.snapshot())
    this.#repeat(watcher, EVERY.usual)
  }

  #obey(watcher: Watcher, request: WatchRequest): void {
    const answer = (error?: string) => {
      send(watcher.socket, { type: 'answer', id: Number(request.id), ...(error === undefined ? {} : { error }) })
    }
    if (request.do === 'every') {
      const { milliseconds } = request
      if (!(milliseconds >= EVERY.least && milliseconds <= EVERY.most))
        return answer(`"milliseconds" must be in ${EVERY.least}…${EVERY.most}`)
      this.#repeat(watcher, milliseconds)
      return answer()
    }
    if (request.do !== 'update') return answer('"do" must be "every" or "update"')
    if (!this.#watched.update) return answer('This session does not let itself be controlled: watch: { control: true }')
    try {
      this.#watched.update(request.rules)
    } catch (error) {
      return answer((error as Error).message)
    }
    answer()
  }

  #repeat(watcher: Watcher, milliseconds: number): void {
    clearInterval(watcher.timer)
    const { socket } = watcher
    watcher.timer = setInterval(() => send(socket, this.#watched.snapshot()), milliseconds).unref()
  }
}

function send(socket: Socket, message: WatchMessage): void {
  if (!socket.destroyed && socket.writableLength < MOST_WAITING) socket.write(`${JSON.stringify(message)}\n`)
}

/** In a folder that nobody else can reach into. Throws ERR_ATSSS_WATCH when it is another's. */
function ownPath(): string {
  const folder = watchFolder()
  mkdirSync(dirname(folder), { recursive: true })
  try {
    mkdirSync(folder, { mode: 0o700 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  const { uid, mode } = lstatSync(folder)
  if (uid !== process.getuid?.() || (mode & 0o170_077) !== 0o040_000)
    throw new AtsssError('ERR_ATSSS_WATCH', `${folder} is not a folder of this user's alone: watch: { path: '…' }`)
  const number = ++sessions
  return join(folder, number === 1 ? `${process.pid}.sock` : `${process.pid}-${number}.sock`)
}
/** How many of this process have had a path of their own. */
let sessions = 0

/** Whether it is the socket of a process that was killed: nobody listens there. Any other file is somebody's. */
function isLeftOver(path: string): Promise<boolean> {
  return new Promise(resolve => {
    if (!lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return resolve(false)
    const socket = open(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(false)
    })
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'ECONNREFUSED'))
  })
}

function remove(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // It is gone already.
  }
}
