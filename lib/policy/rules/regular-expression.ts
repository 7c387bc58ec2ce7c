/**
 * Extended regular expressions of POSIX (IEEE 1003.1 §9.4), by which TS 24.526 describes names. They come from the network, so a name
 * is matched in time proportional to its length and the expression's: by the set of states in which the expression can be after
 * each character, without going back.
 *
 * What POSIX leaves undefined (`\d`, `a||b`, `*a`) is refused.
 */

/** Whether a name in lower case matches somewhere, in upper or lower case; `^` and `$` are its ends. */
export type NameTest = (name: string) => boolean

/** Or why it is none. */
export function compileExpression(expression: string): NameTest | string {
  try {
    return tester(new Parser(expression).parse())
  } catch (error) {
    if (error instanceof NotAnExpression) return error.message
    throw error
  }
}

class NotAnExpression extends Error {}

/** What one state waits for, and where it goes then. */
type State =
  | { type: 'character'; set: Uint8Array; next: number }
  | { type: 'start' | 'end'; next: number }
  | { type: 'split'; next: number; or: number }
  | { type: 'match' }

/** Sets of characters: one octet for each of ASCII. Names have no others. */
const ASCII = 128
/** `{m,n}` repeats what is before it as many times, and may be nested. */
const MOST_STATES = 2_000
/** RE_DUP_MAX of POSIX. */
const MOST_REPETITIONS = 255
/** Deeper groups than an expression of 255 octets can have. */
const DEEPEST = 128

type Tree =
  | { type: 'character'; set: Uint8Array }
  | { type: 'start' | 'end' }
  | { type: 'sequence' | 'choice'; parts: Tree[] }
  | { type: 'repeat'; part: Tree; least: number; most: number }

class Parser {
  readonly #text: string
  #at = 0
  #depth = 0

  constructor(text: string) {
    this.#text = text
  }

  parse(): Tree {
    const tree = this.#choice()
    if (this.#at < this.#text.length) throw this.#wrong('unexpected')
    return tree
  }

  #choice(): Tree {
    const parts = [this.#sequence()]
    while (this.#take('|')) parts.push(this.#sequence())
    return parts.length === 1 ? parts[0]! : { type: 'choice', parts }
  }

  #sequence(): Tree {
    const parts: Tree[] = []
    while (this.#at < this.#text.length && !'|)'.includes(this.#text[this.#at]!)) parts.push(this.#repeated())
    if (parts.length === 0) throw this.#wrong('nothing before')
    return parts.length === 1 ? parts[0]! : { type: 'sequence', parts }
  }

  #repeated(): Tree {
    let part = this.#one()
    while ('*+?{'.includes(this.#text[this.#at] ?? ' ')) {
      if (part.type === 'start' || part.type === 'end') throw this.#wrong('nothing to repeat before')
      const [least, most] = this.#repetitions()
      part = { type: 'repeat', part, least, most }
    }
    return part
  }

  #repetitions(): [least: number, most: number] {
    if (this.#take('*')) return [0, Number.POSITIVE_INFINITY]
    if (this.#take('+')) return [1, Number.POSITIVE_INFINITY]
    if (this.#take('?')) return [0, 1]
    const [all, least, comma, most] = /^\{(\d{1,3})(,)?(\d{1,3})?\}/.exec(this.#text.slice(this.#at)) ?? []
    const low = Number(least)
    const high = comma === undefined ? low : most === undefined ? Number.POSITIVE_INFINITY : Number(most)
    if (all === undefined || (comma === undefined && most !== undefined) || high < low) throw this.#wrong('no count')
    if (Math.max(low, high === Number.POSITIVE_INFINITY ? 0 : high) > MOST_REPETITIONS)
      throw new NotAnExpression(`it repeats more than ${MOST_REPETITIONS} times`)
    this.#at += all.length
    return [low, high]
  }

  #one(): Tree {
    if (this.#take('^')) return { type: 'start' }
    if (this.#take('$')) return { type: 'end' }
    if (this.#take('.')) return { type: 'character', set: new Uint8Array(ASCII).fill(1) }
    if (this.#take('[')) return { type: 'character', set: this.#bracket() }
    if (this.#take('(')) {
      if (++this.#depth > DEEPEST) throw new NotAnExpression('its groups are too deep')
      const inside = this.#choice()
      if (!this.#take(')')) throw new NotAnExpression('a group is not closed')
      this.#depth--
      return inside
    }
    if (this.#take('\\')) {
      if (!SPECIAL.includes(this.#text[this.#at] ?? ' ')) throw this.#wrong('no special character')
    } else if ('*+?{'.includes(this.#text[this.#at]!)) throw this.#wrong('nothing to repeat before')
    const set = new Uint8Array(ASCII)
    add(set, this.#text[this.#at]!, this.#text[this.#at]!)
    this.#at++
    return { type: 'character', set }
  }

  /** Behind `[`. */
  #bracket(): Uint8Array {
    const set = new Uint8Array(ASCII)
    const isNegated = this.#take('^')
    for (let first = true; first || this.#text[this.#at] !== ']'; first = false) {
      const [, name] = /^\[:([a-z]+):\]/.exec(this.#text.slice(this.#at)) ?? []
      if (name !== undefined) {
        const ranges = CLASSES[name]
        if (ranges === undefined) throw new NotAnExpression(`there is no class [:${name}:]`)
        for (const [low, high] of ranges) add(set, low, high)
        this.#at += name.length + 4
        continue
      }
      const low = this.#element()
      const isRange = this.#text[this.#at] === '-' && ![undefined, ']'].includes(this.#text[this.#at + 1])
      if (isRange) this.#at++
      const high = isRange ? this.#element() : low
      if (low > high) throw new NotAnExpression(`the range ${low}-${high} is the wrong way round`)
      add(set, low, high)
    }
    this.#at++
    return isNegated ? set.map(octet => 1 - octet) : set
  }

  /** A character, or what stands for one: `[.-.]`, `[=a=]`. A backslash is itself. */
  #element(): string {
    const [all, , character] = /^\[([.=])(.)\1\]/.exec(this.#text.slice(this.#at)) ?? []
    const found = character ?? this.#text[this.#at]
    if (found === undefined) throw new NotAnExpression('a bracket is not closed')
    this.#at += all?.length ?? 1
    return found
  }

  #take(character: string): boolean {
    const isThere = this.#text[this.#at] === character
    if (isThere) this.#at++
    return isThere
  }

  #wrong(what: string): NotAnExpression {
    const here = this.#text[this.#at]
    return new NotAnExpression(`${what} ${here === undefined ? 'its end' : `'${here}' at ${this.#at}`}`)
  }
}

const SPECIAL = '.[]\\()*+?{}|^$'

const LETTERS = [
  ['A', 'Z'],
  ['a', 'z'],
] as const
const DIGITS = [['0', '9']] as const
const PUNCTUATION = [
  ['!', '/'],
  [':', '@'],
  ['[', '`'],
  ['{', '~'],
] as const
const CLASSES: Readonly<Record<string, readonly (readonly [string, string])[] | undefined>> = {
  alpha: LETTERS,
  upper: LETTERS,
  lower: LETTERS,
  digit: DIGITS,
  alnum: [...LETTERS, ...DIGITS],
  xdigit: [...DIGITS, ['A', 'F'], ['a', 'f']],
  punct: PUNCTUATION,
  graph: [['!', '~']],
  print: [[' ', '~']],
  blank: [
    ['\t', '\t'],
    [' ', ' '],
  ],
  space: [
    ['\t', '\r'],
    [' ', ' '],
  ],
  cntrl: [
    ['\0', '\x1f'],
    ['\x7f', '\x7f'],
  ],
}

/** Also in the other case: names have none. */
function add(set: Uint8Array, low: string, high: string): void {
  for (let code = low.charCodeAt(0); code <= Math.min(high.charCodeAt(0), ASCII - 1); code++) {
    const character = String.fromCharCode(code)
    set[code] = 1
    set[character.toLowerCase().charCodeAt(0)] = 1
    set[character.toUpperCase().charCodeAt(0)] = 1
  }
}

function tester(tree: Tree): NameTest {
  const states: State[] = [{ type: 'match' }]
  const first = build(tree, 0, states)
  return name => {
    let now = new Set<number>()
    for (let at = 0; at <= name.length; at++) {
      // It may begin anywhere.
      if (reach(states, first, at, name.length, now)) return true
      const next = new Set<number>()
      const code = name.charCodeAt(at)
      for (const index of now) {
        const state = states[index]!
        if (state.type === 'character' && code < ASCII && state.set[code] === 1)
          if (reach(states, state.next, at + 1, name.length, next)) return true
      }
      now = next
    }
    return false
  }
}

/** Adds to `into` the states that follow without a character. Returns whether the match is one of them. */
function reach(states: readonly State[], from: number, at: number, end: number, into: Set<number>): boolean {
  const open = [from]
  for (let index = open.pop(); index !== undefined; index = open.pop()) {
    if (into.has(index)) continue
    into.add(index)
    const state = states[index]!
    if (state.type === 'match') return true
    if (state.type === 'split') open.push(state.next, state.or)
    else if (state.type === 'start' ? at === 0 : state.type === 'end' && at === end) open.push(state.next)
  }
  return false
}

/** Appends the states of `tree` that lead to `next`; returns the first of them. */
function build(tree: Tree, next: number, states: State[]): number {
  const append = (state: State) => {
    if (states.length >= MOST_STATES) throw new NotAnExpression('it is too large')
    return states.push(state) - 1
  }
  switch (tree.type) {
    case 'character':
      return append({ type: 'character', set: tree.set, next })
    case 'start':
    case 'end':
      return append({ type: tree.type, next })
    case 'sequence':
      return tree.parts.reduceRight((behind, part) => build(part, behind, states), next)
    case 'choice':
      return tree.parts
        .map(part => build(part, next, states))
        .reduceRight((or, first) => append({ type: 'split', next: first, or }))
    case 'repeat': {
      let first = next
      if (tree.most === Number.POSITIVE_INFINITY) {
        const loop = append({ type: 'split', next: -1, or: next })
        Object.assign(states[loop]!, { next: build(tree.part, loop, states) })
        first = loop
      } else
        for (let i = tree.least; i < tree.most; i++)
          first = append({ type: 'split', next: build(tree.part, first, states), or: next })
      for (let i = 0; i < tree.least; i++) first = build(tree.part, first, states)
      return first
    }
  }
}
