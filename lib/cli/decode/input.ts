/** Reads bytes: hexadecimal or base64 from the command line, a file or standard input; or binary files. */
import { existsSync, readFileSync } from 'node:fs'
import { UsageError } from '../arguments.js'

/**
 * The bytes that the words name: a file, standard input (no word, or `-`), or themselves. Throws `UsageError`, and system
 * errors of a file that cannot be read.
 */
export async function bytesOf(words: readonly string[]): Promise<Uint8Array> {
  const [first] = words
  if (first === undefined || first === '-') return bytesIn(await standardInput())
  if (words.length === 1 && existsSync(first)) return bytesIn(readFileSync(first))
  const bytes = fromText(words.join(' '))
  if (bytes !== undefined) return bytes
  throw new UsageError(`'${first.slice(0, 60)}' is not a file, and neither hexadecimal nor base64`)
}

/** The bytes that a text denotes; content that is not such a text is returned as it is. */
export function bytesIn(content: Uint8Array): Uint8Array {
  const text = Buffer.from(content).toString('latin1')
  return (/^[\t\n\r -~]*$/.test(text) ? fromText(text) : undefined) ?? new Uint8Array(content)
}

/** Parses hexadecimal digits with any separators and `# comments`, dumps of xxd, hexdump -C and tcpdump -x, and base64. */
export function fromText(text: string): Uint8Array | undefined {
  const lines = text
    .replace(/#.*$/gm, '')
    .split(/\r?\n/)
    .filter(line => line.trim() !== '')
  const dumped = lines.map(line => DUMP.exec(line)?.[1])
  const digits = (dumped.every(line => line !== undefined) ? dumped : lines)
    .join(' ')
    .replace(/\b0x|\\x/gi, ' ')
    .replace(/[\s:,-]/g, '')
  // An odd number of hexadecimal digits is a mistake, not base64.
  if (/^[0-9a-f]+$/i.test(digits)) return digits.length % 2 === 0 ? bytesOfText(digits, 'hex') : undefined
  const letters = lines.join('').replace(/\s/g, '')
  // One letter more than groups of four is not valid base64.
  if (/^[A-Za-z0-9+/_-]+={0,2}$/.test(letters) && letters.replaceAll('=', '').length % 4 !== 1)
    return bytesOfText(letters, 'base64')
  return undefined
}

/** A line of a dump: an offset, groups of digits, and the text column. */
const DUMP = /^\s*(?:0x)?[0-9a-f]{4,8}(?::| )\s+?((?:[0-9a-f]{2,4} {1,2})*[0-9a-f]{2,4})(?:\s*$|\s{2,}.*$|\s+\|.*$)/i

function bytesOfText(text: string, encoding: 'hex' | 'base64'): Uint8Array {
  return new Uint8Array(Buffer.from(text, encoding))
}

async function standardInput(): Promise<Uint8Array> {
  if (process.stdin.isTTY) process.stderr.write('Reading from the terminal; press ^D to end.\n')
  const chunks: Uint8Array[] = []
  for await (const chunk of process.stdin) chunks.push(chunk as Uint8Array)
  return Buffer.concat(chunks)
}
