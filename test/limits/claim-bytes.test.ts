import type { ClaimedJob, CompletionsReply } from '@baton/runner-sdk/protocol';
import type { JobCandidate } from '../../coordinator/domain/jobs/candidates/job-candidate';
import { NOTHING_RESERVED, reserveFor } from '../../coordinator/domain/jobs/candidates/reservation';
import { claim, MOST_CLAIM_BYTES } from '../../coordinator/store/jobs';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator()));
afterAll(() => coordinator.stop());

const LARGE = 250_000;

/** PostgreSQL stores the one apart and compressed, the other apart as it is. */
const TEXTS = { compressed: `repeat('x', ${LARGE})`, plain: `string_agg(md5(random()::text), '')` };

/** Jobs whose arguments are larger than a request could bring at once; their places in the order are their numbers. */
async function createLarge(count: number, more: object = {}, text: keyof typeof TEXTS = 'compressed'): Promise<string> {
  const type = uniqueType();
  await coordinator.api.post('/jobs/bulk', {
    jobs: Array.from({ length: count }, (_, nth) => ({ type, metadata: { nth }, ...more })),
  });
  await coordinator.sql.query(
    `UPDATE jobs SET arguments = json_build_object('text', (SELECT ${TEXTS[text]} FROM generate_series(1, ${text === 'plain' ? LARGE / 32 : 1}))) WHERE type = $1`,
    [type],
  );
  return type;
}

function bytesOf(jobs: ClaimedJob[]): number {
  return jobs.reduce((sum, job) => sum + JSON.stringify(job.arguments).length, 0);
}

function nths(jobs: ClaimedJob[]): unknown[] {
  return jobs.map(({ metadata }) => (metadata as { nth: number }).nth);
}

const IN_ONE = Math.ceil(MOST_CLAIM_BYTES / LARGE);
const ALL = Array.from({ length: 90 }, (_, nth) => nth);

test.each(['compressed', 'plain'] as const)(
  'a claim brings so many bytes of %s payloads at the most, and the next one goes on from there',
  async (text) => {
    const type = await createLarge(ALL.length, {}, text);
    const claim = { runnerId: 'r', types: [type], max: 500 };
    const first = await coordinator.api.claim(claim);
    expect(bytesOf(first)).toBeLessThan(MOST_CLAIM_BYTES + 2 * LARGE);
    expect(first.length).toBeGreaterThanOrEqual(IN_ONE - 1);
    const rest = await coordinator.api.claim(claim);
    expect(nths([...first, ...rest])).toEqual(ALL);
    expect(await coordinator.api.claim(claim)).toEqual([]);
  },
);

test('so it does from several lanes, and from a queue with limits', async () => {
  const queue = uniqueType('queue');
  await coordinator.api.call('put', `/queues/${queue}`, { json: { concurrency: 500 } });
  const types = [await createLarge(45, { queue, priority: 1 }), await createLarge(45, { queue })];
  const claims = [await createLarge(45, { priority: 1 }), await createLarge(45)];
  for (const both of [types, claims]) {
    const claim = { runnerId: 'r', types: both, max: 500 };
    const first = await coordinator.api.claim(claim);
    expect(first.length).toBeLessThanOrEqual(IN_ONE);
    const rest = await coordinator.api.claim(claim);
    expect(nths([...first, ...rest])).toEqual([...ALL.slice(0, 45), ...ALL.slice(0, 45)]);
  }
});

test('claims that did not fit into the first statement are served by the next, without a poll in between', async () => {
  const type = await createLarge(80, { delayMs: 3_600_000 });
  const { app, api, sql } = coordinator;
  const answers = ALL.slice(0, 80).map((nth) =>
    api.claim({ runnerId: `w-${nth}`, types: [type], waitMs: 20_000, ...(nth % 2 === 0 ? { claimId: 'c' } : {}) }),
  );
  await eventually(() => app.services.dispatcher.size === 80);
  await sql.query("UPDATE jobs SET run_at = now() - interval '1 s' WHERE type = $1", [type]);
  await app.loops.due.runOnce();
  expect((await Promise.all(answers)).map((jobs) => jobs.length)).toEqual(answers.map(() => 1));
});

test('a job that is larger than an answer may be comes alone', async () => {
  const type = await createLarge(3);
  await coordinator.sql.query(
    `UPDATE jobs SET arguments = json_build_object('text', repeat('y', ${MOST_CLAIM_BYTES})) WHERE type = $1 AND metadata->>'nth' = '0'`,
    [type],
  );
  const claim = { runnerId: 'r', types: [type], max: 500 };
  expect(nths(await coordinator.api.claim(claim))).toEqual([0]);
  expect(nths(await coordinator.api.claim(claim))).toEqual([1, 2]);
});

test('metadata and checkpoints count too', async () => {
  const type = await createLarge(40);
  await coordinator.sql.query(
    `UPDATE jobs SET checkpoint = arguments, metadata = json_build_object('nth', metadata->'nth', 'text', repeat('z', ${LARGE})) WHERE type = $1`,
    [type],
  );
  expect((await coordinator.api.claim({ runnerId: 'r', types: [type], max: 500 })).length).toBeLessThanOrEqual(
    Math.ceil(IN_ONE / 3),
  );
});

test('what a report claims next is bounded in the same way', async () => {
  const type = await createLarge(ALL.length);
  const { body } = await coordinator.api.post<CompletionsReply>('/jobs/complete', {
    completions: [],
    claim: { runnerId: 'r', types: [type], max: 500 },
  });
  expect(body.jobs?.length).toBeLessThanOrEqual(IN_ONE);
});

test('claims whose answers were lost get all of theirs again, though all of them together are more than one statement brings', async () => {
  const type = await createLarge(ALL.length);
  const claims = Array.from({ length: 5 }, (_, nth) => ({
    runnerId: `lost-${nth}`,
    claimId: 'c',
    types: [type],
    max: 18,
    waitMs: 20_000,
  }));
  const before: ClaimedJob[][] = [];
  for (const claim of claims) before.push(await coordinator.api.claim(claim));
  expect(before.map((jobs) => jobs.length)).toEqual([18, 18, 18, 18, 18]);
  const again = await Promise.all(claims.map((claim) => coordinator.api.claim(claim)));
  const slots = claims.map(({ runnerId, claimId }) => ({ runnerId, claimId, leaseMs: 30_000 }));
  const found = await claim(coordinator.app.context.db.hot, [], slots, false);
  expect([new Set(found.claimed.map(({ slot }) => slot)).size, found.isByteLimited]).toEqual([4, true]);
  const tokens = (jobs: ClaimedJob[]) => jobs.map(({ leaseToken }) => leaseToken).sort();
  expect(again.map(tokens)).toEqual(before.map(tokens));
});

test('jobs that are being created are reserved for claims that wait as long as they fit into one answer', () => {
  const candidate = (id: string, bytes: number) =>
    ({ bytes, row: { id, laneId: 1, queue: 'q', priority: 0 } }) as JobCandidate;
  const reservedOf = (...bytes: number[]): string[] => {
    let reserved: string[] = [];
    reserveFor(
      bytes.map((one, nth) => candidate(String(nth), one)),
      (jobs) => {
        reserved = jobs.map(({ id }) => id);
        return NOTHING_RESERVED;
      },
    );
    return reserved;
  };
  const half = MOST_CLAIM_BYTES / 2;
  expect(reservedOf(1, 2, 3)).toEqual(['0', '1', '2']);
  expect(reservedOf(half, half, 1)).toEqual(['0', '1']);
  expect(reservedOf(3 * half, 1)).toEqual(['0']);
});
