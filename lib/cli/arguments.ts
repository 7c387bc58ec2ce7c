/** Command lines: what `parseArgs` finds wrong, said in one line, with the name that was probably meant. */
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { nearest } from '../input/check.js'

export type OptionTable = NonNullable<ParseArgsConfig['options']>

/** The command line is wrong: the caller prints the message, and exits with status 2. */
export class UsageError extends Error {}

/** `--help` stands among the options: the caller prints the command's help, and exits with status 0. */
export class HelpWanted extends Error {}

/**
 * `parseArgs`, strict; every command has `--help` and `-h` beside its own options. Throws `UsageError`, `HelpWanted`.
 *
 * @param allowPositionals whether there may be words that are no options
 */
export function parseArguments<const T extends OptionTable>(args: string[], options: T, allowPositionals = false) {
  // Also beside a mistake: whoever asks for help shall have it.
  if (ownWords(args).some(word => word === '--help' || word === '-h')) throw new HelpWanted()
  try {
    return parseArgs({ args, options, allowPositionals, strict: true })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (!code?.startsWith('ERR_PARSE_ARGS')) throw error
    const unknown = /^Unknown option '--([^']+)'/.exec(message)?.[1]
    if (unknown === undefined) throw new UsageError(message.split('. ')[0]!)
    throw new UsageError(`unknown option --${unknown}${didYouMean(unknown, Object.keys(options), '--')}`)
  }
}

/** Without what stands behind `--`, which is another program's. */
function ownWords(args: string[]): string[] {
  const end = args.indexOf('--')
  return end < 0 ? args : args.slice(0, end)
}

/** A whole number, not negative. Throws `UsageError`. */
export function wholeNumber(name: string, text: string): number {
  if (!/^\d+$/.test(text)) throw new UsageError(`--${name} must be a number; it is '${text}'`)
  return Number(text)
}

/** "; did you mean …?", or nothing. */
export function didYouMean(word: string, words: readonly string[], prefix = ''): string {
  const near = nearest(word, words)
  return near === undefined ? '' : `; did you mean ${prefix}${near}?`
}
