/** The questions of `atsss init`: each has an answer that Enter gives, and is asked again if the answer cannot be. */

import { DEFAULT_RULES, PRESETS } from '../../policy/rules/presets.js'
import type { AccessType } from '../../policy/rules/rule.js'
import { parseConfig } from '../../preload/config.js'
import { namesIn } from '../via.js'
import { type Answers, configOf, type Names } from './suggestion.js'

export interface Conversation {
  ask(question: string): Promise<string>
  say(text: string): void
}

/** What the command line says already: that is not asked. */
export type Given = Partial<Answers>

export async function answersBy({ ask, say }: Conversation, found: Names, given: Given): Promise<Answers> {
  const until = async <T>(question: string, read: (answer: string) => T): Promise<T> => {
    for (;;) {
      try {
        return read((await ask(question)).trim())
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ERR_ATSSS_CONFIG') throw error
        say(`  ${(error as Error).message}`)
      }
    }
  }
  /** @param others the interfaces of the other access, once they are known */
  const names = (access: AccessType, what: string, others?: readonly string[]) => {
    const usual = found[access].filter(name => !others?.includes(name))
    return until(`${what} (${access}) [${usual.join(',') || (others ? 'a name' : 'auto')}]: `, answer => {
      const chosen = answer === '' ? usual : [namesIn(answer)].flat()
      // Of both accesses, or of none.
      if (!others && (answer === 'auto' || chosen.length === 0)) return undefined
      const rest = others ?? NOT_YET
      checked({
        accesses: access === '3gpp' ? { '3gpp': chosen, 'non-3gpp': rest } : { '3gpp': rest, 'non-3gpp': chosen },
      })
      return chosen
    })
  }
  const accesses = async (): Promise<Answers['accesses']> => {
    const cellular = await names('3gpp', 'Cellular: modem or phone')
    if (cellular === undefined) return 'auto'
    return { '3gpp': cellular, 'non-3gpp': (await names('non-3gpp', 'Ethernet or Wi-Fi', cellular))! }
  }
  const converters = () =>
    until('Converter, ADDRESS:PORT [none]: ', answer => {
      const places = answer === '' ? [] : [namesIn(answer)].flat()
      checked({ converters: places })
      return places
    })
  const rules = () =>
    until(`Rules: ${Object.keys(PRESETS).join(', ')} [${DEFAULT_RULES}]: `, answer => {
      checked({ rules: answer || DEFAULT_RULES })
      return answer || DEFAULT_RULES
    })
  return {
    accesses: given.accesses ?? (await accesses()),
    converters: given.converters ?? (await converters()),
    rules: given.rules ?? (await rules()),
  }
}

/** Throws ERR_ATSSS_CONFIG. */
function checked(part: Partial<Answers>): void {
  parseConfig(configOf({ accesses: 'auto', converters: [], rules: DEFAULT_RULES, ...part }), 'not possible')
}

/** Stands for the access that is asked about next. */
const NOT_YET = ['?']
