import type { BulkOperation, Job, Problem } from '@baton/runner-sdk/protocol';
import { randomUUID } from 'node:crypto';
import { expectStatus } from '../support/api';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';
import { applyNow } from '../../coordinator/domain/bulk/bulk-operation';
import { Stage } from './stage';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
  await Promise.all(stage.both.map(({ app }) => app.loops.bulk.stop()));
});
afterAll(() => stage.close());

const bulk = async (verb: string, body: object, on = stage.one.api) =>
  expectStatus(await on.post<{ count: number }>(`/jobs/${verb}`, body), 200).count;
const begin = async (verb: string, body: object, on = stage.one.api) =>
  expectStatus(await on.post<BulkOperation>(`/jobs/${verb}`, { ...body, background: true }), 202);
const watch = async (id: string, on = stage.two.api) =>
  expectStatus(await on.get<BulkOperation>(`/bulk-operations/${id}`), 200);
const count = (type: string, status: string) =>
  stage.sql.count('jobs WHERE type = $1 AND status = $2::job_status', [type, status]);
const round = (at: 0 | 1) => stage.both[at].app.loops.bulk.runOnce();

test('cancel by filter: only what matches, counted first by a dry run, and nothing twice', async () => {
  const [type, queue] = [uniqueType(), await stage.queue()];
  await stage.create(queue, 12, (n) => ({
    type,
    tags: n < 5 ? ['old'] : [],
    arguments: { n, kind: n % 2 === 0 ? 'even' : 'odd' },
  }));
  const filter = { type, tag: 'old', arguments: { kind: 'even' } };
  expect(await bulk('cancel', { filter, dryRun: true })).toBe(3);
  expect(await count(type, 'cancelled')).toBe(0);
  expect(await bulk('cancel', { filter, reason: 'old ones' })).toBe(3);
  expect(await bulk('cancel', { filter })).toBe(0);
  expect(await stage.sql.count("jobs WHERE type = $1 AND reason = 'old ones'", [type])).toBe(3);
  expect(await count(type, 'pending')).toBe(9);
});

test('a verb whose client has gone ends after the batch under way', async () => {
  const [type, queue] = [uniqueType(), await stage.queue()];
  await stage.create(queue, 1200, { type });
  let looks = 0;
  // It is looked at before each batch.
  const signal = {
    get aborted() {
      return (looks += 1) > 1;
    },
  } as AbortSignal;
  const all = { verb: 'cancel' as const, userId: null, filter: { type: [type] }, parameters: {}, by: null };
  await expect(applyNow(stage.one.app.context, all, signal)).rejects.toMatchObject({ code: 'unavailable' });
  expect(await count(type, 'cancelled')).toBe(500);
});

test('retry, prioritise and purge', async () => {
  const [type, queue] = [uniqueType(), await stage.queue()];
  await stage.create(queue, 6, { type });
  expect(await bulk('cancel', { filter: { type } })).toBe(6);
  expect(await bulk('retry', { filter: { type, status: ['cancelled', 'completed'] } })).toBe(6);
  expect(await bulk('prioritise', { filter: { type }, priority: 'high' })).toBe(6);
  await stage.create(queue, 1, { type, priority: 5, arguments: { n: 9 } });
  expect(await bulk('prioritise', { filter: { type, createdAfter: new Date(0).toISOString() }, priority: 10 })).toBe(1);
  expect(await stage.drain(queue, { types: [type] })).toHaveLength(7);
  expect(await bulk('purge', { filter: { type }, dryRun: true })).toBe(7);
  expect(await bulk('purge', { filter: { type } })).toBe(7);
  expect(await stage.sql.count('jobs WHERE type = $1', [type])).toBe(0);
});

test('a job that is to be cancelled while it waits is left alone when it has started', async () => {
  const [type, queue] = [uniqueType(), await stage.queue()];
  await stage.create(queue, 2, { type });
  await stage.claim(queue, 1, { types: [type] });
  expect(await bulk('cancel', { filter: { type, status: 'pending' } })).toBe(1);
  expect(await count(type, 'running')).toBe(1);
  expect(await bulk('cancel', { filter: { type } })).toBe(1);
});

test('a status that the verb is not for matches nothing', async () => {
  const [type, queue] = [uniqueType(), await stage.queue()];
  await stage.create(queue, 2, { type });
  expect(await bulk('retry', { filter: { type, status: 'pending' } })).toBe(0);
  expect(await bulk('purge', { filter: { type } })).toBe(0);
});

test('jobs whose unique key is taken do not keep the others from being retried', async () => {
  const [type, queue] = [uniqueType(), await stage.queue()];
  await stage.create(queue, 4, (n) => ({ type, uniqueKey: `u${n}` }));
  await bulk('cancel', { filter: { type } });
  await stage.create(queue, 1, { type, uniqueKey: 'u2' });
  expect(await bulk('retry', { filter: { type } })).toBe(3);
});

test('in the background: in bounded batches, watched while it goes on, by either coordinator, once each', async () => {
  const [type, queue] = [uniqueType(), await stage.queue()];
  await stage.create(queue, 1200, { type });
  const operation = await begin('cancel', { filter: { type }, reason: 'all' });
  expect(operation).toMatchObject({ verb: 'cancel', status: 'running', matched: 1200, changed: 0, finishedAt: null });
  await round(0);
  expect(await watch(operation.id)).toMatchObject({ status: 'running', changed: 500 });
  expect(await count(type, 'cancelled')).toBe(500);
  await Promise.all([round(0), round(1)]);
  await eventually(
    async () => {
      await Promise.all([round(0), round(1)]);
      return watch(operation.id);
    },
    ({ status }) => status === 'finished',
  );
  expect(await watch(operation.id, stage.one.api)).toMatchObject({
    matched: 1200,
    changed: 1200,
    finishedAt: expect.any(String),
  });
  expect(await count(type, 'cancelled')).toBe(1200);
});

test('a batch that was cut off is done again, and changes nothing twice', async () => {
  const [type, queue] = [uniqueType(), await stage.queue()];
  await stage.create(queue, 700, { type });
  const operation = await begin('prioritise', { filter: { type }, priority: 7 });
  await round(0);
  await stage.sql.query('UPDATE bulk_operations SET cursor = NULL, changed = 0 WHERE id = $1', [operation.id]);
  for (let rounds = 0; rounds < 3; rounds += 1) await round(1);
  expect(await watch(operation.id)).toMatchObject({ status: 'finished', changed: 200 });
  expect(await stage.sql.count('jobs WHERE type = $1 AND priority = 7', [type])).toBe(700);
  expect(await stage.drain(queue, { types: ['none'] })).toEqual([]);
  expect(await stage.claim(queue, 500, { types: [type] })).toHaveLength(500);
});

test('a user’s key changes, counts and watches only that user’s jobs, and purges nothing', async () => {
  const [type, queue] = [uniqueType(), await stage.queue()];
  await stage.create(queue, 6, (n) => ({ type, ...(n < 2 ? { userId: 'ann' } : n < 4 ? { userId: 'bob' } : {}) }));
  const ann = stage.one.api.as(await stage.one.api.makeKey({ name: 'ann', role: 'user', userId: 'ann' }));
  expect(await bulk('cancel', { filter: { type }, dryRun: true }, ann)).toBe(2);
  expect(await bulk('cancel', { filter: { type, userId: 'bob' } }, ann)).toBe(0);
  expect(await bulk('prioritise', { filter: { type }, priority: 3 }, ann)).toBe(2);
  const operation = await begin('cancel', { filter: { type } }, ann);
  expect(operation.matched).toBe(2);
  await round(1);
  expect(await watch(operation.id, ann)).toMatchObject({ status: 'finished', changed: 2 });
  expect(await stage.sql.count("jobs WHERE type = $1 AND status = 'cancelled' AND user_id = 'ann'", [type])).toBe(2);
  expect(await count(type, 'pending')).toBe(4);
  expect(await bulk('retry', { filter: { type } }, ann)).toBe(2);
  expect(await ann.refusal('post', '/jobs/purge', { filter: { type } })).toEqual([403, 'forbidden']);
  const foreign = await begin('cancel', { filter: { type: uniqueType() } });
  expect(await ann.refusal('get', `/bulk-operations/${foreign.id}`)).toEqual([404, 'not_found']);
});

test('what is not a filter, or no operation, is refused', async () => {
  const { api } = stage.one;
  expect(await api.refusal('post', '/jobs/cancel', { filter: { tpye: 'x' } })).toEqual([400, 'validation_failed']);
  expect(await api.refusal('post', '/jobs/cancel', {})).toEqual([400, 'validation_failed']);
  expect(await api.refusal('post', '/jobs/prioritise', { all: true })).toEqual([400, 'validation_failed']);
  expect(await api.refusal('get', `/bulk-operations/${randomUUID()}`)).toEqual([404, 'not_found']);
});

test('every job must be asked for in so many words', async () => {
  const { api } = stage.one;
  for (const verb of ['cancel', 'retry', 'prioritise', 'purge'])
    for (const filter of [{}, { arguments: {} }]) {
      const { status, body } = await api.post<Problem>(`/jobs/${verb}`, { filter, priority: 1 });
      expect([status, body.detail]).toEqual([400, expect.stringMatching(verb === 'prioritise' ? /"all": true/ : /./)]);
    }
  await stage.create(await stage.queue(), 2, { type: uniqueType() });
  const waiting = await stage.sql.count("jobs WHERE status IN ('pending', 'blocked', 'running')");
  expect(await bulk('cancel', { all: true, dryRun: true })).toBe(waiting);
});

test('prioritised jobs keep their order, and a claim that waits gets them', async () => {
  const [type, queue] = [uniqueType(), await stage.queue()];
  const jobs: Job[] = await stage.create(queue, 3, { type, orderKey: 'o' });
  await bulk('prioritise', { filter: { type }, priority: -5 });
  expect(await stage.drain(queue, { types: [type], waitMs: 300 })).toEqual([0, 1, 2]);
  expect(jobs).toHaveLength(3);
});
