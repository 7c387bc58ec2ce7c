#!/usr/bin/env node
/** `atsss`: one file per subcommand, loaded when it is asked for. */
import { readFileSync } from 'node:fs'
import { didYouMean, UsageError } from './arguments.js'

/** What a subcommand's file exports. */
export interface Command {
  /** @returns the exit status; throws `UsageError` for a wrong command line */
  run(args: string[]): Promise<number>
}

const COMMANDS: Record<string, { summary: string; load: () => Promise<Command> }> = {
  converter: { summary: 'run a Transport Converter (RFC 8803)', load: () => import('./converter.js') },
}

process.exitCode = await main(process.argv.slice(2))

async function main([name, ...args]: string[]): Promise<number> {
  // Whoever reads our output may stop reading: then there is nobody to tell.
  process.stdout.on('error', () => process.exit(0))
  if (name === '--version' || name === '-v') return say(version())
  if (name === '--help' || name === '-h' || name === 'help') return say(help())
  if (name === undefined) return complain('a command is needed', '')
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (!command)
    return complain(
      `unknown ${name.startsWith('-') ? 'option' : 'command'} ${name}${didYouMean(name, Object.keys(COMMANDS))}`,
      '',
    )
  try {
    return await (await command.load()).run(args)
  } catch (error) {
    if (error instanceof UsageError || isCode(error, 'ERR_ATSSS_OPTION'))
      return complain((error as Error).message, ` ${name}`)
    // A system error says what failed, and where; what is none is a fault of ours, and its stack says where.
    const { code, message, stack } = error as NodeJS.ErrnoException
    process.stderr.write(`atsss ${name}: ${code === undefined ? stack : message}\n`)
    return 1
  }
}

function help(): string {
  const width = Math.max(...Object.keys(COMMANDS).map(name => name.length))
  const list = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`)
  return `Usage: atsss <command> [options]\n\n${list.join('\n')}\n\nEach command has a --help of its own.`
}

function version(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
}

function say(text: string): number {
  process.stdout.write(`${text}\n`)
  return 0
}

function complain(message: string, command: string): number {
  process.stderr.write(`atsss${command}: ${message}\nSee atsss${command} --help\n`)
  return 2
}

function isCode(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException | undefined)?.code === code
}
