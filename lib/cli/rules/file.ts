/** Reads rules from a file: JSON, a configuration that has them, or a container or NAS message as bytes or text. */
import { existsSync } from 'node:fs'
import { AtsssError } from '../../errors.js'
import { parseJson } from '../../input/json.js'
import type { RuleUpdate } from '../../policy/rules/container.js'
import { parseRules } from '../../policy/rules/json.js'
import { isPolicyDecision } from '../../policy/rules/json-pcc.js'
import { PRESETS, presetRules } from '../../policy/rules/presets.js'
import { readRules } from '../../policy/rules/read.js'
import type { Rule } from '../../policy/rules/rule.js'
import { decodeSessionMessage, isNasMessage } from '../../wire/atsss/nas.js'
import { didYouMean } from '../arguments.js'
import { bytesIn } from '../decode/input.js'
import { readNamedFile } from '../named-file.js'

export interface RulesFile extends Pick<RuleUpdate, 'problems' | 'network'> {
  rules: readonly Rule[]
  /** The kind of content. */
  source: 'JSON' | 'a preset' | 'a policy decision' | 'an ATSSS container' | 'a NAS message'
}

/**
 * @param origin where the content is from, for the messages
 * @throws ERR_ATSSS_RULE with every invalid rule, ERR_ATSSS_MALFORMED, ERR_NAS_MALFORMED
 */
export function rulesIn(content: Uint8Array, origin: string): RulesFile {
  const text = Buffer.from(content)
    .toString('utf8')
    .replace(/^\uFEFF/, '')
  if (/^\s*[[{"]/.test(text)) return rulesOfJson(jsonIn(text, origin), origin)
  const bytes = bytesIn(content)
  const isNas = isNasMessage(bytes)
  const container = isNas ? decodeSessionMessage(bytes).atsssContainer : bytes
  if (container === undefined)
    throw new AtsssError('ERR_ATSSS_RULE', `${origin}: the NAS message has no ATSSS container`)
  return { ...readRules([], container), source: isNas ? 'a NAS message' : 'an ATSSS container' }
}

/**
 * The content of a file, or a preset's name in JSON, if the word is one, and no file has that name. Throws the system error of a file
 * that cannot be read.
 *
 * @param words the words of the command line before it
 */
export function presetOrFile(words: string, word: string): Buffer {
  if (existsSync(word)) return readNamedFile(words, word)
  if (Object.hasOwn(PRESETS, word)) return Buffer.from(JSON.stringify(word))
  // Without a dot or a slash it may be meant as a preset.
  const presets = /[./]/.test(word)
    ? ''
    : `, and no such preset: there are ${PRESET_NAMES.join(', ')}${didYouMean(word, PRESET_NAMES)}`
  throw Object.assign(new Error(`${words} ${word}: there is no such file${presets}`), { code: 'ENOENT' })
}

export const PRESET_NAMES: readonly string[] = Object.keys(PRESETS)

function jsonIn(text: string, origin: string): unknown {
  try {
    return parseJson(text)
  } catch (error) {
    throw new AtsssError('ERR_ATSSS_RULE', `${origin}: is not JSON: ${(error as Error).message}`)
  }
}

/** An array, a preset's name, a policy decision, or one of them as the property `rules`. */
function rulesOfJson(json: unknown, origin: string): RulesFile {
  const isObject = isPolicyDecision(json)
  if (isObject && !('rules' in json) && !('pccRules' in json))
    throw new AtsssError(
      'ERR_ATSSS_RULE',
      `${origin}: must be an array of rules, or an object with the property 'rules' or 'pccRules'`,
    )
  const given: unknown = isObject && 'rules' in json ? json.rules : json
  if (typeof given === 'string') return { rules: presetRules(given), problems: [], source: 'a preset' }
  if (isPolicyDecision(given)) return { ...readRules([], given), source: 'a policy decision' }
  try {
    return { rules: parseRules(given), problems: [], source: 'JSON' }
  } catch (error) {
    const { code, message } = allThatIsWrong(given, error as AtsssError)
    throw new AtsssError(code as AtsssError['code'], message.replace(/^/gm, `${origin}: `))
  }
}

/** An error with a line for each invalid rule, not only for the first. */
function allThatIsWrong(given: unknown, first: AtsssError): AtsssError {
  if (first.code !== 'ERR_ATSSS_RULE' || !Array.isArray(given)) return first
  const lines = given.flatMap((rule, index) => {
    try {
      parseRules([rule])
      return []
    } catch (error) {
      return [(error as Error).message.replace(/^rules\[0\]/, `rules[${index}]`)]
    }
  })
  // Each rule is valid by itself, but they conflict.
  return lines.length === 0 ? first : new AtsssError('ERR_ATSSS_RULE', lines.join('\n'))
}
