/**
 * Reads the preload's configuration from JSON: the options of a session or of `connect()`, as far as JSON can express them, and the
 * destinations to leave to Node. Each mistake is an error that names its place; nothing is ignored. scripts/schema.ts makes
 * schema/atsss.json from these checks.
 */
import { AtsssError } from '../errors.js'
import { Checks } from '../input/check.js'
import { type Described, described, describedBy, explained, type JsonSchema, recordSchema } from '../input/described.js'
import { type ConverterInput, type MptcpOptions, resolveOptions, TIMER_MAX } from '../input/options.js'
import { congestionName, lowWater, TUNING_SCHEMAS } from '../input/socket-tuning.js'
import { refuseUnenforceable } from '../policy/rules/permit.js'
import { PRESETS, type Preset } from '../policy/rules/presets.js'
import { type RulesInput, readRules } from '../policy/rules/read.js'
import { DECISION_SCHEMA, RULES_SCHEMA, UUID_SCHEMA } from '../policy/rules/schema.js'
import { BOTH } from '../policy/steering/accesses.js'
import { type AccessInput, resolveSession, type SessionOptions } from '../session/options.js'
import { UUID } from '../wire/atsss/fields.js'
import { Exclusion } from './exclusion.js'
import type { PreloadOptions } from './preload.js'

export interface Config {
  /** A session's options if there are `accesses`, else those of `connect()`. */
  via: SessionOptions | MptcpOptions
  preload: PreloadOptions
}

const checks = new Checks('ERR_ATSSS_CONFIG', path => `${path}:`)
const { flag, text, interfaceName, oneOf, within, listOf, record } = describedBy(checks)

/** RFC 8803 §6.1 and §6.2.7: a message is at most 255 words of 32 bits, and also has to hold its header and the Connect TLV. */
const cookie = explained(
  '4 to 988 octets, a multiple of 4, in hexadecimal.',
  described({ type: 'string', pattern: '^([0-9A-Fa-f]{8}){1,247}$' }, (path, value) => {
    const octets = checks.hexadecimal(path, value)
    if (octets.length % 4 !== 0 || octets.length < 4 || octets.length > 988)
      throw checks.wrong(path, `must be 4…988 octets, a multiple of 4; it has ${octets.length}`)
    return octets
  }),
)

const convertForm = oneOf('auto', '0rtt', '1rtt')
const OF_A_CONVERTER = { convert: convertForm, pipelining: flag, cookie }
const addressOrList = described<string | string[]>(
  { oneOf: [text.schema, { ...listOf(text).schema, minItems: 1 }] },
  (path, value) => (Array.isArray(value) ? listOf(text)(path, value) : text(path, value)),
)
const byAddress = record({ host: addressOrList, port: within(1, 65_535), ...OF_A_CONVERTER }, ['host', 'port'])
const byDomain = record({ domain: text, ...OF_A_CONVERTER }, ['domain'])
const anyConverter = record({ host: addressOrList, port: within(1, 65_535), domain: text, ...OF_A_CONVERTER })

const converter = described<ConverterInput>(
  {
    oneOf: [
      {
        type: 'string',
        pattern: '^(_[Cc][Oo][Nn][Vv][Ee][Rr][Tt]\\._[Tt][Cc][Pp]\\..+|(\\[[^\\]]+\\]|[^:\\[\\]\\s/]+):\\d{1,5})$',
      },
      byAddress.schema,
      byDomain.schema,
    ],
  },
  (path, value) => {
    if (typeof value === 'string') return value // `resolveOptions` checks its form
    // A wrong property is reported before a missing one. `resolveOptions` refuses an address beside a domain.
    const given = anyConverter(path, value)
    return (given.domain === undefined ? byAddress(path, value) : given) as ConverterInput
  },
)

const interfaceNames = described<string | string[]>(
  { oneOf: [interfaceName.schema, { ...listOf(interfaceName).schema, minItems: 1 }] },
  // `resolveSession` refuses an empty list.
  (path, value) => (Array.isArray(value) ? listOf(interfaceName)(path, value) : interfaceName(path, value)),
)
const OF_AN_ACCESS = record({ interface: interfaceNames }, ['interface'])

const access = described<AccessInput>(
  { oneOf: [...(interfaceNames.schema.oneOf as JsonSchema[]), OF_AN_ACCESS.schema] },
  (path, value) =>
    typeof value !== 'object' || value === null || Array.isArray(value)
      ? interfaceNames(path, value)
      : (OF_AN_ACCESS(path, value) as { interface: string | string[] }),
)
const accesses = record({ '3gpp': access, 'non-3gpp': access }, BOTH)

/** For each property the check that returns the option's value. */
const OPTIONS = {
  converters: explained(
    'Transport Converters, best first. Default: none, connections go directly.',
    described({ oneOf: [converter.schema, listOf(converter).schema] }, (path, value) =>
      Array.isArray(value) ? listOf(converter)(path, value) : converter(path, value),
    ),
  ),
  interface: explained(
    "The interface of the first subflow; without accesses only. Default: the routing table's choice.",
    interfaceName,
  ),
  mptcp: explained(
    'MPTCP, or TCP where there is no MPTCP (prefer); MPTCP or an error (require); TCP (off). Default: prefer.',
    oneOf('prefer', 'require', 'off'),
  ),
  convert: explained('Where the Convert message travels. Default: auto.', convertForm),
  pipelining: explained(
    "Bytes written before 'connect' leave as soon as the converter has acknowledged the Convert message. Default: true.",
    flag,
  ),
  bypass: explained(
    'Reach servers that speak MPTCP themselves without a converter. Default: never.',
    oneOf('never', 'learned'),
  ),
  fallback: explained(
    'If no converter can be used: connections fail, or go directly. Default: fail.',
    oneOf('fail', 'direct'),
  ),
  connectTimeout: explained('Milliseconds for all of it; 0: no limit. Default: 130000.', within(0, TIMER_MAX)),
  converterTimeout: explained(
    "Milliseconds for the converter's answer; 0: no limit. Default: 15000.",
    within(0, TIMER_MAX),
  ),
  synTimeout: explained(
    'Milliseconds until an unanswered SYN is followed by a new one. Default: 900.',
    within(100, 1_900),
  ),
  synRetries: explained('New SYNs after the first. Default: 3 to a converter, 6 to a destination.', within(0, 10)),
  attemptDelay: explained(
    'Milliseconds until the next address is tried in parallel. Default: 250.',
    within(10, 60_000),
  ),
  congestion: explained(
    "The congestion control of connections, by the kernel's name, such as bbr. Default: the system's.",
    described<string>(TUNING_SCHEMAS.congestion, (path, value) => congestionName(checks, path, value)),
  ),
  notsentLowWater: explained(
    "Bytes that may wait unsent in the kernel. Default: the system's.",
    described<number>(TUNING_SCHEMAS.notsentLowWater, (path, value) => lowWater(checks, path, value)),
  ),
  info: explained('Send the Info TLV. Default: false.', flag),
  allowLoopback: explained(
    'Also use converters for loopback destinations: for tests on one machine. Default: false.',
    flag,
  ),
} satisfies Partial<Record<keyof MptcpOptions, Described>>

const OF_A_SESSION = {
  accesses: explained(
    "The interface of each access, or several in order of preference, with patterns; or auto. The application's connections become those of a session over both.",
    described<SessionOptions['accesses']>({ oneOf: [{ enum: ['auto'] }, accesses.schema] }, (path, value) =>
      value === 'auto' ? value : (accesses(path, value) as unknown as SessionOptions['accesses']),
    ),
  ),
  rules: explained(
    'A preset, ATSSS rules in the names of TS 29.512, or its SmPolicyDecision. Default: handover.',
    described<RulesInput>({ oneOf: [{ enum: Object.keys(PRESETS) }, RULES_SCHEMA, DECISION_SCHEMA] }, (path, value) => {
      if (typeof value === 'string') return oneOf(...(Object.keys(PRESETS) as Preset[]))(path, value)
      readRules([], value as RulesInput)
      return value as RulesInput
    }),
  ),
  application: explained(
    'The application, for rules with application identifiers.',
    record(
      {
        osId: described(UUID_SCHEMA, (path, value) => {
          if (typeof value !== 'string' || !UUID.test(value.toLowerCase())) throw checks.invalid(path, 'a UUID', value)
          return value
        }),
        osAppId: text,
      },
      ['osAppId'],
    ),
  ),
  unmatched: explained(
    'Connections that no rule matches use any access, or fail (refuse). Default: any.',
    oneOf('any', 'refuse'),
  ),
  unenforceable: explained(
    'If a rule cannot be obeyed here, its connections fail (refuse), are steered in the nearest possible way (degrade), or are left to the system as plain TCP (unsteered). Default: unsteered if its steering functionality is not MPTCP, otherwise refuse.',
    oneOf('refuse', 'degrade', 'unsteered'),
  ),
  helper: explained(
    'The steering helper, by which a program without CAP_NET_ADMIN steers: auto, the path of its socket, or false. Default: auto.',
    described({ anyOf: [{ const: false }, { const: 'auto' }, { type: 'string', pattern: '^/' }] }, (path, value) => {
      if (value === false || (typeof value === 'string' && (value === 'auto' || value.startsWith('/')))) return value
      throw checks.invalid(path, "'auto', false or the absolute path of a socket", value)
    }),
  ),
  vpn: explained(
    'Destinations that the system reaches by a tunnel that is no access (a VPN) are left to the system (respect), or their connections go around it (bypass). Default: respect.',
    oneOf('respect', 'bypass'),
  ),
  watch: explained(
    'Lets processes of the same user see the session over a Unix socket (atsss watch): true, the path of the socket, or its path and whether watchers may replace the rules. Default: false.',
    described(
      { anyOf: [flag.schema, text.schema, record({ path: text, control: flag }).schema] },
      (path, value): SessionOptions['watch'] => {
        if (typeof value === 'boolean') return value
        if (typeof value === 'string') return text(path, value)
        return record({ path: text, control: flag })(path, value)
      },
    ),
  ),
} satisfies Partial<Record<keyof SessionOptions, Described>>

const OF_THE_PRELOAD = {
  exclude: explained(
    'Destinations that Node connects to itself: addresses, prefixes, names, and *.name for everything below a name.',
    described(listOf(text).schema, (path, value) => {
      const entries = listOf(text)(path, value)
      new Exclusion(entries)
      return entries
    }),
  ),
  includeLocal: explained('Also take connections to loopback and link-local destinations. Default: false.', flag),
} satisfies Record<keyof PreloadOptions, Described>

const PROPERTIES: Readonly<Record<string, Described>> = {
  $schema: text,
  ...OF_A_SESSION,
  ...OPTIONS,
  ...OF_THE_PRELOAD,
}

/** The names of all properties, for programs that read or write such files. */
export const CONFIG_KEYS: readonly string[] = Object.keys(PROPERTIES)

/** What `parseConfig` accepts, as far as a JSON Schema can say it: schema/atsss.json without its title. */
export function configSchema(): JsonSchema {
  return {
    ...recordSchema(PROPERTIES),
    dependencies: {
      ...Object.fromEntries(
        Object.keys(OF_A_SESSION)
          .filter(name => name !== 'accesses')
          .map(name => [name, ['accesses']]),
      ),
      accesses: { not: { required: ['interface'] } },
    },
  }
}

/**
 * @param json as `JSON.parse` returns it
 * @param origin the file or variable it is from, for the message
 * @throws ERR_ATSSS_CONFIG with the origin, the place in it, and a suggestion
 */
export function parseConfig(json: unknown, origin: string): Config {
  try {
    const given = checks.record('the configuration', json, CONFIG_KEYS)
    const read = (properties: Readonly<Record<string, Described>>) =>
      Object.fromEntries(
        Object.entries(properties)
          .filter(([name]) => given[name] !== undefined)
          .map(([name, check]) => [name, check(name, given[name])]),
      )
    if (given.$schema !== undefined) text('$schema', given.$schema)
    // Unmodified applications did not ask to go around a VPN.
    const guarded = given.accesses === undefined ? {} : { vpn: 'respect' }
    const via: Record<string, unknown> = { ...read(OPTIONS), ...guarded, ...read(OF_A_SESSION) }
    const stray = Object.keys(OF_A_SESSION).find(name => name in via)
    if (given.accesses === undefined && stray !== undefined)
      throw checks.wrong(
        stray,
        'is an option of sessions, and a session needs "accesses": add the interfaces of both accesses',
      )
    if (given.accesses !== undefined && given.interface !== undefined)
      throw checks.wrong('interface', 'cannot be combined with "accesses", which names the interfaces: leave it out')
    resolveOptions(via)
    if (given.accesses !== undefined) {
      const settings = resolveSession(via as unknown as SessionOptions)
      const { rules } = via as Partial<SessionOptions>
      if (rules !== undefined) refuseUnenforceable(rules, readRules([], rules).rules, settings)
    }
    return { via: via as unknown as Config['via'], preload: read(OF_THE_PRELOAD) }
  } catch (error) {
    const { code, message } = error as AtsssError
    if (code === undefined || !REFUSALS.includes(code)) throw error
    // An option's error begins with `Option "converters[0]" must be …`: give all errors the same form.
    throw configError(origin, message.replace(/^the configuration\./, '').replace(/^Option "([^"]*)"/, '$1:'))
  }
}

const REFUSALS = ['ERR_ATSSS_CONFIG', 'ERR_ATSSS_RULE', 'ERR_ATSSS_STEERING', 'ERR_ATSSS_OPTION']

export function configError(origin: string, message: string): AtsssError {
  return new AtsssError('ERR_ATSSS_CONFIG', `${origin}: ${message}`)
}
