/** `atsss bench`: measures what your two accesses carry, alone, together, and across a handover. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { AtsssRule, MaPduSession, SessionOptions } from '../index.js'
import type { AccessType } from '../policy/rules/rule.js'
import { BOTH, otherAccess } from '../policy/steering/accesses.js'
import { type OptionTable, optionLines, parseArguments, UsageError, wholeNumber } from './arguments.js'
import { type Download, download } from './bench/download.js'
import { coloursFor, progress } from './terminal.js'
import { openVia, VIA_OPTIONS, viaOptions } from './via.js'

const SECONDS = 5

const OPTIONS = {
  ...VIA_OPTIONS,
  seconds: { type: 'string', value: 'N', help: 'the length of each measurement', unset: SECONDS },
  cut: { type: 'boolean', help: 'also measure a handover that you cause by hand' },
  json: { type: 'boolean', help: 'print one object: bytes, Mbit/s, longest gap in ms, share of each access' },
} as const satisfies OptionTable

export const help = `Usage: atsss bench [options] URL

Downloads a large file over your two interfaces, and measures each access alone, both together, and a handover during
the download, caused by a change of the rule. With --cut it also waits for you to remove the active access (pull the
cable, leave the Wi-Fi), and measures that handover. It uses all the bandwidth that it gets: beware of metered
networks.

${optionLines(OPTIONS)}

Exit status: 0 done, 1 a download failed, 2 wrong command line.

Examples:
  atsss bench --3gpp wwan0 --non-3gpp wlan0 --converter 192.0.2.1:5124 https://example.com/large.iso
  atsss lab -- npx atsss bench http://198.51.100.2/bytes/1000000000
`

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, OPTIONS, true)
  const url = urlOf(positionals)
  const seconds = values.seconds === undefined ? SECONDS : wholeNumber('seconds', values.seconds)
  if (seconds < 1) throw new UsageError('--seconds must be 1 or more')
  const options = viaOptions(values)
  if (options.accesses === undefined)
    throw new UsageError(
      'no accesses are given: use --3gpp INTERFACE and --non-3gpp INTERFACE, or a configuration that has them',
    )

  const busy = progress()
  const measurements: Measurement[] = []
  const measure = async (name: string, rules: AtsssRule[], during?: (session: MaPduSession) => Promise<unknown>) => {
    busy.say(`measuring ${name}`)
    measurements.push(await measured(name, { ...options, rules } as SessionOptions, url, seconds, during))
  }
  try {
    for (const access of BOTH) await measure(`${access} alone`, only(access))
    await measure('both together', everything({ steerModeValue: 'LOAD_BALANCING', steerModeInd: 'AUTO_LOAD_BALANCE' }))
    for (const access of BOTH)
      await measure(`handover to ${access}`, standby(otherAccess(access)), async session => {
        await sleep((seconds * 1000) / 2)
        session.update(standby(access))
      })
    if (values.cut) {
      process.stderr.write('Take the non-3gpp access away now.\n')
      await measure('non-3gpp taken away', standby('non-3gpp'))
    }
  } finally {
    busy.end()
  }
  if (values.json) process.stdout.write(`${JSON.stringify({ url: url.href, seconds, measurements }, undefined, 2)}\n`)
  else printText(measurements)
  return 0
}

function urlOf([text, ...more]: string[]): URL {
  if (text === undefined) throw new UsageError('no URL is given: name that of a large file')
  if (more.length > 0) throw new UsageError(`one URL at a time; there is '${more[0]}' too`)
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url && /^https?:$/.test(url.protocol)) return url
  throw new UsageError(`the URL must begin with http:// or https://; it is '${text}'`)
}

interface Measurement extends Download {
  name: string
  mbitPerSecond: number
  /** The share of the bytes received, in percent. */
  share: Record<AccessType, number>
  handovers: number
  /** How much can be steered here: see `session.ready`. */
  level: string
}

async function measured(
  name: string,
  options: SessionOptions,
  url: URL,
  seconds: number,
  during: ((session: MaPduSession) => Promise<unknown>) | undefined,
): Promise<Measurement> {
  const via = openVia(options)
  const session = via.session!
  try {
    const { level } = await session.ready
    const [result] = await Promise.all([download(session, url, seconds * 1000), during?.(session)])
    const { accesses, handovers } = session.stats()
    const received = (access: AccessType) => accesses[access].bytesReceived
    const all = received('3gpp') + received('non-3gpp')
    const share = (access: AccessType) => (all === 0 ? 0 : (100 * received(access)) / all)
    return {
      name,
      ...result,
      mbitPerSecond: (result.bytes * 8) / 1000 / Math.max(result.duration, 1),
      share: { '3gpp': share('3gpp'), 'non-3gpp': share('non-3gpp') },
      handovers,
      level,
    }
  } finally {
    via.close()
  }
}

function everything(steeringMode: AtsssRule['steeringMode']): AtsssRule[] {
  return [{ precedence: 255, trafficDescriptor: { matchAll: true }, steeringMode }]
}

const NAMES = { '3gpp': '3GPP_ACCESS', 'non-3gpp': 'NON_3GPP_ACCESS' } as const

function only(access: AccessType): AtsssRule[] {
  return everything({ steerModeValue: 'ACTIVE_STANDBY', active: NAMES[access], standby: null })
}

function standby(active: AccessType): AtsssRule[] {
  return everything({ steerModeValue: 'ACTIVE_STANDBY', active: NAMES[active], standby: NAMES[otherAccess(active)] })
}

function printText(measurements: readonly Measurement[]): void {
  const colours = coloursFor(process.stdout)
  const row = (...cells: string[]) => cells.map((cell, i) => (i === 0 ? cell.padEnd(22) : cell.padStart(13))).join('')
  const lines = measurements.map(({ name, mbitPerSecond, longestGap, share, handovers }) =>
    row(
      name,
      mbitPerSecond.toFixed(1),
      `${longestGap.toFixed(0)} ms`,
      `${share['3gpp'].toFixed(0)} %`,
      `${share['non-3gpp'].toFixed(0)} %`,
      String(handovers),
    ),
  )
  const rate = (index: number) => measurements[index]?.mbitPerSecond ?? 0
  const sum = rate(0) + rate(1)
  const heading = row('', 'Mbit/s', 'longest gap', '3gpp', 'non-3gpp', 'handovers')
  const together = `Together they carry ${((100 * rate(2)) / sum).toFixed(0)} % of what each carries alone.`
  const level = measurements[0]?.level
  const less =
    level === 'userspace'
      ? []
      : [colours.warning(`Steering level '${level}': atsss doctor says how to get 'userspace'.`)]
  process.stdout.write(`${[colours.strong(heading), ...lines, together, ...less].join('\n')}\n`)
}
