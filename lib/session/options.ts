/** What a `MaPduSession` takes, and the checks of it. */

import { AtsssError } from '../errors.js'
import { integer, interfaceName, invalid, OptionNames, oneOf, text } from '../input/check.js'
import { type ConverterInput, type MptcpOptions, OPTIONS_OF_SOCKETS, withoutOurOptions } from '../input/options.js'
import type { PermitPolicy } from '../policy/rules/permit.js'
import type { RulesInput } from '../policy/rules/read.js'
import type { AccessType } from '../policy/rules/rule.js'
import { BOTH } from '../policy/steering/accesses.js'
import type { Assistance } from '../policy/steering/modes.js'
import { type AccessConfig, AUTO, type InterfaceChoice, isPattern } from '../runtime/network/access-choice.js'
import { HELPER_SOCKET } from '../runtime/network/steering-helper.js'
import type { DecodeContainerOptions } from '../wire/atsss/container.js'
import { UUID } from '../wire/atsss/fields.js'
import { resolveWatch, type WatchOptions } from './watch-options.js'

/** The interface of an access, or several, the best first. */
export type AccessInput = string | { interface: string | readonly string[] } | readonly string[]

export interface SessionOptions extends Omit<MptcpOptions, 'interface' | 'converters'> {
  /**
   * The interface of each access, by name, which may come and go. A list names several, in order of preference: the first that is up
   * and has an address and a default route is used, and live connections move when that changes. Names may be patterns with `*` and
   * `?`. `'auto'`: Ethernet, else Wi-Fi, for non-3GPP access; a modem, else a phone or Ethernet over USB, for 3GPP access. The event
   * `interface` says which interface an access uses, and why.
   */
  accesses: 'auto' | Readonly<Record<AccessType, AccessInput>>
  /**
   * As for `connect()`; `'network'`, alone or in the list, stands for the Transport Converters that the network names in an ATSSS
   * container or NAS message (`rules`, `update()`). When it names others, new connections use those, and live ones stay. As long as it
   * has named none, there is no such converter: connections fail with `ERR_CONVERT_NOT_FOUND`, unless `fallback` is `direct`.
   *
   * @defaultValue none: connections go to their destinations directly
   */
  converters?: 'network' | ConverterInput | readonly ('network' | ConverterInput)[]
  /**
   * How the rules of ATSSS containers are laid out, where that is known. Two layouts have been published, and a rule's length is read
   * in two ways (TS 24.193 §6.1.3). What is left out is found out; the event `problem` says so if it had to be guessed.
   */
  container?: DecodeContainerOptions
  /**
   * What steers the session's connections.
   *
   * @defaultValue 'handover'
   */
  rules?: RulesInput
  /**
   * The application, for rules with application identifiers: the operating system's UUID, and the application's name there.
   *
   * @defaultValue none: such rules do not match
   */
  application?: { osId?: string; osAppId: string }
  /**
   * What to do with a connection that no rule matches. `any`: it goes over the access that the routing table chooses, unsteered.
   * `refuse`: it fails with `ERR_ATSSS_NO_RULE`.
   *
   * @defaultValue 'any'
   */
  unmatched?: 'any' | 'refuse'
  /**
   * What to do with a rule that cannot be obeyed here: its steering functionality is not MPTCP (ATSSS-LL, MPQUIC), or its mode needs
   * more than a stock kernel has (redundant steering). `unsteered`: its connections are left to the system, as plain TCP over the
   * access that the routing table chooses, without a converter. `refuse`: they fail with `ERR_ATSSS_STEERING`. `degrade`: they are
   * steered over MPTCP by the nearest mode, and the event `degraded` says so.
   *
   * @defaultValue 'unsteered' for other functionalities, whose traffic goes without MPTCP (TS 23.501 §5.32.6); 'refuse' for modes
   */
  unenforceable?: 'refuse' | 'degrade' | 'unsteered'
  /**
   * Where the steering loop runs. In a `worker` thread a busy application delays no handover.
   *
   * @defaultValue 'worker'
   */
  controller?: 'worker' | 'inline'
  /**
   * The steering helper (`atsss helper`), by which a program without CAP_NET_ADMIN steers live connections: `auto`: it is used where it
   * listens at /run/atsss/helper.sock; a string is the path of its socket; `false`: it is not used. With the capability it is not needed.
   *
   * @defaultValue 'auto'
   */
  helper?: string | false
  /**
   * How long nothing may be received over an access that carries connections before it is probed, in milliseconds; `false`: it is
   * never probed. A device that waits for a message has nothing outstanding, so without a probe it learns of a silently dead access
   * only when it sends. A probe is a new subflow of one connection, about 500 bytes, and two of them must stay unanswered. It needs
   * the level `userspace`.
   *
   * @defaultValue 30 000: about 60 kB and 120 wake-ups an hour, for all connections together
   */
  idleProbe?: number | false
  /**
   * What to do with destinations that the system reaches by a tunnel that is no access, as a VPN does: connections of a session are
   * bound to an access, and so go around it. `respect`: such destinations are left to the system, as plain TCP into the tunnel,
   * unsteered and without a converter. `bypass`: they go around it. What counts is the route of each new connection's destination:
   * default routes and routing rules, as wg-quick and tailscaled make them.
   *
   * @defaultValue they go around it, and the event `degraded` says so; `respect` under the preload and `atsss run`
   */
  vpn?: 'respect' | 'bypass'
  /**
   * Lets processes of the same user watch the session (`atsss watch`), over a Unix socket; a string is its path.
   *
   * @defaultValue false
   */
  watch?: boolean | string | WatchOptions
}

type Unenforceable = NonNullable<SessionOptions['unenforceable']>

export interface SessionSettings extends PermitPolicy {
  accesses: Record<AccessType, AccessConfig>
  application: { osId?: string; osAppId?: string }
  container: DecodeContainerOptions
  controller: 'worker' | 'inline'
  /** A path. */
  helper: string | false
  idleProbeMs: number
  vpn: 'respect' | 'bypass' | undefined
  watch: WatchOptions | undefined
}

const OF_THE_SESSION: readonly string[] = [
  'accesses',
  'rules',
  'application',
  'container',
  'unmatched',
  'unenforceable',
  'controller',
  'helper',
  'idleProbe',
  'vpn',
  'watch',
] satisfies (keyof SessionOptions)[]
/** In the options of others, as a request's are. */
const NAMES = new OptionNames(OF_THE_SESSION, ['rule'])
const ALL_NAMES = new OptionNames([
  ...OF_THE_SESSION,
  ...OPTIONS_OF_SOCKETS.filter(name => name !== 'interface'), // refused with a reason
])
const OF_ASSISTANCE = new OptionNames(['percent3gpp', 'why'])
const OF_APPLICATION = new OptionNames(['osId', 'osAppId'])
const OF_A_CONTAINER = new OptionNames(['layout', 'ruleLength'])

/** @throws ERR_ATSSS_OPTION */
export function resolveSession(options: SessionOptions): SessionSettings {
  if (typeof options !== 'object' || options === null) throw invalid('options', 'an object', options)
  refuseInterface(options)
  ALL_NAMES.refuseUnknown(options)
  return {
    accesses: bothAccesses(options),
    application: application(options.application),
    container: resolveContainer(options.container),
    unmatched: oneOf('unmatched', options.unmatched, ['any', 'refuse'], 'any'),
    unenforceable:
      options.unenforceable === undefined
        ? undefined
        : oneOf<Unenforceable>('unenforceable', options.unenforceable, ['refuse', 'degrade', 'unsteered']),
    controller: oneOf('controller', options.controller, ['worker', 'inline'], 'worker'),
    helper: helperSocket(options.helper),
    idleProbeMs: idleProbe(options.idleProbe),
    vpn: options.vpn === undefined ? undefined : oneOf<'respect' | 'bypass'>('vpn', options.vpn, ['respect', 'bypass']),
    watch: resolveWatch(options.watch),
  }
}

/**
 * Options that would have no effect on one socket of a session.
 *
 * @throws ERR_ATSSS_OPTION
 */
export function refuseSessionOptions(options: object): void {
  refuseInterface(options)
  for (const name of OF_THE_SESSION)
    if (isGiven(options, name)) throw withoutEffect(name, 'on one connection: give it to new MaPduSession()')
}

/** A request's options without those that are named as ours or as a session's. */
export function withoutSessionOptions<T extends object>(options: T): T {
  return NAMES.others(withoutOurOptions(options))
}

/** For an option that would be silently ignored. @param reason why, and what to do: "on …: …" */
export function withoutEffect(name: string, reason: string): AtsssError {
  return new AtsssError('ERR_ATSSS_OPTION', `Option "${name}" has no effect ${reason}`)
}

export function isGiven(options: object, name: string): boolean {
  return (options as Record<string, unknown>)[name] !== undefined
}

/** @throws ERR_ATSSS_OPTION */
export function resolveAssistance(wish: Assistance | undefined): Assistance | undefined {
  if (wish === undefined) return undefined
  if (typeof wish !== 'object' || wish === null) throw invalid('wish', 'an object or undefined', wish)
  OF_ASSISTANCE.refuseUnknown(wish)
  return { percent3gpp: integer('percent3gpp', wish.percent3gpp, 0, 100), why: text('why', wish.why) }
}

/** @throws ERR_ATSSS_OPTION */
export function resolveContainer(given: DecodeContainerOptions | undefined): DecodeContainerOptions {
  if (given === undefined) return {}
  if (typeof given !== 'object' || given === null) throw invalid('container', 'an object', given)
  OF_A_CONTAINER.refuseUnknown(given, 'container.')
  return {
    layout: oneOf('container.layout', given.layout, ['g00', 'rule-id', 'auto'], 'auto'),
    ruleLength: oneOf('container.ruleLength', given.ruleLength, ['exclusive', 'inclusive', 'auto'], 'auto'),
  }
}

function helperSocket(given: unknown = 'auto'): string | false {
  if (given === false) return false
  if (given === 'auto') return HELPER_SOCKET
  if (typeof given !== 'string' || !given.startsWith('/'))
    throw invalid('helper', '"auto", false or the absolute path of a socket', given)
  return given
}

function idleProbe(given: number | false = IDLE_PROBE_MS.standard): number {
  return given === false
    ? Number.POSITIVE_INFINITY
    : integer('idleProbe', given, IDLE_PROBE_MS.least, IDLE_PROBE_MS.most)
}

const IDLE_PROBE_MS = { standard: 30_000, least: 1_000, most: 86_400_000 }

function refuseInterface(options: object): void {
  if (isGiven(options, 'interface'))
    throw withoutEffect(
      'interface',
      'in a session: its rules choose the interface, among those of the option "accesses"',
    )
}

function bothAccesses(options: SessionOptions): SessionSettings['accesses'] {
  if (options.accesses === 'auto') return { ...AUTO }
  if (typeof options.accesses === 'string')
    throw invalid('accesses', "'auto', or an object with the interfaces of 3gpp and non-3gpp", options.accesses)
  const given = { accesses: options.accesses }
  const accesses = { '3gpp': access(given, '3gpp'), 'non-3gpp': access(given, 'non-3gpp') }
  const [own, others] = BOTH.map(type => namesOf(accesses[type]))
  const both = own!.find(name => others!.includes(name))
  if (both !== undefined)
    throw new AtsssError(
      'ERR_ATSSS_OPTION',
      `Option "accesses" must name two interfaces: '${both}' is named for both accesses`,
    )
  return accesses
}

function namesOf({ interface: name, choices = [name] }: AccessConfig): readonly InterfaceChoice[] {
  return choices
}

function access(
  { accesses }: { accesses: Exclude<SessionOptions['accesses'], 'auto'> },
  type: AccessType,
): AccessConfig {
  const stray = Object.keys(accesses ?? {}).find(name => !BOTH.includes(name as AccessType))
  if (stray !== undefined)
    throw new AtsssError('ERR_ATSSS_OPTION', `Option "accesses" has "${stray}"; its keys are "3gpp" and "non-3gpp"`)
  const given: unknown = accesses?.[type]
  const named =
    typeof given === 'object' && given !== null && !Array.isArray(given)
      ? (given as { interface?: unknown }).interface
      : given
  if (!Array.isArray(named)) return accessOf([interfaceName(`accesses.${type}`, named)])
  if (named.length === 0) throw invalid(`accesses.${type}`, 'the name of an interface, or a list of names', named)
  return accessOf(Array.from(named, (name, index) => interfaceName(`accesses.${type}[${index}]`, name)))
}

/** One name is a name; a pattern, or several, are a choice. */
function accessOf(names: readonly string[]): AccessConfig {
  const [name] = names
  if (names.length === 1 && !isPattern(name!)) return { interface: name! }
  return { interface: names.join(', '), choices: [...new Set(names)] }
}

function application(given: SessionOptions['application']): SessionSettings['application'] {
  if (given === undefined) return {}
  if (typeof given !== 'object' || given === null) throw invalid('application', 'an object with "osAppId"', given)
  const { osId, osAppId } = given
  OF_APPLICATION.refuseUnknown(given, 'application.')
  if (osId !== undefined && !UUID.test(String(osId).toLowerCase())) throw invalid('application.osId', 'a UUID', osId)
  return { osAppId: text('application.osAppId', osAppId), ...(osId === undefined ? {} : { osId }) }
}
