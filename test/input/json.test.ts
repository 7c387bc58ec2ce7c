/** JSON that a person has written: where it is wrong. */
import { expect, test } from 'vitest'
import { parseJson } from '../../lib/input/json.js'

test('what is right', () => {
  expect(parseJson('\uFEFF{"a": [1, "x"]}')).toEqual({ a: [1, 'x'] })
})

// The words are those of Node, which differ from release to release; the place does not.
test.each([
  ['[\n {"a": 1,\n  b: 2}\n]', 'line 3, column 3: '],
  ['{\n  "a": 1,\n}', 'line 3, column 1: '],
  ['{"a": tru}', 'line 1, column 10: '],
  ['hello', 'line 1, column 1: '],
  ['', 'line 1, column 1: '],
  ['{"a": 1\n', 'line 2, column 1: '],
  ['{"a": 1} x', 'line 1, column 10: '],
  ["{'a': 1}", 'line 1, column 2: '],
])('%j', (text, place) => {
  const wrong = () => parseJson(text)
  expect(wrong).toThrow(SyntaxError)
  expect(wrong).toThrow(place)
  expect(wrong).not.toThrow(/position|is not valid JSON/)
})
