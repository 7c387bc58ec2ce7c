/** Takes secrets out of what is to be shown to others. Pure. */

/** What stands in place of a secret. */
export const REMOVED = '[removed]'

/** The names of properties and variables whose values are secrets. */
const isSecret = (name: string) =>
  /cookie|secret|token|passw|credential|auth|private|(^|[_-])keys?$/i.test(name) || /[a-z]Keys?$/.test(name)
/** `//user:password@host`. */
const IN_A_URL = /(\/\/)[^/\s@"']+@/g

/** A value of a configuration without its secrets, and these. */
export function withoutSecrets(
  value: unknown,
  secrets: Set<string> = new Set(),
): { value: unknown; secrets: Set<string> } {
  return { value: cleaned(value, secrets), secrets }
}

/** The text without these secrets, and without names and passwords in URLs. */
export function redacted(text: string, secrets: Iterable<string>): string {
  let clean = text.replace(IN_A_URL, `$1${REMOVED}@`)
  // The longest first: one may be a part of another.
  for (const secret of [...secrets].sort((a, b) => b.length - a.length)) {
    const upper = secret.toUpperCase()
    for (const form of new Set([secret, secret.toLowerCase(), upper])) clean = clean.replaceAll(form, REMOVED)
  }
  return clean
}

/** The variables of the environment that matter, without their secrets. */
export function environment(env: NodeJS.ProcessEnv, secrets: Set<string>): Record<string, string> {
  const shown = Object.entries(env).filter(([name]) =>
    /^ATSSS_|^NODE_(OPTIONS|DEBUG)$|^XDG_RUNTIME_DIR$|^RUNTIME_DIRECTORY$/.test(name),
  )
  return Object.fromEntries(
    shown.map(([name, value = '']) => {
      if (isSecret(name)) return [name, REMOVED]
      if (!value.trim().startsWith('{')) return [name, value]
      try {
        return [name, JSON.stringify(cleaned(JSON.parse(value), secrets))]
      } catch {
        return [name, '[JSON that cannot be read]']
      }
    }),
  )
}

function cleaned(value: unknown, secrets: Set<string>): unknown {
  if (Array.isArray(value)) return value.map(each => cleaned(each, secrets))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => {
      if (!isSecret(name)) return [name, cleaned(inner, secrets)]
      note(inner, secrets)
      return [name, REMOVED]
    }),
  )
}

/** Very short ones are no secrets, and would take letters out of every word. */
const SHORTEST = 4

function note(secret: unknown, secrets: Set<string>): void {
  if (typeof secret === 'object' && secret !== null) for (const each of Object.values(secret)) note(each, secrets)
  else if (String(secret).length >= SHORTEST) secrets.add(String(secret))
}
