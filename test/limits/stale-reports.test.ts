import { randomUUID } from 'node:crypto';
import type { ClaimedJob, CompletionsReply } from '@baton/runner-sdk/protocol';
import type { Executor } from '../../coordinator/store/db';
import { traceTokens } from '../../coordinator/store/leases';
import { Explainer } from '../flow/explained';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { uniqueType } from '../support/factory';

// Reports that come too late are compared with what is stored. A thousand of them are a small call, so they must not
// read what is large, nor read the same again and again.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator()));
afterAll(() => coordinator.stop());

const LARGE = 250_000;
const REPORTS = 1000;
/** Not compressible, so that it is as large in the table. */
const large = () => Array.from({ length: LARGE / 36 }, () => randomUUID()).join('');

async function ended(report: object): Promise<ClaimedJob> {
  const type = uniqueType();
  await coordinator.api.create({ type, maxAttempts: 1 });
  const job = await coordinator.api.claimOne({ runnerId: 'r', types: [type] });
  expectStatus(await coordinator.api.complete(job, { outcome: 'completed', ...report }), 200);
  return job;
}

/** What a call reads from the database, as JSON. */
async function bytesRead(call: () => Promise<unknown>): Promise<number> {
  const { vital } = coordinator.app.context.db;
  const { query } = vital;
  let bytes = 0;
  const counting: Executor['query'] = async <Row>(statement: Parameters<Executor['query']>[0]) => {
    const rows = await query<Row>(statement);
    bytes += JSON.stringify(rows).length;
    return rows;
  };
  Object.assign(vital, { query: counting });
  try {
    await call();
  } finally {
    Object.assign(vital, { query });
  }
  return bytes;
}

async function codesOf(completions: object[]): Promise<Record<string, number>> {
  const { results } = expectStatus(
    await coordinator.api.post<CompletionsReply>('/jobs/complete', { completions }),
    200,
  );
  const codes: Record<string, number> = {};
  for (const one of results) {
    const said = 'code' in one ? String(one.code) : 'same';
    codes[said] = (codes[said] ?? 0) + 1;
  }
  return codes;
}

test.each([
  ['result', { result: large() }, { outcome: 'completed', result: 1 }],
  [
    'error',
    { outcome: 'failed', error: { message: large(), stack: large() } },
    { outcome: 'failed', error: { message: 'another' } },
  ],
])('a thousand reports on a job with a large %s do not read it', async (_what, stored, report) => {
  const { id: jobId, leaseToken } = await ended(stored);
  let codes = {};
  const read = await bytesRead(async () => {
    codes = await codesOf(Array.from({ length: REPORTS }, () => ({ jobId, leaseToken, ...report })));
  });
  expect(codes).toEqual({ state_conflict: REPORTS });
  expect(read).toBeLessThan(1000);
});

test('one that repeats it makes it be read once for all', async () => {
  const result = large();
  const { id: jobId, leaseToken } = await ended({ result });
  const repeat = { jobId, leaseToken, outcome: 'completed', result };
  const others = Array.from({ length: REPORTS - 1 }, (_, nth) => ({ ...repeat, result: nth }));
  let codes = {};
  const read = await bytesRead(async () => {
    codes = await codesOf([repeat, ...others]);
  });
  expect(codes).toEqual({ same: 1, state_conflict: REPORTS - 1 });
  expect(read).toBeLessThan(LARGE + 1000);
});

test('a thousand tokens that the job never had read no part of its result', async () => {
  const jobs = { small: await ended({ result: 1 }), large: await ended({ result: large() }) };
  const explainer = await Explainer.connect(coordinator.sql.url);
  const cost = ({ id: jobId }: ClaimedJob) =>
    explainer.cost(
      (db) =>
        traceTokens(
          db,
          Array.from({ length: REPORTS }, () => ({ jobId, leaseToken: randomUUID() })),
        ),
      'generic',
    );
  try {
    await cost(jobs.small);
    expect((await cost(jobs.large)).buffers).toBeLessThan((await cost(jobs.small)).buffers + 20);
  } finally {
    await explainer.end();
  }
});
