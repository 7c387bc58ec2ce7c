/** What the recipes beside this file are given. Each makes two requests, one before `between` and one after. */
import type { MaPduSession } from 'atsss'

export interface Server {
  host: string
  /** For https: whose certificates to trust, and the name in them. */
  tls: { ca: string; servername: string }
}

/** @returns what the server has answered, both times */
export type Recipe = (session: MaPduSession, server: Server, between: () => Promise<void>) => Promise<unknown[]>
