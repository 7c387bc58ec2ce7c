/** The bytes of a text of hexadecimal digits, with spaces and "# comments" to the end of the line. */
export function hex(text: string): Uint8Array {
  const digits = text.replace(/#.*$/gm, '').replace(/\s+/g, '')
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Error(`not hexadecimal: ${digits}`)
  return new Uint8Array(Buffer.from(digits, 'hex'))
}
