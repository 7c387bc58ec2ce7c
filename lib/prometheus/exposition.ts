/** Metric families as text: OpenMetrics 1.0, and the older text format of Prometheus (0.0.4). Values in, text out. */
import { toUSVString } from 'node:util'

export type Format = 'openmetrics' | 'prometheus'

export interface Family {
  /** Without the suffix of its samples; it ends with its unit, if it has one. */
  name: string
  type: 'counter' | 'gauge' | 'histogram' | 'info' | 'stateset'
  unit?: 'bytes' | 'seconds' | 'ratio'
  help: string
  /** Those of one histogram stand together. */
  samples: readonly Sample[]
}

export interface Sample {
  /** Behind the family's name: `_total` of counters, `_info`, `_bucket`, `_count`, `_sum`. */
  suffix?: string
  labels: Readonly<Record<string, string>>
  value: number
}

/** Families without samples are left out. */
export function exposition(families: readonly Family[], format: Format): string {
  const lines = families.filter(({ samples }) => samples.length > 0).flatMap(family => familyLines(family, format))
  if (format === 'openmetrics') lines.push('# EOF')
  return lines.map(line => `${line}\n`).join('')
}

function familyLines({ name, type, unit, help, samples }: Family, format: Format): string[] {
  const isOpen = format === 'openmetrics'
  // In the older format the name of a counter has the suffix, and there are no infos and sets of states.
  const named = isOpen ? name : `${name}${type === 'counter' ? '_total' : type === 'info' ? '_info' : ''}`
  const typed = isOpen || (type !== 'info' && type !== 'stateset') ? type : 'gauge'
  return [
    `# TYPE ${named} ${typed}`,
    ...(isOpen && unit ? [`# UNIT ${name} ${unit}`] : []),
    `# HELP ${named} ${isOpen ? escaped(help) : help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`,
    ...samples.map(({ suffix = '', labels, value }) => `${name}${suffix}${labelsInBraces(labels)} ${numberOf(value)}`),
  ]
}

function labelsInBraces(labels: Readonly<Record<string, string>>): string {
  const all = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`)
  return all.length === 0 ? '' : `{${all.join(',')}}`
}

/**
 * OpenMetrics 1.0, "Escaping": "Line feed, '\n' (0x0A) -> literally '\\n' (Bytecode 0x5c 0x6e); Double quotes -> '\\"' (Bytecode 0x5c
 * 0x22); Backslash -> '\\\\' (Bytecode 0x5c 0x5c)".
 */
export function escaped(text: string): string {
  return toUSVString(text).replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')
}

/** "NaN", "+Inf" and "-Inf" are what both formats have for these. */
function numberOf(value: number): string {
  if (Number.isFinite(value) || Number.isNaN(value)) return String(value)
  return value > 0 ? '+Inf' : '-Inf'
}

/** The bound of a bucket: OpenMetrics wants floating-point numbers, "1.0" and not "1". */
export function boundOf(value: number): string {
  return Number.isInteger(value) ? value.toFixed(1) : numberOf(value)
}
