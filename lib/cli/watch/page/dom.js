/** Short names for what the page does most with its elements. */

export const $ = id => document.getElementById(id)

/** A new element. `content`: texts and elements. */
export function make(tag, className, ...content) {
  const element = document.createElement(tag)
  if (className) element.className = className
  element.append(...content)
  return element
}

/** The class of each access. */
export const COLOURS = { '3gpp': 'gpp', 'non-3gpp': 'wifi' }

/** The local time, in tenths of a second. */
export function time(at) {
  const date = new Date(at)
  const part = (value, width = 2) => String(value).padStart(width, '0')
  return `${part(date.getHours())}:${part(date.getMinutes())}:${part(date.getSeconds())}.${Math.floor(date.getMilliseconds() / 100)}`
}
