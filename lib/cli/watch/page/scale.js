/** Numbers of the charts: units, ranges and stacked columns. Pure. */

const UNITS = [
  ['bit/s', 1],
  ['kbit/s', 1e3],
  ['Mbit/s', 1e6],
  ['Gbit/s', 1e9],
]

/** The largest unit of which there is at least one, and its factor. */
export function unitFor(bits) {
  return UNITS.findLast(([, factor]) => Math.abs(bits) >= factor) ?? UNITS[0]
}

/** `13.2 Mbit/s`, of not more than three digits. */
export function rateText(bits) {
  const [unit, factor] = unitFor(bits)
  return `${shortNumber(bits / factor)} ${unit}`
}

/** At most three digits. */
export function shortNumber(value) {
  const size = Math.abs(value)
  return size === 0 || size >= 99.95 ? value.toFixed(0) : value.toFixed(size < 9.995 ? 2 : 1)
}

/**
 * The range of the throughput chart, whose lower half is what is sent, below 0. It fits the data, whatever their size; with room
 * above for the labels of events.
 *
 * @param least the smallest value, of what is sent; not above 0
 * @param most the largest value
 */
export function throughputRange(least, most) {
  const span = Math.max(most - least, 100)
  const top = Math.max(most, span * 0.15) + span * ROOM
  // What little is sent beside a large download has room enough to be seen.
  const bottom = least < 0 ? Math.min(least - span * 0.06, -span * 0.16) : 0
  return [bottom, top]
}

/** The range of the chart of round-trip times, in milliseconds. */
export function rttRange(most) {
  return [0, Math.max(10, (most ?? 0) * 1.15)]
}

/** The share of the range that labels take. */
const ROOM = 0.3

/**
 * The stacked columns of one moment: both received, Wi-Fi received, both sent, Wi-Fi sent. What is sent counts down from 0.
 *
 * @param rates bits per second, of each access and direction
 */
export function stacked({ 'non-3gpp': wifi, '3gpp': cell }) {
  return [wifi.down + cell.down, wifi.down, -(wifi.up + cell.up), -wifi.up]
}

/** The rates that stacked columns stand for. */
export function unstacked([bothDown, wifiDown, bothUp, wifiUp]) {
  return {
    'non-3gpp': { down: wifiDown, up: -wifiUp },
    '3gpp': { down: bothDown - wifiDown, up: wifiUp - bothUp },
  }
}
