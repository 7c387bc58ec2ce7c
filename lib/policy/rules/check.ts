/** The checks of rules in JSON: their errors have the code `ERR_ATSSS_RULE`, and begin with the place. */
import { Checks } from '../../input/check.js'
import { described, describedBy } from '../../input/described.js'
import { congestionName, lowWater, TUNING_SCHEMAS } from '../../input/socket-tuning.js'

const rules = new Checks('ERR_ATSSS_RULE', path => `${path}:`)
export const wrong: Checks['wrong'] = rules.wrong
export const object: Checks['object'] = rules.object
export const record: Checks['record'] = rules.record
export const list: Checks['list'] = rules.list
export const word: Checks['word'] = rules.word
export const text: Checks['text'] = rules.text
const { record: describedRecord } = describedBy(rules)
export const { hexadecimal, within } = describedBy(rules)

/** Of the sockets of a rule's connections: an addition of ours to the rules of TS 29.512. */
export const socketOptions = describedRecord({
  congestion: described<string>(TUNING_SCHEMAS.congestion, (path, value) => congestionName(rules, path, value)),
  notsentLowWater: described<number>(TUNING_SCHEMAS.notsentLowWater, (path, value) => lowWater(rules, path, value)),
})

/** One octet on the wire. */
export const octet = within(0, 255)
export const port = within(0, 65_535)
export const percent = within(0, 100)
/** TS 29.571 `Uinteger`, as far as JSON's numbers are exact. */
export const uinteger = within(0, Number.MAX_SAFE_INTEGER)
/** A threshold for losses: TS 29.571 `PacketLossRate`, tenths of a percent. */
export const permille = within(0, 1_000)
