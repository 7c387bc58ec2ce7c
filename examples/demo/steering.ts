/** The session of the demo's device, and what it says while things happen. */
import type { AtsssRule, SessionOptions } from 'atsss'
import type { Lab } from 'atsss/lab'
import { CONVERTER_PORT, type Program, program, SERVER_PORT, start } from './hosts.js'
import type { Start, Told } from './session.js'
import { say } from './text.js'

export interface DemoSession {
  program: Program
  /** All that it has told of itself. */
  told: Told[]
}

export async function openSession(lab: Lab): Promise<DemoSession> {
  // Each connection by itself is for the userspace path manager; the kernel's own knows one wish for all.
  await lab.ue.sysctl('net.mptcp.pm_type', 1)
  const session: SessionOptions = {
    accesses: { '3gpp': lab.accesses.cell!.interface, 'non-3gpp': lab.accesses.wifi!.interface },
    converters: `${lab.converterAddress.v4}:${CONVERTER_PORT}`,
    rules: 'handover',
  }
  const task: Start = { host: lab.serverAddress.v4, port: SERVER_PORT, session }
  const running = await start(lab, 'ue', [...program('session.ts'), JSON.stringify(task)])
  const told: Told[] = []
  running.onLine = line => told.push(line as unknown as Told)
  const { level, why } = running.ready
  if (level !== 'userspace') say(`The session steers less than it could: ${why}`)
  return { program: running, told }
}

/** One rule, for everything. */
export function everything(steeringMode: AtsssRule['steeringMode']): AtsssRule[] {
  return [{ precedence: 255, trafficDescriptor: { matchAll: true }, steeringMode }]
}

/** Gives how many live connections are under another rule now. */
export async function updateRules({ program }: DemoSession, rules: AtsssRule[]): Promise<number> {
  const updated = program.answer<{ moved: number }>('updated')
  program.tell({ rules })
  return (await updated).moved
}
