/** A device's application, unchanged: it uses Node's own fetch and knows nothing of MPTCP. */
import { setTimeout as sleep } from 'node:timers/promises'

const url = process.env.REPORT_URL ?? 'https://reports.example/devices/17'

for (let number = 1; ; number++) {
  try {
    const response = await fetch(url, { method: 'POST', body: JSON.stringify({ number, at: new Date() }) })
    await response.text()
    console.log(`report ${number}: ${response.status}`)
  } catch (error) {
    console.error(`report ${number}: ${error.cause?.message ?? error.message}`)
  }
  await sleep(Number(process.env.REPORT_EVERY_MS ?? 10_000))
}
