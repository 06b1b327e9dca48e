import { randomUUID } from 'node:crypto';
import type { Job } from '@baton/runner-sdk/protocol';
import type { Api } from '../support/api';
import { startCluster } from '../support/coordinator';
import { uniqueType } from '../support/factory';

// Idempotency keys and unique keys: what is asked for twice is there once.

let cluster: Awaited<ReturnType<typeof startCluster>>;
let first: Api;
let second: Api;
beforeAll(async () => {
  cluster = await startCluster(2);
  const [one, two] = cluster.coordinators;
  if (one === undefined || two === undefined) throw new Error('two coordinators');
  [first, second] = [one.api, two.api];
});
afterAll(() => cluster.stop());

const keyed = (api: Api, key: string, job: object) =>
  api.post<Job>('/jobs', job, { headers: { 'idempotency-key': key } });
const stored = (type: string) => cluster.sql.count('jobs WHERE type = $1', [type]);

describe('an idempotency key', () => {
  test('used again with the same request brings the first job, as it is now', async () => {
    const [type, key] = [uniqueType(), randomUUID()];
    const { status, body } = await keyed(first, key, { type });
    await second.post(`/jobs/${body.id}/cancel`);
    const again = await keyed(second, key, { type });
    expect([status, again.status, again.body.id, again.body.status]).toEqual([201, 200, body.id, 'cancelled']);
    expect(again.headers['baton-deduplicated']).toBeUndefined();
  });

  test('used for another request is a conflict', async () => {
    const [type, key] = [uniqueType(), randomUUID()];
    await keyed(first, key, { type });
    expect(await keyed(second, key, { type, priority: 1 })).toMatchObject({
      status: 409,
      body: { code: 'idempotency_conflict' },
    });
    expect(await stored(type)).toBe(1);
  });

  test('used many times at once on both coordinators makes one job', async () => {
    const type = uniqueType();
    const keys = Array.from({ length: 50 }, () => randomUUID());
    const answers = await Promise.all(
      keys.flatMap((key) =>
        Array.from({ length: 10 }, (_, at) => keyed(at % 2 === 0 ? first : second, key, { type, tags: [key] })),
      ),
    );
    expect(answers.filter(({ status }) => status === 201).length).toBe(keys.length);
    expect(answers.filter(({ status }) => status !== 201 && status !== 200)).toEqual([]);
    const ids = new Map(
      keys.map((key) => [key, new Set(answers.filter(({ body }) => body.tags[0] === key).map(({ body }) => body.id))]),
    );
    expect([...ids.values()].filter((set) => set.size !== 1)).toEqual([]);
    expect(await stored(type)).toBe(keys.length);
  });

  test('belongs to its user: two users may use the same one', async () => {
    const [type, key] = [uniqueType(), randomUUID()];
    const ann = first.as(await first.makeKey({ name: 'ann', role: 'user', userId: 'ann' }));
    const ben = first.as(await first.makeKey({ name: 'ben', role: 'user', userId: 'ben' }));
    const answers = [
      await keyed(ann, key, { type }),
      await keyed(ben, key, { type }),
      await keyed(first, key, { type }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201]);
  });

  test('stands in a list too, twice in one list included', async () => {
    const [type, idempotencyKey] = [uniqueType(), randomUUID()];
    const { body } = await first.post<{ jobs: Job[] }>('/jobs/bulk', {
      jobs: [
        { type, idempotencyKey },
        { type, idempotencyKey },
      ],
      atomic: false,
    });
    const again = await second.post<{ jobs: Job[] }>('/jobs/bulk', { jobs: [{ type, idempotencyKey }] });
    expect(new Set([...body.jobs, ...again.body.jobs].map((job) => job.id)).size).toBe(1);
    expect(await stored(type)).toBe(1);
  });

  test.each([
    ['with a space', 'a b'],
    ['too long', 'x'.repeat(256)],
  ])('%s is refused', async (_name, key) => {
    expect((await keyed(first, key, { type: uniqueType() })).status).toBe(400);
  });
});

describe('a unique key', () => {
  const unique = (api: Api, type: string, more: object = {}) =>
    api.post<Job>('/jobs', { type, uniqueKey: 'only', ...more });
  const finish = async (type: string, outcome: object) =>
    first.complete(await first.claimOne({ runnerId: 'r', types: [type] }), outcome);

  test('is held while its job is not finished, whatever else the request says', async () => {
    const type = uniqueType();
    const { body } = await unique(first, type);
    const again = await unique(second, type, { priority: 5 });
    expect(again).toMatchObject({
      status: 200,
      body: { id: body.id, priority: 0 },
      headers: { 'baton-deduplicated': 'true' },
    });
    await first.claimOne({ runnerId: 'r', types: [type] });
    expect((await unique(second, type)).body).toMatchObject({ id: body.id, status: 'running' });
  });

  test.each([
    ['completed', { outcome: 'completed' }],
    ['failed', { outcome: 'failed', error: { message: 'no', retryable: false } }],
  ])('is free again when its job is %s', async (_status, outcome) => {
    const type = uniqueType();
    await unique(first, type);
    await finish(type, outcome);
    expect((await unique(second, type)).status).toBe(201);
  });

  test('is held for uniqueForMs, though the job has finished, and no longer', async () => {
    const type = uniqueType();
    const { body } = await unique(first, type, { uniqueForMs: 3_600_000 });
    await finish(type, { outcome: 'completed' });
    expect((await unique(second, type)).body).toMatchObject({ id: body.id, status: 'completed' });
    await cluster.sql.query("UPDATE jobs SET unique_until = now() - interval '1 ms' WHERE id = $1", [body.id]);
    expect((await unique(second, type)).status).toBe(201);
  });

  test('is of one type and one user', async () => {
    const type = uniqueType();
    const statuses = [
      await unique(first, type),
      await unique(first, `${type}-other`),
      await unique(first, type, { userId: 'ann' }),
      await unique(first, type, { userId: 'ann' }),
    ].map(({ status }) => status);
    expect(statuses).toEqual([201, 201, 201, 200]);
  });

  test('asked for many times at once on both coordinators makes one job', async () => {
    const type = uniqueType();
    const answers = await Promise.all(
      Array.from(
        { length: 100 },
        (_, at) =>
          first.as(null) && (at % 2 === 0 ? first : second).post<Job>('/jobs', { type, uniqueKey: `key-${at % 10}` }),
      ),
    );
    expect(answers.filter(({ status }) => status === 201).length).toBe(10);
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(10);
    expect(await stored(type)).toBe(10);
  });

  test('twice in one list makes one job', async () => {
    const type = uniqueType();
    const { body } = await first.post<{ jobs: Job[] }>('/jobs/bulk', {
      jobs: [
        { type, uniqueKey: 'u' },
        { type, uniqueKey: 'u' },
        { type, uniqueKey: 'v' },
      ],
    });
    expect(body.jobs[0]?.id).toBe(body.jobs[1]?.id);
    expect(await stored(type)).toBe(2);
  });

  test('with an idempotency key: the repeat of a deduplicated request gets the same job, though it is over', async () => {
    const [type, key] = [uniqueType(), randomUUID()];
    const holder = await unique(first, type);
    const request = { type, uniqueKey: 'only' };
    expect((await keyed(first, key, request)).body.id).toBe(holder.body.id);
    await finish(type, { outcome: 'completed' });
    expect(await keyed(second, key, request)).toMatchObject({ status: 200, body: { id: holder.body.id } });
    expect((await keyed(second, randomUUID(), request)).status).toBe(201);
  });

  test.each([true, false])(
    'and an idempotency key twice in one list (all or none: %s): the same request is repeated, another is a conflict',
    async (atomic) => {
      const [type, idempotencyKey] = [uniqueType(), randomUUID()];
      const job = { type, uniqueKey: 'u', idempotencyKey };
      const same = await first.post<{ jobs: Job[] }>('/jobs/bulk', { atomic, jobs: [job, job] });
      expect([same.status, same.body.jobs[1]?.id]).toEqual([201, same.body.jobs[0]?.id]);
      const [other, otherKey] = [uniqueType(), randomUUID()];
      const jobs = [
        { type: other, uniqueKey: 'u', idempotencyKey: otherKey },
        { type: other, uniqueKey: 'u', idempotencyKey: otherKey, arguments: { other: true } },
      ];
      const answer = await first.post<{ code?: string; jobs?: { code?: string }[] }>('/jobs/bulk', { atomic, jobs });
      expect(
        atomic ? [answer.status, answer.body.code] : [answer.status, answer.body.jobs?.map(({ code }) => code)],
      ).toEqual(atomic ? [409, 'idempotency_conflict'] : [201, [undefined, 'idempotency_conflict']]);
      expect(await stored(other)).toBe(atomic ? 0 : 1);
    },
  );

  test('a conflict changes nothing of the job that holds the unique key', async () => {
    const [type, key] = [uniqueType(), randomUUID()];
    const holder = await unique(first, type);
    const request = { type, uniqueKey: 'only', onConflict: 'replace', delayMs: 3_600_000 };
    await first.post('/jobs', { type: `${type}-other` }, { headers: { 'idempotency-key': key } });
    expect(await keyed(second, key, { ...request, arguments: { changed: true } })).toMatchObject({
      status: 409,
      body: { code: 'idempotency_conflict' },
    });
    expect((await first.job(holder.body.id)).arguments).toEqual(holder.body.arguments);
  });
});
