import { validate, version } from 'uuid';
import { sql as tagged } from '../../coordinator/store/db';
import { newId } from '../../coordinator/store/views/clock';
import { createTestDatabase, type TestDatabase } from '../support/database';
import { type Session, TestSql } from '../support/sql';

// Ids of audit entries, deliveries, webhooks and alerts are made by the database, so lists of them are in the order of
// its clock.

const MOST_OF_ONE_STATEMENT = 2000;

let database: TestDatabase;
let sql: TestSql;
let session: Session;
beforeAll(async () => {
  database = await createTestDatabase({ migrated: false });
  sql = new TestSql(database.url);
  session = await sql.session();
});
afterAll(async () => {
  await session.end();
  await sql.end();
  await database.drop();
});

async function make(): Promise<{ id: string; ms: number }[]> {
  return session.query<{ id: string; ms: number }>(
    tagged`SELECT ${newId(tagged`n.nth`)}::text AS id, extract(epoch FROM statement_timestamp())::float8 * 1000 AS ms
      FROM generate_series(0, ${MOST_OF_ONE_STATEMENT - 1}::int) AS n (nth)`,
  );
}

test('they are UUIDs of version 7 with the time of the database, and rise with the rows and the statements', async () => {
  const made = [...(await make()), ...(await make()), ...(await make())];
  const ids = made.map(({ id }) => id);
  expect(ids.filter((id) => !validate(id) || version(id) !== 7)).toEqual([]);
  expect(new Set(ids).size).toBe(3 * MOST_OF_ONE_STATEMENT);
  expect([...ids].sort()).toEqual(ids);
  for (const { id, ms } of made) {
    const own = Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16);
    expect(own).toBeGreaterThanOrEqual(Math.floor(ms));
    expect(own).toBeLessThanOrEqual(ms + 1);
  }
});
