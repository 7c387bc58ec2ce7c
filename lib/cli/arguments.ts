/** Command lines: tables of options, their help, and one-line messages about mistakes. */
import { parseArgs } from 'node:util'
import { nearest } from '../input/check.js'

/** One option, for `parseArgs` and for the help. */
export interface Option {
  type: 'string' | 'boolean'
  short?: string
  multiple?: boolean
  /** How the help writes the value: `FILE`, `tcp|mptcp`. */
  value?: string
  /** What it does. */
  help: string
  /** The default that the help shows, taken from the constant that defines it if there is one. */
  unset?: string | number
}

/** A command's options by name, in the order of its help. */
export type OptionTable = Readonly<Record<string, Option>>

/** One line of help for each option, or more if its text is long. */
export function optionLines(table: OptionTable): string {
  return Object.entries(table)
    .flatMap(([name, { short, value, help, multiple, unset }]) => {
      const flags = `  ${short === undefined ? '' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`
      const notes = [...(multiple ? ['may be repeated'] : []), ...(unset === undefined ? [] : [`default: ${unset}`])]
      const lines = wrapped(notes.length === 0 ? help : `${help} [${notes.join('; ')}]`)
      const [first = '', ...more] = flags.length < COLUMN ? lines : ['', ...lines]
      return [`${flags.padEnd(COLUMN)}${first}`.trimEnd(), ...more.map(line => `${' '.repeat(COLUMN)}${line}`)]
    })
    .join('\n')
}

/** The column of the options' texts, and the length of a line of help. */
const COLUMN = 29
const LINE = 118

function wrapped(text: string): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!
    if (line === '') lines[lines.length - 1] = word
    else if (COLUMN + line.length + 1 + word.length <= LINE) lines[lines.length - 1] = `${line} ${word}`
    else lines.push(word)
  }
  return lines
}

/** The command line is wrong: the caller prints the message, and exits with status 2. */
export class UsageError extends Error {}

/** `--help` is among the options: the caller prints the command's help, and exits with status 0. */
export class HelpWanted extends Error {}

/**
 * Strict `parseArgs`. Every command takes `--help` and `-h` in addition to its own options. Throws `UsageError`, `HelpWanted`.
 *
 * @param allowPositionals whether words that are not options are allowed
 */
export function parseArguments<const T extends OptionTable>(args: string[], options: T, allowPositionals = false) {
  // Help is shown even if the rest of the line is wrong.
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

/** The words before `--`: those after it belong to another program. */
function ownWords(args: string[]): string[] {
  const end = args.indexOf('--')
  return end < 0 ? args : args.slice(0, end)
}

/** Parses a whole number that is not negative. Throws `UsageError`. */
export function wholeNumber(name: string, text: string): number {
  if (!/^\d+$/.test(text)) throw new UsageError(`--${name} must be a whole number, 0 or more; it is '${text}'`)
  return Number(text)
}

/**
 * Reads what a flag says. What is wrong with it is a wrong command line, and is reported by the flag's name.
 *
 * @param flag as it is typed; or by the place in the options, such as `accesses.3gpp`, with one for all other places as ''
 * @throws UsageError
 */
export function ofFlag<T>(flag: string | Readonly<Record<string, string>>, read: () => T): T {
  try {
    return read()
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (!REFUSALS.includes(code ?? '')) throw error
    const [, quoted, plain, what = message] = /^(?:Option "([^"]*)" |([\w.[\]-]+): )?(.*)$/s.exec(message)!
    const place = (quoted ?? plain ?? '').replace(/\[\d+\]$/, '')
    const name = typeof flag === 'string' ? flag : (flag[place] ?? flag[''])
    if (name === undefined) throw error
    throw new UsageError(`${name}${/^(must|cannot)\b/.test(what) ? '' : ':'} ${what}`)
  }
}

/** The codes of what the checks of options refuse. */
const REFUSALS: readonly string[] = ['ERR_ATSSS_OPTION', 'ERR_ATSSS_CONFIG', 'ERR_ATSSS_RULE', 'ERR_ATSSS_STEERING']

/** "; did you mean …?", or nothing. */
export function didYouMean(word: string, words: readonly string[], prefix = ''): string {
  const near = nearest(word, words)
  return near === undefined ? '' : `; did you mean ${prefix}${near}?`
}
