import type { ClaimedJob, CompletionsReply, Job } from '@baton/runner-sdk/protocol';
import { listText } from '../../coordinator/http/core/json';
import type { Connections, Sql } from '../../coordinator/store/db';
import { approximateBytes, MOST_STATEMENT_BYTES, slices } from '../../coordinator/turns';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { uniqueType } from '../support/factory';

// Bodies of many megabytes are stored, and answered, a few megabytes at a time.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator()));
afterAll(() => coordinator.stop());

const LARGE = 250_000;
const jobsOf = (type: string, more: object = {}) =>
  Array.from({ length: 24 }, (_, nth) => ({ type, arguments: { nth, text: 'x'.repeat(LARGE) }, ...more }));

/** The characters of the statements that a pool is given while `work` is done, each statement's. */
async function statementsOf(
  pool: 'hot' | 'keyed' | 'vital',
  work: () => Promise<unknown>,
  before: (statement: Sql) => void = () => undefined,
): Promise<number[]> {
  const { db } = coordinator.app.context;
  const { query, transaction } = db[pool];
  const sizes: number[] = [];
  const look = (statement: Sql): void => {
    sizes.push(approximateBytes(statement.values));
    before(statement);
  };
  const watched: Connections = {
    query: (statement) => {
      look(statement);
      return query(statement);
    },
    transaction: (body) =>
      transaction((executor) =>
        body({
          query: (statement) => {
            look(statement);
            return executor.query(statement);
          },
        }),
      ),
  };
  // In place: the contexts of callers share it.
  Object.assign(db[pool], watched);
  try {
    await work();
  } finally {
    Object.assign(db[pool], { query, transaction });
  }
  return sizes;
}

const MOST = MOST_STATEMENT_BYTES + LARGE;

test.each([true, false])('a bulk create of large jobs is stored a few at a time (atomic: %p)', async (atomic) => {
  const type = uniqueType();
  let jobs: Job[] = [];
  const sizes = await statementsOf('keyed', async () => {
    const sent = { jobs: jobsOf(type), atomic };
    ({ jobs } = expectStatus(await coordinator.api.post<{ jobs: Job[] }>('/jobs/bulk', sent), 201));
  });
  expect(sizes.filter((size) => size > LARGE).length).toBeGreaterThan(2);
  expect(Math.max(...sizes)).toBeLessThan(MOST);
  expect(jobs.map((job) => (job.arguments as { nth: number }).nth)).toEqual(jobs.map((_job, nth) => nth));
  expect(await coordinator.sql.count("jobs WHERE type = $1 AND length(arguments->>'text') = $2", [type, LARGE])).toBe(
    24,
  );
});

test('all or none of them, whichever part fails', async () => {
  const type = uniqueType();
  let seen = 0;
  await statementsOf(
    'keyed',
    async () => expect((await coordinator.api.post('/jobs/bulk', { jobs: jobsOf(type) })).status).toBe(500),
    ({ values }) => {
      if (approximateBytes(values) > LARGE && (seen += 1) === 2) throw new Error('the second part fails');
    },
  );
  expect(seen).toBe(2);
  expect(await coordinator.sql.count('jobs WHERE type = $1', [type])).toBe(0);
});

test('the same call again brings the same jobs, and users take turns over all parts', async () => {
  const type = uniqueType();
  const headers = { 'idempotency-key': uniqueType('key') };
  const sent = { jobs: jobsOf(type, { userId: 'ann' }) };
  const first = expectStatus(await coordinator.api.post<{ jobs: Job[] }>('/jobs/bulk', sent, { headers }), 201);
  const again = expectStatus(await coordinator.api.post<{ jobs: Job[] }>('/jobs/bulk', sent, { headers }), 200);
  expect(again.jobs.map(({ id }) => id)).toEqual(first.jobs.map(({ id }) => id));
  const claimed = await coordinator.api.claim({ runnerId: 'r', types: [type], max: 24 });
  expect(claimed.map(({ id }) => id)).toEqual(first.jobs.map(({ id }) => id));
});

test('large results and checkpoints are stored a few at a time, and each is answered', async () => {
  const type = uniqueType();
  await coordinator.api.post('/jobs/bulk', { jobs: Array.from({ length: 24 }, () => ({ type })) });
  const claimed: ClaimedJob[] = await coordinator.api.claim({ runnerId: 'r', types: [type], max: 24 });
  const lease = ({ id, leaseToken }: ClaimedJob) => ({ jobId: id, leaseToken });
  const text = 'y'.repeat(LARGE);
  const beats = await statementsOf('vital', async () => {
    const sent = { runnerId: 'r', jobs: claimed.map((job) => ({ ...lease(job), checkpoint: { text } })) };
    const { jobs } = expectStatus(await coordinator.api.post<{ jobs: object[] }>('/jobs/heartbeat', sent), 200);
    expect(jobs.filter((job) => 'leaseExpiresAt' in job)).toHaveLength(24);
  });
  const reports = await statementsOf('vital', async () => {
    const completions = claimed.map((job) => ({ ...lease(job), outcome: 'completed', result: { text } }));
    const { results } = expectStatus(
      await coordinator.api.post<CompletionsReply>('/jobs/complete', { completions }),
      200,
    );
    expect(results.map(({ jobId }) => jobId)).toEqual(claimed.map(({ id }) => id));
  });
  for (const sizes of [beats, reports]) {
    expect(sizes.filter((size) => size > LARGE).length).toBeGreaterThan(2);
    expect(Math.max(...sizes)).toBeLessThan(MOST);
  }
  expect(await coordinator.sql.count("jobs WHERE type = $1 AND status = 'completed'", [type])).toBe(24);
});

test('items are taken as they come, as many as weigh so much, and one at least', () => {
  const taken = (...weights: number[]) => [...slices(weights, (weight) => weight, 10)];
  expect(taken()).toEqual([]);
  expect(taken(5, 5, 1)).toEqual([[5, 5], [1]]);
  expect(taken(20, 1, 20)).toEqual([[20], [1], [20]]);
});

test('a long list is answered in pieces, which together are the text', () => {
  expect(listText('{"jobs":', ['1', '2'], '}')).toBe('{"jobs":[1,2]}');
  const long = Array.from({ length: 3 }, () => JSON.stringify('z'.repeat(1_000_000)));
  const pieces = listText('{"jobs":', long, '}');
  expect(Array.isArray(pieces) ? pieces.join('') : null).toBe(`{"jobs":[${long.join(',')}]}`);
});
