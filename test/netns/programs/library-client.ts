/** A UE that runs a recipe with a session: its arguments are the recipe, the session's options, the server's address. */
import { once } from 'node:events'
import { MaPduSession } from 'atsss'
import type { Recipe } from '../../../examples/recipes/recipe.js'
import { cert } from '../../support/certificate.js'

const [name, options, host] = process.argv.slice(2) as [string, string, string]
const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`)

const { recipe } = (await import(`../../../examples/recipes/${name}.js`)) as { recipe: Recipe }
const session = new MaPduSession(JSON.parse(options))
await session.ready
const made: object[] = []
const between = async () => {
  for (const { socket } of session.stats().connections) made.push(socket.mptcp)
  say({ event: 'half', made })
  await once(process.stdin, 'data')
}
const answers = await recipe(session, { host, tls: { ca: cert, servername: 'localhost' } }, between)
say({ event: 'done', answers })
process.exit()
