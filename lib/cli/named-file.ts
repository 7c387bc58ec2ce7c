/** Files that a command line names. */
import { readFileSync } from 'node:fs'

/**
 * Reads a file. Throws the system error, with a message that says which words of the command line name the file, and why it cannot
 * be read.
 *
 * @param words the option, such as `--topology`, or the action
 */
export function readNamedFile(words: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    const systemError = error as NodeJS.ErrnoException
    systemError.message = `${words} ${path}: ${REASONS[systemError.code!] ?? systemError.message}`
    throw systemError
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'this user may not read the file',
  EISDIR: 'this is a folder, not a file',
}
