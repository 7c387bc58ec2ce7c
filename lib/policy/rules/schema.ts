/** The JSON Schema of rules, made from the tables and ranges that `parseRules` checks with. */
import type { JsonSchema } from '../../input/described.js'
import { hexadecimal, octet, percent, permille, port, socketOptions, uinteger } from './check.js'
import { ACCESS_TYPES, MODE_KEYS, type ModeKey, type RULE_KEYS, STEERING_KEYS, type SteerModeValue } from './json.js'
import { DIRECTIONS } from './json-pcc.js'
import type { LISTS } from './json-traffic.js'

export const UUID_SCHEMA: JsonSchema = {
  type: 'string',
  pattern: '^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$',
}

const NOTHING = { type: 'null' }
const TEXT = { type: 'string', minLength: 1 }
const orNull = (schema: JsonSchema): JsonSchema => ({ oneOf: [NOTHING, schema] })
const object = (properties: Record<string, JsonSchema>, more: JsonSchema = {}): JsonSchema => ({
  type: 'object',
  additionalProperties: false,
  ...more,
  properties,
})

const PREFIX = {
  description: '192.0.2.1, 192.0.2.0/24, 192.0.2.0/255.255.255.0, 2001:db8::/32',
  type: 'string',
  pattern: '^[0-9A-Fa-f.:]+(/[0-9.]+)?$',
}
const PORTS = {
  description: 'A port, or a range such as 8000-8099.',
  oneOf: [port.schema, { type: 'string', pattern: '^\\d{1,5}-\\d{1,5}$' }],
}

const COMPONENTS: Readonly<Record<Exclude<(typeof LISTS)[number], 'opaque'>, JsonSchema>> = {
  remoteAddresses: PREFIX,
  remotePorts: PORTS,
  protocols: octet.schema,
  fqdns: TEXT,
  regularExpressions: { ...TEXT, maxLength: 255 },
  applications: object({ osId: UUID_SCHEMA, osAppId: { ...TEXT, maxLength: 255 } }, { required: ['osAppId'] }),
  ipTuples: object({ remoteAddress: PREFIX, protocol: octet.schema, remotePort: PORTS }, { minProperties: 1 }),
}

const TRAFFIC = object(
  {
    matchAll: { const: true },
    ...Object.fromEntries(
      Object.entries(COMPONENTS).map(([name, items]) => [name, { type: 'array', minItems: 1, items }]),
    ),
    opaque: { type: 'array', items: { type: 'string', pattern: '^([0-9A-Fa-f]{2})+$' } },
  },
  { description: 'The destinations that match one item of each list that is there.', minProperties: 1 },
)

const ACCESS = { enum: Object.keys(ACCESS_TYPES) }
const THRESHOLDS = {
  description: 'rttThres in milliseconds, plrThres in tenths of a percent.',
  ...orNull(object({ rttThres: orNull(uinteger.schema), plrThres: orNull(permille.schema) })),
}
const NO_THRESHOLDS = orNull(object({ rttThres: NOTHING, plrThres: NOTHING }))

const VALUES: Readonly<Record<ModeKey, JsonSchema>> = {
  active: ACCESS,
  standby: orNull(ACCESS),
  '3gLoad': percent.schema,
  prioAcc: ACCESS,
  thresValue: THRESHOLDS,
  steerModeInd: TEXT,
  primary: orNull(ACCESS),
  nasCode: octet.schema,
  nasInformation: hexadecimal.schema,
}

/** One form of a mode: what it needs, what is narrower than usual, and what it does not go with. */
interface Form {
  required?: readonly ModeKey[]
  narrower?: Partial<Record<ModeKey, JsonSchema>>
  without?: ModeKey
}

const FORMS: Readonly<Record<SteerModeValue, readonly Form[]>> = {
  // The standby is the other access.
  ACTIVE_STANDBY: ACCESS.enum.map(active => ({
    required: ['active'],
    narrower: {
      active: { const: active },
      standby: { enum: [...ACCESS.enum.filter(other => other !== active), null] },
    },
  })),
  LOAD_BALANCING: [
    { required: ['3gLoad'], without: 'steerModeInd' },
    {
      required: ['3gLoad', 'steerModeInd'],
      narrower: { steerModeInd: { const: 'UE_ASSISTANCE' }, thresValue: NO_THRESHOLDS },
    },
    {
      required: ['steerModeInd'],
      narrower: { steerModeInd: { const: 'AUTO_LOAD_BALANCE' }, thresValue: NO_THRESHOLDS },
    },
  ],
  SMALLEST_DELAY: [{}],
  PRIORITY_BASED: [{ required: ['prioAcc'] }],
  REDUNDANT: [{}],
  UNKNOWN: [{ required: ['nasCode', 'nasInformation'] }],
}

function formSchema(mode: SteerModeValue, { required = [], narrower = {}, without }: Form): JsonSchema {
  const keys = MODE_KEYS[mode].filter(key => key !== without)
  return {
    required: ['steerModeValue', ...required],
    properties: {
      steerModeValue: { const: mode },
      ...Object.fromEntries(keys.map(key => [key, narrower[key] ?? VALUES[key]])),
    },
    // Where TS 29.512 has null for "none", null may stand beside every mode.
    additionalProperties: NOTHING,
    ...(without === undefined ? {} : { not: { required: [without] } }),
  }
}

const STEERING_MODE = {
  description: 'TS 29.512 SteeringMode.',
  type: 'object',
  propertyNames: { enum: STEERING_KEYS },
  oneOf: (Object.keys(FORMS) as SteerModeValue[]).flatMap(mode => FORMS[mode].map(form => formSchema(mode, form))),
}

const RULE: Readonly<Record<(typeof RULE_KEYS)[number], JsonSchema>> = {
  ruleId: { oneOf: [TEXT, octet.schema] },
  precedence: uinteger.schema,
  trafficDescriptor: TRAFFIC,
  steeringFunctionality: { oneOf: [TEXT, octet.schema] },
  steeringMode: STEERING_MODE,
  socket: { description: "Of its connections' sockets.", ...socketOptions.schema },
}

export const RULES_SCHEMA: JsonSchema = {
  type: 'array',
  items: object(RULE, {
    description: 'The lower the precedence, the earlier a rule is evaluated; the first that matches applies.',
    required: ['precedence', 'trafficDescriptor', 'steeringMode'],
  }),
}

/** TS 29.512 has more properties than rules are made from, and later releases more than it. */
const open = (properties: Record<string, JsonSchema>, required: readonly string[]): JsonSchema => ({
  type: 'object',
  required,
  properties,
})
const mapOf = (item: JsonSchema): JsonSchema => ({ type: 'object', additionalProperties: orNull(item) })

const FLOW: JsonSchema = {
  ...open(
    {
      flowDescription: {
        description: 'permit out 6 from 198.51.100.0/24 443 to assigned',
        type: 'string',
        pattern: '^\\s*permit\\s+(in|out)\\s+(ip|\\d{1,3})\\s+from\\s+\\S.*\\sto\\s+\\S',
      },
      flowDirection: orNull({ enum: Object.keys(DIRECTIONS) }),
    },
    [],
  ),
  anyOf: [
    { required: ['flowDescription'] },
    { required: ['ethFlowDescription'], properties: { ethFlowDescription: { not: NOTHING } } },
  ],
}

const PCC_RULE = open(
  {
    pccRuleId: TEXT,
    precedence: uinteger.schema,
    flowInfos: { type: 'array', minItems: 1, items: FLOW },
    appId: { ...TEXT, maxLength: 255 },
    appDescriptor: TEXT,
    refTcData: { type: 'array', minItems: 1, maxItems: 1, items: TEXT },
    refCondData: orNull(TEXT),
  },
  ['pccRuleId'],
)

const TRAFFIC_CONTROL = open(
  { tcId: TEXT, steerFun: { oneOf: [TEXT, octet.schema] }, steerModeUl: STEERING_MODE, steerModeDl: STEERING_MODE },
  ['tcId'],
)

export const DECISION_SCHEMA: JsonSchema = {
  description: 'TS 29.512 SmPolicyDecision: its PCC rules that steer.',
  ...open({ pccRules: mapOf(PCC_RULE), traffContDecs: orNull(mapOf(TRAFFIC_CONTROL)) }, ['pccRules']),
}
