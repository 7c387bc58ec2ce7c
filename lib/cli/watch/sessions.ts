/** The sessions of this machine that can be watched. */
import { existsSync, lstatSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { AtsssError } from '../../errors.js'
import { findConfig } from '../../preload/find-config.js'
import { socketsOfMachine, watchFolder } from '../../runtime/watch/folders.js'
import { isLeftOver, removeLeftOver } from '../../runtime/watch/left-overs.js'
import type { Hello } from '../../runtime/watch/messages.js'
import type { SessionOptions } from '../../session/options.js'
import { WatchClient } from './client.js'

export interface Survey {
  /** To be closed by the caller. */
  clients: WatchClient[]
  /** Sockets whose process has ended: they have been removed. */
  removed: string[]
  /** Sockets that gave no session: the process does not answer, or has another version of atsss. */
  failed: { path: string; why: string }[]
  /** How many sockets belong to other users. */
  others: number
  /** How many sockets processes of other users have left. */
  leftByOthers: number
}

/**
 * Opens all sessions that this user may see, and removes the sockets that processes of this user have left.
 *
 * @param paths in place of those where sockets are by default
 */
export async function surveySessions(paths: readonly string[] = allSockets()): Promise<Survey> {
  const survey: Survey = { clients: [], removed: [], failed: [], others: 0, leftByOthers: 0 }
  await Promise.all(paths.map(path => look(path, survey)))
  survey.clients.sort((a, b) => a.hello.pid - b.hello.pid || (a.path < b.path ? -1 : 1))
  return survey
}

/** Where sessions are by default, and where the configuration says, as in the lab's ATSSS_CONFIG. Each once. */
function allSockets(): string[] {
  return [...new Set([...socketsOfMachine(), ...configuredSocket()])]
}

function configuredSocket(): string[] {
  try {
    const { watch } = findConfig(process.env).config.via as Pick<SessionOptions, 'watch'>
    const path = typeof watch === 'object' ? watch.path : watch
    return typeof path === 'string' && existsSync(path) ? [resolve(path)] : []
  } catch {
    return [] // there is no configuration, or it is wrong
  }
}

/** How long a session may take to answer, in milliseconds. */
const PATIENCE_MS = 2_000

async function look(path: string, survey: Survey): Promise<void> {
  try {
    survey.clients.push(await WatchClient.open(path, PATIENCE_MS))
  } catch (error) {
    const { message, cause } = error as Error
    const { code } = (cause ?? {}) as NodeJS.ErrnoException
    if (code === 'EACCES') survey.others++
    else if (code === 'ECONNREFUSED' && !isOwn(path)) survey.leftByOthers++
    else if (isOwn(path) && (await removeLeftOver(path))) survey.removed.push(path)
    else survey.failed.push({ path, why: message })
  }
}

/** In folders of other users nothing is removed, also by root: what a path means there is theirs to change. */
function isOwn(path: string): boolean {
  try {
    return lstatSync(dirname(path)).uid === process.geteuid?.()
  } catch {
    return false
  }
}

/** A session that can be watched. */
export type Session = Pick<WatchClient, 'hello' | 'path'>

/**
 * The path of the socket to watch: as `findSessions`, if there is one. Throws ERR_ATSSS_WATCH if there is none, or more than one.
 */
export async function findSocket(wanted: string | undefined, all = allSockets()): Promise<string> {
  if (wanted !== undefined) return socketNamed(wanted, all)
  const sessions = await findSessions(all)
  const [only, ...more] = sessions
  if (only && more.length === 0) return only.path
  throw new AtsssError(
    'ERR_ATSSS_WATCH',
    `there are several sessions to watch: name one of ${sessions.map(nameInWords).join(', ')}`,
  )
}

/** The path, or that of the process whose id is given, as in the socket's name. */
async function socketNamed(wanted: string, all: readonly string[]): Promise<string> {
  if (!/^\d+(-\d+)?$/.test(wanted)) return wanted
  const path = all.find(each => basename(each) === `${wanted}.sock`)
  if (path !== undefined && !(isOwn(path) && (await isLeftOver(path)) && (await removeLeftOver(path)))) return path
  throw noSuch(`process ${wanted} has ${path === undefined ? 'no socket' : 'ended, and its socket has been removed'}`)
}

/**
 * The sessions of this user, or else of this machine: at least one. Sockets that ended processes have left are removed. Throws
 * ERR_ATSSS_WATCH if there is none.
 */
export async function findSessions(all = allSockets()): Promise<Session[]> {
  const configured = configuredSocket()
  const own = all.filter(path => dirname(path) === watchFolder() || configured.includes(path))
  let { clients, removed, failed, others } = await surveySessions(own)
  if (clients.length + failed.length === 0) {
    const rest = await surveySessions(all.filter(path => !own.includes(path)))
    removed = [...removed, ...rest.removed]
    ;({ clients, failed, others } = rest)
  }
  for (const client of clients) client.close()
  if (clients.length > 0) return clients
  const [silent] = failed
  if (silent) throw new AtsssError('ERR_ATSSS_WATCH', silent.why)
  const found =
    removed.length > 0
      ? `the ${removed.length === 1 ? 'process of the socket' : `processes of the ${removed.length} sockets`} in ${dirname(removed[0]!)} ${removed.length === 1 ? 'has' : 'have'} ended (removed)`
      : others > 0
        ? `the ${others === 1 ? 'only one belongs' : `${others} that there are belong`} to other users`
        : `${watchFolder()} has no socket`
  throw noSuch(found)
}

function noSuch(found: string): AtsssError {
  return new AtsssError(
    'ERR_ATSSS_WATCH',
    `there is no session to watch: ${found}. Give the session the option "watch: true"; watch the session of another user, such as root, as that user`,
  )
}

/** `4711 (app.js)`; by its path where the socket has another name. */
export function nameInWords({ hello, path }: Session): string {
  const name = /^(\d+(?:-\d+)?)\.sock$/.exec(basename(path))?.[1] ?? path
  return `${name} (${programOf(hello)})`
}

/** The name of a session's program, for a terminal: other users' programs choose their titles. */
export function programOf({ title }: Pick<Hello, 'title'>): string {
  return printable(basename(title))
}

/** Without control characters, which a terminal would obey. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?')
}
