#!/usr/bin/env node
/** `atsss`: finds the command, runs it, and prints errors in one line with an exit status. */
import { readFileSync } from 'node:fs'
import { didYouMean, HelpWanted, UsageError } from './arguments.js'
import { COMMANDS, type Command } from './commands.js'
import { guardOutput, type OutputGuard } from './output.js'
import { systemErrorInWords } from './system-errors.js'

process.exitCode = await main(process.argv.slice(2))

async function main([first, ...rest]: string[]): Promise<number> {
  const output = guardOutput()
  if (first === '--version' || first === '-v') return say(`${version()}\n`)
  if (first === '--help' || first === '-h' || (first === 'help' && rest[0] === undefined)) return say(help())
  if (first === undefined) return complain(`no command is given: one of ${Object.keys(COMMANDS).join(', ')}`, '')
  // `atsss help NAME` is `atsss NAME --help`.
  const [name, args] = first === 'help' ? [rest[0]!, ['--help']] : [first, rest]
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (!entry) {
    const kind = name.startsWith('-') ? 'option' : 'command'
    return complain(`unknown ${kind} ${name}${didYouMean(name, Object.keys(COMMANDS))}`, '')
  }
  const command = await entry.load()
  try {
    output.isService = entry.isService === true
    return await run(command, args, output)
  } catch (error) {
    const { code, message, stack } = error as NodeJS.ErrnoException
    if (error instanceof UsageError || code === 'ERR_ATSSS_OPTION') return complain(message, ` ${name}`)
    // Errors with a code say what failed and where. An error without a code is a bug of ours: its stack is printed.
    process.stderr.write(`atsss ${name}: ${code === undefined ? stack : systemErrorInWords(error as Error)}\n`)
    return 1
  }
}

async function run(command: Command, args: string[], output: OutputGuard): Promise<number> {
  try {
    return await command.run(args)
  } catch (error) {
    if (!(error instanceof HelpWanted)) throw error
    output.isService = false
    return say(command.help)
  }
}

function help(): string {
  const width = Math.max(...Object.keys(COMMANDS).map(name => name.length))
  const list = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`)
  return `Usage: atsss <command> [options]

${list.join('\n')}

Each command has its own --help, with examples.
Exit status: 0 done, 1 failed or found something wrong, 2 wrong command line; run and lab exit with their command's.
`
}

function version(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
}

function say(text: string): number {
  process.stdout.write(text)
  return 0
}

function complain(message: string, command: string): number {
  process.stderr.write(`atsss${command}: ${message}\nSee atsss${command} --help\n`)
  return 2
}
