import { type Executor, sql } from '../db';

/** The database's time, in milliseconds since 1970. */
export async function readClock(db: Executor): Promise<number> {
  const [row] = await db.query<{ ms: number }>(sql`SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS ms`);
  return row?.ms ?? Date.now();
}
