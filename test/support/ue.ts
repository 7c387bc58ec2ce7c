/** The UE of a lab as an obedient program, test/netns/programs/ue.ts. */
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Lab, Namespace } from '../../lib/lab/index.js'
import type { SocketSample, SubflowAddresses } from '../../lib/runtime/kernel/sampler.js'
import type { Calls } from '../netns/programs/ue.js'
import { compiled } from './compiled.js'

type Argument<Call extends keyof Calls> = Parameters<Calls[Call]>
type Value<Call extends keyof Calls> = Awaited<ReturnType<Calls[Call]>>

/** What it says without being asked. */
export interface Heard extends Record<string, unknown> {
  event: 'pm' | 'overrun' | 'change' | 'accepted'
}

export class Ue {
  /** All it has said by itself. */
  readonly heard: Heard[] = []
  readonly #child: ChildProcessWithoutNullStreams
  readonly #answers = new Map<number, (answer: { value?: unknown; error?: Error }) => void>()
  #lastId = 0

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child
    let complaints = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaints += text
    })
    createInterface(child.stdout).on('line', text => {
      const line = JSON.parse(text)
      if (line.event === undefined || line.event === 'ready') this.#answers.get(line.id ?? 0)?.(line)
      else this.heard.push(line)
    })
    child.on('close', code => {
      for (const answer of this.#answers.values())
        answer({ error: new Error(`the UE has ended with ${code}: ${complaints}`) })
    })
  }

  /** @param wrapper a command to run it under, such as `setpriv …` */
  static async start(host: Namespace, wrapper: string[] = []): Promise<Ue> {
    const [command, ...args] = [...wrapper, process.execPath, compiled('test/netns/programs/ue.ts')]
    const ue = new Ue(host.spawn(command!, args))
    await ue.#answer(0)
    return ue
  }

  /** Rejects with an error of the same code, message and so on. */
  async call<Call extends keyof Calls>(call: Call, ...args: Argument<Call>): Promise<Value<Call>> {
    const id = ++this.#lastId
    this.#child.stdin.write(`${JSON.stringify({ id, call, args })}\n`)
    return (await this.#answer(id)) as Value<Call>
  }

  async #answer(id: number): Promise<unknown> {
    const { value, error } = await new Promise<{ value?: unknown; error?: Error }>(resolve =>
      this.#answers.set(id, resolve),
    )
    this.#answers.delete(id)
    if (error) throw Object.assign(new Error(error.message), error)
    return value
  }

  /** The subflows of a connection, each with its addresses. */
  async subflows(fd: number): Promise<(SocketSample['subflows'][number] & SubflowAddresses)[]> {
    const [[sample], addresses] = [await this.call('sample', fd), await this.call('subflowAddresses', fd)]
    return sample!.subflows.map(subflow => ({ ...subflow, ...addresses.find(({ id }) => id === subflow.id)! }))
  }

  /** Events of the path manager until now, of one kind. */
  events(type: string): Record<string, unknown>[] {
    return this.heard.filter(line => line.event === 'pm' && line.type === type)
  }
}

/** How many bytes went each way over each access since the call before. */
export function traffic(lab: Lab): () => Promise<Record<string, { uplink: number; downlink: number }>> {
  const before: Record<string, { uplink: number; downlink: number }> = {}
  return async () => {
    const since: typeof before = {}
    for (const { name, link } of Object.values(lab.accesses)) {
      const { uplink, downlink } = await link.stats()
      const last = before[name] ?? { uplink: 0, downlink: 0 }
      before[name] = { uplink: uplink.bytes, downlink: downlink.bytes }
      since[name] = { uplink: uplink.bytes - last.uplink, downlink: downlink.bytes - last.downlink }
    }
    return since
  }
}
