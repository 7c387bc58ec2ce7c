/** The arguments of the recipes beside this file. Each recipe makes two requests, one before `between` and one after. */
import type { MaPduSession } from 'atsss'

export interface Server {
  host: string
  /** For https: the certificate authority to trust, and the name in the certificate. */
  tls: { ca: string; servername: string }
}

/** @returns the server's two answers */
export type Recipe = (session: MaPduSession, server: Server, between: () => Promise<void>) => Promise<unknown[]>
