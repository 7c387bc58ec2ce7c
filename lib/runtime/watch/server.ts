/** Serves snapshots and events of a session to other processes of its user, over a Unix socket with mode 0600. */
import { chmodSync, linkSync, lstatSync, mkdirSync, mkdtempSync, rmSync, type Stats } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { isMainThread } from 'node:worker_threads'
import { AtsssError } from '../../errors.js'
import { native } from '../kernel/native.js'
import { tooLong, watchFolder } from './folders.js'
import { isLeftOver, isSameFile, remove, removeLeftOvers, statOf, takeAway } from './left-overs.js'
import { type Hello, Lines, type Snapshot, type WatchEvent, type WatchMessage, type WatchRequest } from './messages.js'

/** Milliseconds between two snapshots. */
export const EVERY = { least: 50, usual: 250, most: 60_000 }
/** A watcher that does not read is skipped while this many bytes are queued for it. */
const MOST_QUEUED = 1_048_576
/** Longest request in characters; a longer one ends the connection. The longest ones carry rules. */
const LONGEST_REQUEST = 262_144
/** Most watchers at a time. */
const MOST_WATCHERS = 16

export interface Watched {
  hello(): Hello
  snapshot(): Snapshot
  /** Replaces the rules; throws if they are invalid. Undefined: watchers may not replace them. */
  update: ((rules: unknown) => void) | undefined
}

interface Watcher {
  socket: Socket
  timer: NodeJS.Timeout | undefined
}

export class WatchServer {
  /** Resolves with the path of the socket; rejects if it cannot listen. */
  readonly listening: Promise<string>
  readonly #watched: Watched
  readonly #server: Server
  readonly #watchers = new Set<Watcher>()
  readonly #removeAtExit = () => this.close()
  /** What is removed when a signal ends the process. */
  #atSignal: RemovalAtSignal | undefined
  #path: string | undefined
  /** Identifies our socket's file. */
  #file: Stats | undefined
  #closed = false

  /** @param path undefined: `PID.sock` in the user's own folder; a process's second session has `PID-2.sock` */
  constructor(watched: Watched, path: string | undefined) {
    this.#watched = watched
    this.#server = createServer(socket => this.#welcome(socket))
    this.#server.maxConnections = MOST_WATCHERS
    this.#server.on('error', () => {}) // a watcher could not be accepted: the application goes on
    this.#server.unref()
    this.listening = this.#listen(path)
    this.listening.catch(() => {}) // the session reports it as well
  }

  /** Sends an event to all watchers. */
  broadcast(event: WatchEvent): void {
    for (const { socket } of this.#watchers) send(socket, event)
  }

  /** Removes the socket at once. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    process.off('exit', this.#removeAtExit)
    this.#atSignal?.forget()
    for (const { socket } of this.#watchers) socket.destroy()
    this.#server.close()
    // Another process may have put its own socket there, if ours was removed.
    if (this.#path !== undefined && isSameFile(statOf(this.#path), this.#file)) remove(this.#path)
  }

  /**
   * Binds to a name in a folder of our own and then links it to the path. So the socket has its mode before anybody can connect, also
   * in a shared folder and with any umask; two processes cannot both take the path; and libuv, which unlinks the name that it has
   * bound to, never unlinks the socket of another process.
   */
  async #listen(wanted: string | undefined): Promise<string> {
    try {
      const folder = wanted === undefined ? ownFolder() : dirname(wanted)
      refuseLong(wanted ?? join(folder, 'XXXXXX-2.sock'), join(folder, '.XXXXXX', 's'))
      const place = mkdtempSync(`${folder}/.`)
      try {
        const name = join(place, 's')
        await this.#bind(name)
        chmodSync(name, 0o600)
        this.#file = lstatSync(name)
        this.#path = wanted === undefined ? await claimNumbered(name, folder) : await claim(name, wanted)
      } finally {
        rmSync(place, { recursive: true, force: true })
      }
      if (wanted === undefined) removeLeftOvers(folder).catch(() => {}) // the folder is gone
      if (this.#closed) remove(this.#path)
      else {
        process.once('exit', this.#removeAtExit)
        this.#atSignal = removeAtSignal(this.#path)
      }
      return this.#path
    } catch (error) {
      this.#server.close()
      if (error instanceof AtsssError) throw error
      const { message } = error as Error
      const why = `The watch socket ${wanted ?? `in ${watchFolder()}`} cannot be made: ${message}${remedyFor(error as Error)}`
      throw new AtsssError('ERR_ATSSS_WATCH', why, { cause: error })
    }
  }

  #bind(path: string): Promise<void> {
    const server = this.#server
    return new Promise((resolve, reject) => {
      const closed = () => reject(new AtsssError('ERR_ATSSS_WATCH', 'the session has been closed'))
      if (this.#closed) return closed()
      server.once('error', reject).once('close', closed)
      // Our own socket, also in a cluster's worker: otherwise the primary would listen.
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
    socket.on('error', () => {}) // a watcher may disconnect at any time
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
    if (!this.#watched.update)
      return answer('This session does not let watchers replace its rules: give it the option watch: { control: true }')
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
  if (!socket.destroyed && socket.writableLength < MOST_QUEUED) socket.write(`${JSON.stringify(message)}\n`)
}

/** The folder of the sockets, created if needed. @throws ERR_ATSSS_WATCH if others can use it */
function ownFolder(): string {
  const folder = watchFolder()
  mkdirSync(dirname(folder), { recursive: true })
  try {
    mkdirSync(folder, { mode: 0o700 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  const { uid, mode } = lstatSync(folder)
  if (uid !== process.getuid?.() || (mode & 0o170_077) !== 0o040_000)
    throw new AtsssError(
      'ERR_ATSSS_WATCH',
      `The folder ${folder} belongs to another user, or is open to others: remove it, or choose another path with watch: { path: '…' }`,
    )
  return folder
}

/** Links `name` to `PID.sock`, or to `PID-2.sock` and so on: the process may have other sessions, also in worker threads. */
async function claimNumbered(name: string, folder: string): Promise<string> {
  for (;;) {
    const number = ++sessions
    const path = join(folder, number === 1 ? `${process.pid}.sock` : `${process.pid}-${number}.sock`)
    try {
      return await claim(name, path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    }
  }
}
/** The number that was tried last in this thread. */
let sessions = 0

/**
 * Links `name` to `path`, which must be free, or the socket of a process that was killed.
 *
 * @throws EADDRINUSE when a process listens there, or it is another kind of file
 */
async function claim(name: string, path: string): Promise<string> {
  for (let tries = 0; tries < CLAIMS; tries++) {
    try {
      linkSync(name, path)
      return path
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const found = statOf(path)
    if (!found) continue
    if (!found.isSocket() || !(await isLeftOver(path))) break
    takeAway(path, found, `${name}-old`)
  }
  throw Object.assign(new Error(`listen EADDRINUSE: address already in use ${path}`), { code: 'EADDRINUSE' })
}
/** Several processes may take away the same socket, and one of them is the first to put its own there. */
const CLAIMS = 5

/** @throws ERR_ATSSS_WATCH */
function refuseLong(...names: string[]): void {
  const why = names.map(tooLong).find(reason => reason !== undefined)
  if (why === undefined) return
  throw new AtsssError('ERR_ATSSS_WATCH', `The watch socket cannot be made: ${why}${ELSEWHERE}`)
}

function remedyFor({ code = '' }: NodeJS.ErrnoException): string {
  return UNWRITABLE.has(code) ? ELSEWHERE : ''
}

/** The file system is read-only or full, the folder is not there, or another user's. */
const UNWRITABLE: ReadonlySet<string> = new Set(['EROFS', 'EACCES', 'EPERM', 'ENOENT', 'ENOTDIR', 'ENOSPC'])
const ELSEWHERE =
  ": name a short path in a folder that this user can write to, with watch: { path: '…' } or XDG_RUNTIME_DIR"

interface RemovalAtSignal {
  forget(): void
}

/**
 * Signals that end a process that does not listen for them. With a listener, the application decides on its end, and 'exit' follows.
 * Not with a listener of ours: it would need a turn of the event loop, and other libraries that end the process by a signal, if they
 * are the only ones who listen, would leave that to us.
 */
function removeAtSignal(path: string): RemovalAtSignal | undefined {
  // In another thread nothing shows who listens; and the addon must stay loaded.
  if (!isMainThread) return undefined
  const unheard = ENDING.filter(name => process.listenerCount(name) === 0).map(name => constants.signals[name])
  try {
    const number = native().removeAtSignal(path, Int32Array.from(unheard))
    return { forget: () => native().forgetAtSignal(number) }
  } catch {
    return undefined // without the addon: the next session removes it
  }
}

const ENDING = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const
