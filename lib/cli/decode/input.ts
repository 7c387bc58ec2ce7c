/** Where bytes come from: hexadecimal or base64 on the command line, in a file or on standard input; or a file of bytes. */
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

/** Of a text the bytes that it writes; anything else is bytes itself. */
export function bytesIn(content: Uint8Array): Uint8Array {
  const text = Buffer.from(content).toString('latin1')
  return (/^[\t\n\r -~]*$/.test(text) ? fromText(text) : undefined) ?? new Uint8Array(content)
}

/** Hexadecimal digits, however separated, with `# comments`; the dumps of xxd, hexdump -C and tcpdump -x; base64. */
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
  // An odd number of digits is a mistake, and not base64 that happens to have no other letters.
  if (/^[0-9a-f]+$/i.test(digits)) return digits.length % 2 === 0 ? bytesOfText(digits, 'hex') : undefined
  const letters = lines.join('').replace(/\s/g, '')
  // Of one letter over a group of four no octet can be made.
  if (/^[A-Za-z0-9+/_-]+={0,2}$/.test(letters) && letters.replaceAll('=', '').length % 4 !== 1)
    return bytesOfText(letters, 'base64')
  return undefined
}

/** An offset, then groups of digits, then what they are as text. */
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
