/** pg: connects a socket itself; give it one of the session. */
import pg from 'pg'
import type { Recipe } from './recipe.js'

export const recipe: Recipe = async (session, { host }, between) => {
  const pool = new pg.Pool({ host, port: 5432, user: 'me', database: 'mine', stream: () => session.createSocket() })
  const first = await connection()
  await between()
  const second = await connection()
  await pool.end()
  return [first, second]

  async function connection(): Promise<unknown> {
    const { rows } = await pool.query('SELECT connection')
    return rows[0].connection
  }
}
