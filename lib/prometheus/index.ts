/**
 * What sessions count, as text that Prometheus and compatible systems read (OpenMetrics). Without a dependency.
 *
 * @packageDocumentation
 */
import { AtsssError } from '../errors.js'
import { shown } from '../input/check.js'
import { MaPduSession } from '../session/session.js'
import { exposition } from './exposition.js'
import { familiesOf, type Reading } from './families.js'

/** The Content-Type of what `metrics()` returns. */
export const contentType = 'application/openmetrics-text; version=1.0.0; charset=utf-8'

export interface MetricsOptions {
  /**
   * `'openmetrics'`: OpenMetrics 1.0, which ends with `# EOF`. `'prometheus'`: the older text format (0.0.4), to be put behind other
   * metrics, such as those of prom-client; its Content-Type is `text/plain; version=0.0.4`.
   *
   * @defaultValue 'openmetrics'
   */
  format?: 'openmetrics' | 'prometheus'
}

/**
 * The metrics of a session, or of several: each sample then has the label `session`, with the name that is given here. Values are
 * read now, by `session.stats()`. What is not known is absent, so an empty object gives an empty exposition. docs/observability.md lists the metrics.
 *
 * @throws ERR_ATSSS_OPTION
 *
 * @example
 * http.createServer((request, response) => {
 *   response.setHeader('content-type', contentType).end(metrics(session))
 * }).listen(9464, '127.0.0.1')
 */
export function metrics(
  sessions: MaPduSession | Readonly<Record<string, MaPduSession>>,
  { format = 'openmetrics' }: MetricsOptions = {},
): string {
  if (format !== 'openmetrics' && format !== 'prometheus')
    throw new AtsssError(
      'ERR_ATSSS_OPTION',
      `Option "format" must be 'openmetrics' or 'prometheus'; it is ${shown(format)}`,
    )
  return exposition(familiesOf(readAll(sessions)), format)
}

function readAll(sessions: MaPduSession | Readonly<Record<string, MaPduSession>>): Reading[] {
  if (isSession(sessions)) return [{ labels: {}, stats: sessions.stats() }]
  if (typeof sessions !== 'object' || sessions === null)
    throw new AtsssError(
      'ERR_ATSSS_OPTION',
      `metrics() takes a session, or sessions by name; it got ${shown(sessions)}`,
    )
  return Object.entries(sessions).map(([name, session]) => {
    if (!isSession(session))
      throw new AtsssError('ERR_ATSSS_OPTION', `metrics(): ${name} must be a session; it is ${shown(session)}`)
    return { labels: { session: name }, stats: session.stats() }
  })
}

/** Also one of another copy of this package. */
function isSession(value: unknown): value is MaPduSession {
  if (value instanceof MaPduSession) return true
  const { stats, explain } = (value ?? {}) as Partial<MaPduSession>
  return typeof stats === 'function' && typeof explain === 'function'
}
