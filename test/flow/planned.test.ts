import { openDb, sql } from '../../coordinator/store/db';
import { createTestDatabase } from '../support/database';

// Which statements are planned once, and which for each call.

test('a hot statement is planned once, any other one for each of its calls', async () => {
  const database = await createTestDatabase();
  // Calls that follow one another take the same connection of each pool.
  const db = openDb(database.url, { poolSize: 4, onError: () => undefined });
  for (const [pool, generic, custom] of [
    [db.hot, 8, 0],
    [db.vital, 8, 0],
    [db, 0, 8],
  ] as const) {
    for (let call = 0; call < 8; call += 1)
      await pool.query(sql`SELECT count(*) FROM jobs WHERE queue = ${`q${call}`}`);
    const plans = await pool.query(
      sql`SELECT generic_plans::int AS generic, custom_plans::int AS custom FROM pg_prepared_statements WHERE statement LIKE 'SELECT count(*) FROM jobs%'`,
    );
    expect(plans).toEqual([{ generic, custom }]);
  }
  await db.close();
  await database.drop();
});
