/** Reports on their way from the thread of the loop to that of its session. */
import type { Report } from './messages.js'

/** A report as it is sent. Structured clone keeps the message of an error, and loses its `code`, `errno` and `syscall`. */
export type CrossingReport = Report & { properties?: object }

export function outgoing(report: Report): CrossingReport {
  return report.event === 'failed' ? { ...report, properties: { ...report.error } } : report
}

export function incoming({ properties, ...report }: CrossingReport): Report {
  if (report.event === 'failed') Object.assign(report.error, properties)
  return report
}
