/** What the session has commanded and its steering loop has reported, as far as another loop needs it to take over. */
import type { Steered } from './connection.js'
import type { OwnEndpoints } from './endpoints.js'
import type { Command, Report } from './messages.js'

type CommandOf<Name extends Command['command']> = Extract<Command, { command: Name }>

export class Journal {
  readonly #connections = new Map<number, Steered>()
  #rules: CommandOf<'rules'>['rules'] = []
  #wish: CommandOf<'assist'>['wish']
  #own: OwnEndpoints | undefined
  #isClosed = false

  /** A command of the session. */
  obey(command: Command): void {
    switch (command.command) {
      case 'add':
        this.#connections.set(command.steered.token, command.steered)
        break
      case 'remove':
        this.#connections.delete(command.token)
        break
      case 'rules':
        this.#rules = command.rules
        for (const [token, rule] of command.assigned) this.#change(token, { rule })
        break
      case 'assist':
        this.#wish = command.wish
        break
      case 'close':
        this.#isClosed = true
    }
  }

  /** A report of the loop. The session does not remove the connections that the loop has reported as gone. */
  note(report: Report): void {
    if (report.event === 'gone' || report.event === 'fallback') this.#connections.delete(report.token)
    else if (report.event === 'subflows') this.#change(report.token, { past: report.past })
    else if (report.event === 'own-endpoints') this.#own = report.own
  }

  /** What tells a new loop everything that the one before knew. */
  get commands(): Command[] {
    return [
      { command: 'rules', rules: this.#rules, assigned: [] },
      ...(this.#wish ? [{ command: 'assist', wish: this.#wish } as const] : []),
      ...[...this.#connections.values()].map(steered => ({ command: 'add', steered }) as const),
      ...(this.#isClosed ? [{ command: 'close' } as const] : []),
    ]
  }

  /** The endpoints that the loop has made in the kernel. */
  get own(): OwnEndpoints | undefined {
    return this.#own
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** The session is closed, and none of its connections is left: what serves them in the kernel can be taken away. */
  get isOver(): boolean {
    return this.#isClosed && this.#connections.size === 0
  }

  #change(token: number, change: Partial<Steered>): void {
    const before = this.#connections.get(token)
    if (before) this.#connections.set(token, { ...before, ...change })
  }
}
