/** JSON that a person has written. */

/**
 * As `JSON.parse`; a byte order mark at the beginning is ignored.
 *
 * @throws SyntaxError that says in which line and column, such as `line 3, column 3: Expected double-quoted property name`
 */
export function parseJson(text: string): unknown {
  const json = text.replace(/^\uFEFF/, '')
  try {
    return JSON.parse(json)
  } catch (error) {
    const { message } = error as Error
    const before = json.slice(0, positionOf(message) ?? firstWrong(json)).split('\n')
    // What follows quotes the text, or names the position again.
    const what = message
      .replace(/,? (\.{3})?".*" is not valid JSON$/s, '')
      .replace(/( in JSON)?( at position .*)?$/s, '')
    throw new SyntaxError(`line ${before.length}, column ${before.at(-1)!.length + 1}: ${what}`)
  }
}

/** Of Node's messages only some have it. */
function positionOf(message: string): number | undefined {
  const [, position] = / at position (\d+)/.exec(message) ?? []
  return position === undefined ? undefined : Number(position)
}

/** The length of the longest beginning that could go on as JSON. */
function firstWrong(json: string): number {
  let [good, bad] = [0, json.length + 1]
  while (bad - good > 1) {
    const length = (good + bad) >> 1
    if (mayGoOn(json.slice(0, length))) good = length
    else bad = length
  }
  return good
}

function mayGoOn(beginning: string): boolean {
  try {
    JSON.parse(beginning)
    return true
  } catch (error) {
    const { message } = error as Error
    return message.startsWith('Unexpected end') || positionOf(message) === beginning.length
  }
}
