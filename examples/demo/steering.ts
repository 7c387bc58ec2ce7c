/** The session of the demo's device, and its log. */
import type { AtsssRule, SessionOptions } from 'atsss'
import type { Lab } from 'atsss/lab'
import { CONVERTER_PORT, type Program, program, SERVER_PORT, start } from './hosts.js'
import type { Logged, Start } from './session.js'
import { say } from './text.js'

export interface DemoSession {
  program: Program
  /** All lines that it has written about the session. */
  log: Logged[]
}

export async function openSession(lab: Lab): Promise<DemoSession> {
  // Only the userspace path manager steers each connection by itself.
  await lab.ue.sysctl('net.mptcp.pm_type', 1)
  const session: SessionOptions = {
    accesses: { '3gpp': lab.accesses.cell!.interface, 'non-3gpp': lab.accesses.wifi!.interface },
    converters: `${lab.converterAddress.v4}:${CONVERTER_PORT}`,
    rules: 'handover',
  }
  const task: Start = { host: lab.serverAddress.v4, port: SERVER_PORT, session }
  const running = await start(lab, 'ue', [...program('session.ts'), JSON.stringify(task)])
  const log: Logged[] = []
  running.onLine = line => log.push(line as unknown as Logged)
  const { level, why } = running.ready
  if (level !== 'userspace') say(`Steering is limited: ${why}`)
  return { program: running, log }
}

/** One rule, for everything. */
export function everything(steeringMode: AtsssRule['steeringMode']): AtsssRule[] {
  return [{ precedence: 255, trafficDescriptor: { matchAll: true }, steeringMode }]
}

/** @returns how many live connections have another rule now */
export async function updateRules({ program }: DemoSession, rules: AtsssRule[]): Promise<number> {
  const updated = program.answer<{ moved: number }>('updated')
  program.send({ rules })
  return (await updated).moved
}
