import { type Db, openDb, sql, type Sql } from '../../coordinator/store/db';
import { createTestDatabase, type TestDatabase } from '../support/database';

// Which statements are planned once, and which for each call.

let database: TestDatabase;
let db: Db;
beforeAll(async () => {
  database = await createTestDatabase();
  // Calls that follow one another take the same connection of each pool.
  db = openDb(database.url, { poolSize: 4, onError: () => undefined });
});
afterAll(async () => {
  await db.close();
  await database.drop();
});

test('a hot statement is planned once, any other one for each of its calls', async () => {
  for (const [pool, kept] of [
    [db.hot, [{ generic: 8, custom: 0 }]],
    [db.vital, [{ generic: 8, custom: 0 }]],
    [db, []],
    [db.reads('somebody'), []],
  ] as const) {
    for (let call = 0; call < 8; call += 1)
      await pool.query(sql`SELECT count(*) FROM jobs WHERE queue = ${`q${call}`}`);
    const plans = await pool.query(
      sql`SELECT generic_plans::int AS generic, custom_plans::int AS custom FROM pg_prepared_statements
          WHERE statement LIKE 'SELECT count(*) FROM jobs%'`,
    );
    expect(plans).toEqual(kept);
  }
});

test('however many statements callers shape, few stay prepared in a backend', async () => {
  const shaped = Array.from({ length: 400 }, (_, index): Sql => {
    const statement = sql`SELECT 1`;
    return Object.defineProperty(statement, 'text', { value: `SELECT ${index} AS shaped` });
  });
  for (const [pool, most] of [
    [db.hot, 256],
    [db, 0],
    [db.reads('somebody'), 0],
  ] as const) {
    for (const statement of shaped) await pool.query(statement);
    const [row] = await pool.query<{ count: number }>(
      sql`SELECT count(*)::int AS count FROM pg_prepared_statements WHERE statement LIKE '%AS shaped'`,
    );
    expect(row?.count).toBeLessThanOrEqual(most);
  }
});
