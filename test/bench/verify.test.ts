import { Client } from 'pg';
import { NotOnceError, requireOnce, requireStored, Tally } from '../../scripts/bench/verify';
import { createTestDatabase, type TestDatabase } from '../support/database';

const TOTAL = 20;

function tallyOf(numbers: number[]): Tally {
  const tally = new Tally(TOTAL);
  for (const n of numbers) tally.add(n);
  return tally;
}

const each = Array.from({ length: TOTAL }, (_, n) => n);

describe('what handlers saw', () => {
  it('passes when each job was handled once', () => {
    expect(() => requireOnce('baton', TOTAL, tallyOf(each).sum())).not.toThrow();
  });

  it.each([
    ['one was lost', each.slice(1), '1 were not handled'],
    ['one was handled twice', [...each, 3], '1 more than once'],
    ['one was lost and another handled twice', [...each.slice(1), 3], '1 were not handled, 1 more than once'],
    ['one came that was never created', [...each, TOTAL], '1 were never created'],
  ])('fails when %s', (_, numbers, words) => {
    expect(() => requireOnce('baton', TOTAL, tallyOf(numbers).sum())).toThrow(words);
  });
});

describe('what the database holds', () => {
  let database: TestDatabase;
  let client: Client;

  beforeAll(async () => {
    database = await createTestDatabase();
    client = new Client({ connectionString: database.url });
    await client.connect();
  });

  afterAll(async () => {
    await client.end();
    await database.drop();
  });

  beforeEach(async () => {
    await client.query('DELETE FROM jobs');
    await client.query(`
      INSERT INTO jobs (id, type, queue, priority, status, lane_id, run_at, arguments, attempt, max_attempts, timeout_ms, created_at, finished_at, updated_at)
      SELECT gen_random_uuid(), 'noop', 'default', 0, 'completed', 1, now(), json_build_object('n', n), 1, 11, 300000, now(), now(), now()
      FROM generate_series(0, ${TOTAL - 1}) n`);
  });

  const judge = () => requireStored(database.url, { type: 'noop', total: TOTAL, status: 'completed' });

  it('passes when each job is completed in its first attempt', async () => {
    await expect(judge()).resolves.toBeUndefined();
  });

  it.each([
    ['a job is gone', `DELETE FROM jobs WHERE arguments ->> 'n' = '3'`],
    [
      'a job stands there twice in the place of another',
      `UPDATE jobs SET arguments = '{"n": 4}' WHERE arguments ->> 'n' = '3'`,
    ],
    ['a job has not finished', `UPDATE jobs SET status = 'pending', finished_at = NULL WHERE arguments ->> 'n' = '3'`],
    ['a job needed a second attempt', `UPDATE jobs SET attempt = 2 WHERE arguments ->> 'n' = '3'`],
  ])('fails when %s', async (_, harm) => {
    await client.query(harm);
    await expect(judge()).rejects.toThrow(NotOnceError);
  });
});
