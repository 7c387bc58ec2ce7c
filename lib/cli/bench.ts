/** `atsss bench`: measures what your two accesses carry, alone, together, and across a handover. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { AtsssRule, MaPduSession, SessionOptions } from '../index.js'
import type { AccessType } from '../policy/rules/rule.js'
import { BOTH, otherAccess } from '../policy/steering/accesses.js'
import { type OptionTable, optionLines, parseArguments, UsageError, wholeNumber } from './arguments.js'
import { download } from './bench/download.js'
import type { Direction, Transfer } from './bench/transfer.js'
import { upload } from './bench/upload.js'
import { coloursFor, progress } from './terminal.js'
import { openVia, VIA_OPTIONS, viaOptions } from './via.js'

const SECONDS = 5

const OPTIONS = {
  ...VIA_OPTIONS,
  seconds: { type: 'string', value: 'N', help: 'the length of each measurement', unset: SECONDS },
  upload: { type: 'string', value: 'URL', help: 'also measure uploads, to a URL that takes large ones by POST' },
  cut: { type: 'boolean', help: 'also measure a handover of a download that you cause by hand' },
  json: {
    type: 'boolean',
    help: 'print one object: direction, bytes, Mbit/s, longest gap in ms, share of each access',
  },
} as const satisfies OptionTable

export const help = `Usage: atsss bench [options] URL

Downloads a large file over your two interfaces, and measures each access alone, both together, and a handover during
the download, caused by a change of the rule. With --upload it measures the same of uploads; their bytes count when they
are acknowledged. With --cut it also waits for you to remove the active access (pull the cable, leave the Wi-Fi), and
measures that handover. It uses all the bandwidth that it gets: beware of metered networks.

${optionLines(OPTIONS)}

Exit status: 0 done, 1 a transfer failed, 2 wrong command line.

Examples:
  atsss bench --3gpp wwan0 --non-3gpp wlan0 --converter 192.0.2.1:5124 https://example.com/large.iso
  atsss lab -- npx atsss bench --upload http://198.51.100.2/upload http://198.51.100.2/bytes/1000000000
`

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, OPTIONS, true)
  const url = urlOf(positionals)
  const uploadUrl = values.upload === undefined ? undefined : parsed(values.upload, '--upload')
  const seconds = values.seconds === undefined ? SECONDS : wholeNumber('seconds', values.seconds)
  if (seconds < 1) throw new UsageError('--seconds must be 1 or more')
  const options = viaOptions(values)
  if (options.accesses === undefined)
    throw new UsageError(
      'no accesses are given: use --3gpp INTERFACE and --non-3gpp INTERFACE, or a configuration that has them',
    )

  const busy = progress()
  const measurements: Measurement[] = []
  const measure = async (
    name: string,
    direction: Direction,
    rules: AtsssRule[],
    during?: (session: MaPduSession) => Promise<unknown>,
  ) => {
    busy.say(`measuring ${name}, ${direction}`)
    const transfer = (session: MaPduSession) =>
      direction === 'up' ? upload(session, uploadUrl!, seconds * 1000) : download(session, url, seconds * 1000)
    measurements.push(await measured(name, direction, { ...options, rules } as SessionOptions, transfer, during))
  }
  try {
    for (const direction of ['down', 'up'] as const) {
      if (direction === 'up' && !uploadUrl) continue
      for (const access of BOTH) await measure(`${access} alone`, direction, only(access))
      await measure(
        'both together',
        direction,
        everything({ steerModeValue: 'LOAD_BALANCING', steerModeInd: 'AUTO_LOAD_BALANCE' }),
      )
      for (const access of BOTH)
        await measure(`handover to ${access}`, direction, standby(otherAccess(access)), async session => {
          await sleep((seconds * 1000) / 2)
          session.update(standby(access))
        })
    }
    if (values.cut) {
      process.stderr.write('Take the non-3gpp access away now.\n')
      await measure('non-3gpp taken away', 'down', standby('non-3gpp'))
    }
  } finally {
    busy.end()
  }
  const about = { url: url.href, ...(uploadUrl ? { upload: uploadUrl.href } : {}), seconds, measurements }
  if (values.json) process.stdout.write(`${JSON.stringify(about, undefined, 2)}\n`)
  else printText(measurements)
  return 0
}

function urlOf([text, ...more]: string[]): URL {
  if (text === undefined) throw new UsageError('no URL is given: name that of a large file')
  if (more.length > 0) throw new UsageError(`one URL at a time; there is '${more[0]}' too`)
  return parsed(text, 'the URL')
}

function parsed(text: string, name: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url && /^https?:$/.test(url.protocol)) return url
  throw new UsageError(`${name} must begin with http:// or https://; it is '${text}'`)
}

interface Measurement extends Transfer {
  name: string
  direction: Direction
  mbitPerSecond: number
  /** The share of the bytes that went in this direction, in percent. */
  share: Record<AccessType, number>
  handovers: number
  /** How much can be steered here: see `session.ready`. */
  level: string
}

async function measured(
  name: string,
  direction: Direction,
  options: SessionOptions,
  transfer: (session: MaPduSession) => Promise<Transfer>,
  during: ((session: MaPduSession) => Promise<unknown>) | undefined,
): Promise<Measurement> {
  const via = openVia(options)
  const session = via.session!
  try {
    const { level } = await session.ready
    const [result] = await Promise.all([transfer(session), during?.(session)])
    const { accesses, handovers } = session.stats()
    const carried = (access: AccessType) => accesses[access][direction === 'up' ? 'bytesSent' : 'bytesReceived']
    const all = carried('3gpp') + carried('non-3gpp')
    const share = (access: AccessType) => (all === 0 ? 0 : (100 * carried(access)) / all)
    return {
      name,
      direction,
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
  const row = (name: string, direction: string, ...cells: string[]) =>
    [name.padEnd(22), direction.padEnd(4), ...cells.map(cell => cell.padStart(13))].join('')
  const lines = measurements.map(({ name, direction, mbitPerSecond, longestGap, share, handovers }) =>
    row(
      name,
      direction,
      mbitPerSecond.toFixed(1),
      `${longestGap.toFixed(0)} ms`,
      `${share['3gpp'].toFixed(0)} %`,
      `${share['non-3gpp'].toFixed(0)} %`,
      String(handovers),
    ),
  )
  const heading = row('', '', 'Mbit/s', 'longest gap', '3gpp', 'non-3gpp', 'handovers')
  const together = (['down', 'up'] as const).flatMap(direction => {
    const rate = (name: string) =>
      measurements.find(one => one.direction === direction && one.name === name)?.mbitPerSecond
    const both = rate('both together')
    if (both === undefined) return []
    const sum = BOTH.reduce((total, access) => total + (rate(`${access} alone`) ?? 0), 0)
    return [
      `Both together, ${direction}: ${both.toFixed(1)} Mbit/s, ${((100 * both) / sum).toFixed(0)} % of the sum of the two alone (${sum.toFixed(1)}).`,
    ]
  })
  const level = measurements[0]?.level
  const less =
    level === 'userspace'
      ? []
      : [colours.warning(`Steering level '${level}': atsss doctor says how to get 'userspace'.`)]
  process.stdout.write(`${[colours.strong(heading), ...lines, ...together, ...less].join('\n')}\n`)
}
