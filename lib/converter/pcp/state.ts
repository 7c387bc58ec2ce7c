/** The mappings of a PCP server in a file, so that they survive a restart. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { NONCE_LENGTH } from '../../wire/pcp/index.js'
import type { Mapping, Path, Place } from './mapping.js'

interface PcpState {
  /** When the epoch began, in milliseconds since 1970. */
  epochStart: number
  mappings: Mapping[]
}

const FORMAT = 'atsss-pcp-1'

/** `undefined` if there is no file yet. Throws if it cannot be read, or is not such a file. */
export function readState(path: string): PcpState | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  const { format, epochStart, mappings } = JSON.parse(text) as Record<string, unknown>
  if (format !== FORMAT || typeof epochStart !== 'number' || epochStart < 0 || !Array.isArray(mappings))
    throw new Error(`${path} is not a file of PCP mappings: delete it, or name another one in pcp.stateFile`)
  return { epochStart, mappings: mappings.map(item => mapping(item, path)) }
}

/** All or nothing: after a crash, the file is as it was before. */
export function writeState(path: string, { epochStart, mappings }: PcpState): void {
  const items = mappings.map(({ nonce, ...rest }) => ({ ...rest, nonce: Buffer.from(nonce).toString('hex') }))
  writeFileSync(`${path}.new`, `${JSON.stringify({ format: FORMAT, epochStart, mappings: items }, null, 1)}\n`, {
    mode: 0o600, // a nonce is what a mapping is deleted with
  })
  renameSync(`${path}.new`, path)
}

function mapping(item: unknown, path: string): Mapping {
  const { external, protocol, internalPort, nonce, filters, paths } = (item ?? {}) as Record<string, unknown>
  const bytes = Buffer.from(String(nonce), 'hex')
  const isWell =
    isPlace(external) &&
    bytes.length === NONCE_LENGTH &&
    [protocol, internalPort].every(Number.isInteger) &&
    Array.isArray(filters) &&
    Array.isArray(paths) &&
    paths.every(isPath)
  if (!isWell) throw new Error(`${path} contains an invalid mapping: delete the file, or restore a copy`)
  return { ...(item as Mapping), nonce: bytes }
}

function isPath(path: unknown): boolean {
  const { address, expiresAt, client, required } = (path ?? {}) as Partial<Path>
  return isIP(address ?? '') !== 0 && Number.isFinite(expiresAt) && isPlace(client) && typeof required === 'boolean'
}

function isPlace(place: unknown): place is Place {
  const { address, port } = (place ?? {}) as Partial<Place>
  return typeof address === 'string' && isIP(address) !== 0 && Number.isInteger(port)
}
