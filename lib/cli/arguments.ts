/** Command lines: options as a table, their help, and what is wrong with a command line in one line. */
import { parseArgs } from 'node:util'
import { nearest } from '../input/check.js'

/** One option: what `parseArgs` needs to know, and what the help says. */
export interface Option {
  type: 'string' | 'boolean'
  short?: string
  multiple?: boolean
  /** How the help writes the value: `FILE`, `tcp|mptcp`. */
  value?: string
  /** What it does. */
  help: string
  /** What holds when the option is not given; from the constant that decides it, where there is one. */
  unset?: string | number
}

/** A command's options by name, in the order of its help. */
export type OptionTable = Readonly<Record<string, Option>>

/** A line of help for each option; more where its text is long. */
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

/** Characters before an option's text, and in a line of help. */
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

/** `--help` stands among the options: the caller prints the command's help, and exits with status 0. */
export class HelpWanted extends Error {}

/**
 * `parseArgs`, strict; every command has `--help` and `-h` beside its own options. Throws `UsageError`, `HelpWanted`.
 *
 * @param allowPositionals whether there may be words that are no options
 */
export function parseArguments<const T extends OptionTable>(args: string[], options: T, allowPositionals = false) {
  // Also beside a mistake: who asks for help gets it.
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

/** Those before `--`: what follows belongs to another program. */
function ownWords(args: string[]): string[] {
  const end = args.indexOf('--')
  return end < 0 ? args : args.slice(0, end)
}

/** A whole number, not negative. Throws `UsageError`. */
export function wholeNumber(name: string, text: string): number {
  if (!/^\d+$/.test(text)) throw new UsageError(`--${name} must be a whole number, 0 or more; it is '${text}'`)
  return Number(text)
}

/** "; did you mean …?", or nothing. */
export function didYouMean(word: string, words: readonly string[], prefix = ''): string {
  const near = nearest(word, words)
  return near === undefined ? '' : `; did you mean ${prefix}${near}?`
}
