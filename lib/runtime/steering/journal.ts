/** Which of a session's steered connections are left, and whether any may come: what carries them is not taken away before. */
import type { Command, Report } from './messages.js'

export class ConnectionsLeft {
  readonly #tokens = new Set<number>()
  #isClosed = false

  /** What the session says. */
  obey(command: Command): void {
    if (command.command === 'add') this.#tokens.add(command.steered.token)
    else if (command.command === 'remove') this.#tokens.delete(command.token)
    else if (command.command === 'close') this.#isClosed = true
  }

  /** What the steering loop tells: the session does not say again what it has heard from there. */
  hear(report: Report): void {
    if (report.event === 'gone' || report.event === 'fallback') this.#tokens.delete(report.token)
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Closed, and none is left. */
  get isOver(): boolean {
    return this.#isClosed && this.#tokens.size === 0
  }
}
