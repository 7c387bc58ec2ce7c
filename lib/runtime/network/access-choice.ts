/**
 * Which link an access uses, when several may be it: a laptop's Ethernet when it is docked, its Wi-Fi otherwise. Pure, but for the
 * kinds of interfaces, which sysfs has.
 */
import type { AccessType } from '../../policy/rules/rule.js'
import { BOTH, otherAccess } from '../../policy/steering/accesses.js'
import type { InterfaceKind } from './interface-kind.js'
import { isUsable, type Link, type NetworkState } from './network-state.js'

/** A name, a pattern with `*` and `?`, or all interfaces of a kind. */
export type InterfaceChoice = string | { kind: InterfaceKind }

export interface AccessConfig {
  /** The name of its interface, which may come and go; of several, for people: `eth0, wlan0`. */
  interface: string
  /** Of several, the best first. */
  choices?: readonly InterfaceChoice[]
}

export type AccessConfigs = Readonly<Record<AccessType, AccessConfig>>

/** What `accesses: 'auto'` stands for: what interfaces of these kinds mostly are, the best first. */
export const AUTO: AccessConfigs = {
  'non-3gpp': { interface: 'Ethernet or Wi-Fi', choices: [{ kind: 'ethernet' }, { kind: 'wifi' }] },
  '3gpp': { interface: 'a modem or a phone', choices: [{ kind: 'wwan' }, { kind: 'usb' }] },
}

/** The links that an access may use, the best first. */
export type Choices = Readonly<Record<AccessType, readonly Link[]>>

/**
 * Those that are there, in the order of the names: first those over which packets can leave to anywhere, then those that are only
 * up and have an address, then the others. A name of the one access is not in a pattern of the other.
 */
export function choicesOf(
  config: AccessConfigs,
  state: NetworkState,
  kindOf: (name: string) => InterfaceKind,
): Choices {
  const named = (access: AccessType) => matching(config, access, [...state.links.values()], kindOf)
  const all = { '3gpp': named('3gpp'), 'non-3gpp': named('non-3gpp') }
  const rank = (access: AccessType) => {
    const links = all[access]
    return [...links].sort((a, b) => worth(b, state) - worth(a, state) || links.indexOf(a) - links.indexOf(b))
  }
  return { '3gpp': rank('3gpp'), 'non-3gpp': rank('non-3gpp') }
}

/** Why an access uses this interface, for people. */
export function whyChosen(
  { choices, interface: names }: AccessConfig,
  link: Link,
  kindOf: (name: string) => InterfaceKind,
): string {
  if (choices?.some(choice => typeof choice !== 'string')) return `${link.name} is ${KIND_IN_WORDS[kindOf(link.name)]}`
  return `${link.name} is the best of ${names} that is there`
}

export const KIND_IN_WORDS: Readonly<Record<InterfaceKind, string>> = {
  ethernet: 'Ethernet',
  wifi: 'Wi-Fi',
  wwan: 'a modem',
  usb: 'a phone, or Ethernet over USB',
  virtual: 'virtual',
}

/** In the order of the access's names; each link once. */
function matching(
  config: AccessConfigs,
  access: AccessType,
  links: readonly Link[],
  kindOf: (name: string) => InterfaceKind,
): Link[] {
  const { interface: name, choices = [name] } = config[access]
  const { interface: otherName, choices: others = [otherName] } = config[otherAccess(access)]
  const isTheOthers = (link: Link) =>
    others.some(other => typeof other === 'string' && !isPattern(other) && hasName(link, other))
  const found = choices.flatMap(choice => {
    if (typeof choice !== 'string')
      return links.filter(link => link.name !== 'lo' && kindOf(link.name) === choice.kind && !isTheOthers(link))
    if (isPattern(choice))
      return links.filter(link => link.name !== 'lo' && matches(link, choice) && !isTheOthers(link))
    const exact = links.find(link => link.name === choice)
    return exact ?? links.find(link => hasName(link, choice)) ?? []
  })
  return [...new Set(found)]
}

export function isPattern(name: string): boolean {
  return /[*?]/.test(name)
}

function hasName({ name, altnames }: Link, wanted: string): boolean {
  return name === wanted || altnames?.includes(wanted) === true
}

function matches({ name, altnames = [] }: Link, pattern: string): boolean {
  const text = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  const expression = new RegExp(`^${text}$`)
  return [name, ...altnames].some(own => expression.test(own))
}

/** DHCP clients set the default route some time after the address: until then, a link that has one is better. */
function worth(link: Link, { defaultRoutes }: NetworkState): number {
  const isReady = isUsable(link) && link.addresses.some(({ scope, tentative }) => scope === 'global' && !tentative)
  if (!isReady) return 0
  return defaultRoutes.some(({ interfaceIndex }) => interfaceIndex === link.index) ? 2 : 1
}

/** The choices by access, and the link that each uses: never the same one. The 3GPP access comes first. */
export function chosenOf(choices: Choices): Record<AccessType, Link | undefined> {
  const cellular = choices['3gpp'][0]
  // With one name each, "another name of …" is for the one that is left out to say.
  const other = choices['non-3gpp'].find(link => link !== cellular) ?? choices['non-3gpp'][0]
  return { '3gpp': cellular, 'non-3gpp': other }
}

export function isSameChoice(one: Choices, other: Choices): boolean {
  return BOTH.every(
    access =>
      one[access].length === other[access].length &&
      one[access].every((link, index) => link.index === other[access][index]?.index),
  )
}
