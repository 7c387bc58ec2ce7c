/** Rules in any of the forms that a session takes. Pure: rules in, rules out. */
import { isBytes } from '../../input/check.js'
import { type DecodeContainerOptions, decodeContainer } from '../../wire/atsss/container.js'
import { decodeSessionMessage, isNasMessage } from '../../wire/atsss/nas.js'
import { applyContainer, changesBetween, type RuleUpdate, type UpdateProblem } from './container.js'
import { type AtsssRule, parseRules } from './json.js'
import { isPolicyDecision, parsePolicyDecision, type SmPolicyDecision } from './json-pcc.js'
import { presetRules } from './presets.js'
import type { Rule } from './rule.js'

/**
 * Rules, in one of these forms:
 *
 * - the name of a preset;
 * - JSON in the names of TS 29.512;
 * - the network's own JSON, TS 29.512 `SmPolicyDecision`: its PCC rules that steer. These three replace all rules;
 * - bytes from the network: the contents of an ATSSS container (TS 24.193), or the NAS message that has it, a PDU SESSION
 *   ESTABLISHMENT ACCEPT or MODIFICATION COMMAND (TS 24.501), also inside a DL NAS TRANSPORT. A container adds, replaces and
 *   deletes rules by their identifiers. Bytes that begin with 0x2e or 0x7e are a NAS message.
 */
export type RulesInput = 'handover' | 'interactive' | 'aggregate' | readonly AtsssRule[] | SmPolicyDecision | Uint8Array

/**
 * The rules after `input`, and what is different from `before`. Bytes with neither rules nor converters change nothing; `problems`
 * says so.
 *
 * @param framing how the rules of a container are to be read, where that is known
 * @throws ERR_ATSSS_RULE, ERR_ATSSS_MALFORMED, ERR_NAS_MALFORMED, ERR_NAS_CIPHERED
 */
export function readRules(
  before: readonly Rule[],
  input: RulesInput,
  framing: DecodeContainerOptions = {},
): RuleUpdate {
  if (isBytes(input)) return readBytes(before, input, framing)
  if (isPolicyDecision(input)) {
    const { rules, problems } = parsePolicyDecision(input)
    return { rules, changes: changesBetween(before, rules), problems: problems.map(problemOf) }
  }
  const rules = typeof input === 'string' ? presetRules(input) : parseRules(input)
  return { rules, changes: changesBetween(before, rules), problems: [] }
}

function readBytes(before: readonly Rule[], bytes: Uint8Array, framing: DecodeContainerOptions): RuleUpdate {
  if (!isNasMessage(bytes)) return readContainer(before, bytes, 'The ATSSS container', framing)
  const { type, pduSessionId, atsssContainer } = decodeSessionMessage(bytes)
  const message = `The ${MESSAGE_NAMES[type]} of PDU session ${pduSessionId}`
  if (atsssContainer === undefined)
    return unchanged(before, `${message} has no ATSSS container: the rules stay as they are`)
  return readContainer(before, atsssContainer, message, framing)
}

/** @param name of what the container came in, for a message */
function readContainer(
  before: readonly Rule[],
  bytes: Uint8Array,
  name: string,
  framing: DecodeContainerOptions,
): RuleUpdate {
  const container = decodeContainer(bytes, framing)
  const update = applyContainer(before, container)
  if (update.network || container.parameters.some(({ type }) => type === 'rules')) return update
  const { problems } = unchanged(before, `${name} has no ATSSS rules: the rules stay as they are`)
  return { ...update, problems: [...update.problems, ...problems] }
}

function unchanged(rules: readonly Rule[], message: string): RuleUpdate {
  return { rules: [...rules], changes: [], problems: [problemOf(message)] }
}

function problemOf(message: string): UpdateProblem {
  return { message, offset: undefined, bytes: undefined }
}

/** As TS 24.501 names them. */
const MESSAGE_NAMES = {
  'establishment-accept': 'PDU SESSION ESTABLISHMENT ACCEPT',
  'establishment-reject': 'PDU SESSION ESTABLISHMENT REJECT',
  'modification-command': 'PDU SESSION MODIFICATION COMMAND',
} as const
