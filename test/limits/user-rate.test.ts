import type { Job, Problem, RateLimits } from '@baton/runner-sdk/protocol';
import { type Api, expectStatus } from '../support/api';
import { type Cluster, startCluster } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

const HOUR_MS = 3_600_000;

let cluster: Cluster;
let first: Api;
let second: Api;
beforeAll(async () => {
  cluster = await startCluster(2);
  const [one, two] = cluster.coordinators;
  if (one === undefined || two === undefined) throw new Error('two coordinators were wanted');
  first = one.api;
  second = two.api;
});
afterAll(() => cluster.stop());

/** A queue with a limit that both coordinators know of. */
async function limited(max: number, perMs = HOUR_MS): Promise<string> {
  const queue = uniqueType('queue');
  expectStatus(await first.call('put', `/queues/${queue}`, { json: { userRateLimit: { max, perMs } } }), 200);
  await eventually(() => cluster.coordinators.every(({ app }) => app.context.queueSettings.limitsUsers(queue)));
  return queue;
}

describe('a limit on what one user creates', () => {
  it('is exact when two coordinators create at once', async () => {
    const queue = await limited(10);
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, index) =>
        (index % 2 === 0 ? first : second).post('/jobs', { type: 'a', queue, userId: 'ann' }),
      ),
    );
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(10);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(50);
    expect(await cluster.sql.count('jobs WHERE queue = $1', [queue])).toBe(10);
  });

  it('tells when to come back, and lets others and jobs of nobody pass', async () => {
    const queue = await limited(1);
    await first.create({ type: 'a', queue, userId: 'ann' });
    const refused = await second.post<Problem>('/jobs', { type: 'a', queue, userId: 'ann' });
    expect([refused.status, refused.body.code]).toEqual([429, 'rate_limited']);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(3500);
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(3600);
    await first.create({ type: 'a', queue, userId: 'bob' });
    await first.create({ type: 'a', queue });
    await first.create({ type: 'a', queue });
  });

  it('counts a sliding window', async () => {
    const queue = await limited(2);
    const job = await first.create({ type: 'a', queue, userId: 'ann' });
    await first.create({ type: 'a', queue, userId: 'ann' });
    expect(await first.refusal('post', '/jobs', { type: 'a', queue, userId: 'ann' })).toEqual([429, 'rate_limited']);
    await cluster.sql.query("UPDATE jobs SET created_at = created_at - interval '61 minutes' WHERE id = $1", [job.id]);
    await first.create({ type: 'a', queue, userId: 'ann' });
    expect(await first.refusal('post', '/jobs', { type: 'a', queue, userId: 'ann' })).toEqual([429, 'rate_limited']);
  });

  it("does not outlast a day by which the database's clock was set back", async () => {
    const queue = await limited(1);
    await first.create({ type: 'a', queue, userId: 'ann' });
    expect(await first.refusal('post', '/jobs', { type: 'a', queue, userId: 'ann' })).toEqual([429, 'rate_limited']);
    // As if the job had been created tomorrow.
    await cluster.sql.query("UPDATE jobs SET created_at = now() + interval '1 day' WHERE queue = $1", [queue]);
    expect(expectStatus(await first.get<RateLimits>('/rate-limits?userId=ann'), 200)[queue]?.remaining).toBe(1);
    await first.create({ type: 'a', queue, userId: 'ann' });
    expect(await first.refusal('post', '/jobs', { type: 'a', queue, userId: 'ann' })).toEqual([429, 'rate_limited']);
  });

  it('does not count what makes no job: repeats and duplicates', async () => {
    const queue = await limited(1);
    const body = { type: uniqueType(), queue, userId: 'ann', uniqueKey: 'once' };
    const headers = { 'idempotency-key': uniqueType('key') };
    const made = expectStatus(await first.post<Job>('/jobs', body, { headers }), 201);
    expect(expectStatus(await second.post<Job>('/jobs', body, { headers }), 200).id).toBe(made.id);
    expect(expectStatus(await second.post<Job>('/jobs', body), 200).id).toBe(made.id);
  });

  it('judges a bulk all or none, or each alone', async () => {
    const queue = await limited(3);
    const jobs = Array.from({ length: 5 }, () => ({ type: 'a', queue, userId: 'ann' }));
    const none = await first.post<Problem>('/jobs/bulk', { jobs });
    expect([none.status, none.body.code, none.body.errors?.[0]?.path]).toEqual([429, 'rate_limited', 'jobs.3']);
    expect(none.headers['retry-after']).toBeDefined();
    expect(await cluster.sql.count('jobs WHERE queue = $1', [queue])).toBe(0);
    const each = expectStatus(
      await first.post<{ jobs: ({ id: string } | { code: string })[] }>('/jobs/bulk', { jobs, atomic: false }),
      201,
    );
    expect(each.jobs.map((job) => ('code' in job ? job.code : 'made'))).toEqual([
      'made',
      'made',
      'made',
      'rate_limited',
      'rate_limited',
    ]);
  });

  it('is told by GET /rate-limits, to its user alone', async () => {
    const queue = await limited(3);
    const [ann, bob] = await Promise.all(
      ['ann', 'bob'].map(async (userId) => first.as(await first.makeKey({ name: userId, role: 'user', userId }))),
    );
    if (ann === undefined || bob === undefined) throw new Error('two keys were wanted');
    await ann.create({ type: 'a', queue });
    const used = expectStatus(await ann.get<RateLimits>('/rate-limits'), 200)[queue];
    expect(used).toEqual({ limit: 3, count: 1, remaining: 2, resetAt: expect.any(String) as string });
    const empty = { limit: 3, count: 0, remaining: 3, resetAt: null };
    expect(expectStatus(await bob.get<RateLimits>('/rate-limits'), 200)[queue]).toEqual(empty);
    expect(expectStatus(await bob.get<RateLimits>('/rate-limits?userId=ann'), 200)[queue]).toEqual(empty);
    expect(expectStatus(await first.get<RateLimits>('/rate-limits?userId=ann'), 200)[queue]).toEqual(used);
  });

  it('goes with null', async () => {
    const queue = await limited(1);
    await first.create({ type: 'a', queue, userId: 'ann' });
    expectStatus(await first.call('put', `/queues/${queue}`, { json: { userRateLimit: null } }), 200);
    await first.create({ type: 'a', queue, userId: 'ann' });
  });
});
