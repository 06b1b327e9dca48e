import { type Executor, type Sql, sql } from '../db';

/** The database's time, in milliseconds since 1970. */
export async function readClock(db: Executor): Promise<number> {
  const [row] = await db.query<{ ms: number }>(sql`SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS ms`);
  return row?.ms ?? Date.now();
}

/**
 * A UUIDv7 of the database's time, precise to a quarter of a microsecond, so that lists sorted by it follow that time,
 * whichever coordinator stored a row.
 * @param nth index among the rows of one statement, from 0
 */
export function newId(nth: Sql): Sql {
  return sql`(SELECT (lpad(to_hex(t.ticks >> 12), 12, '0') || '7' || lpad(to_hex(t.ticks & 4095), 3, '0')
      || right(replace(gen_random_uuid()::text, '-', ''), 16))::uuid
    FROM (SELECT floor(extract(epoch FROM statement_timestamp()) * 4096000)::bigint + ${nth} AS ticks) t)`;
}
