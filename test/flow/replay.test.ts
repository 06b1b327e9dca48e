import type { BulkOperation, Job, JobList } from '@baton/runner-sdk/protocol';
import { expectStatus } from '../support/api';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';
import { Stage } from './stage';

// Finished jobs that match are made again as new jobs, each once.

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
  await Promise.all(stage.both.map(({ app }) => app.loops.bulk.stop()));
});
afterAll(() => stage.close());

const finished = async (count: number, more: object = {}): Promise<string> => {
  const type = uniqueType();
  for (let n = 0; n < count; n += 1)
    await stage.one.api.create({ type, arguments: { n }, metadata: { own: n }, uniqueKey: `u${n}`, ...more });
  for (const job of await stage.one.api.claim({ runnerId: 'r', types: [type], max: count }))
    await stage.one.api.complete(job);
  return type;
};
const ask = (json: object, headers: Record<string, string> = {}, on = stage.one) =>
  on.api.post<BulkOperation & { count: number }>('/jobs/replay', json, { headers });
const work = async (on = stage.one): Promise<void> => {
  while (await on.app.loops.bulk.runOnce());
};
const made = async (type: string): Promise<Job[]> =>
  expectStatus(await stage.one.api.get<JobList>(`/jobs?type=${type}&status=pending&limit=500`), 200).items.reverse();

test('counted first, then made anew and linked, with what they were created with', async () => {
  const type = await finished(3, {
    tags: ['t'],
    priority: 4,
    maxAttempts: 2,
    timeoutMs: 777,
  });
  const filter = { type, status: 'completed' };
  expect((await ask({ filter, dryRun: true })).body).toEqual({
    count: (await stage.one.api.get<JobList>(`/jobs?type=${type}`)).body.items.length,
  });
  expect(await made(type)).toEqual([]);
  const { status, body } = await ask({ filter });
  expect([status, body.verb, body.status]).toEqual([202, 'replay', 'running']);
  await work();
  const originals = (await stage.one.api.get<JobList>(`/jobs?type=${type}&status=completed`)).body.items;
  const replays = await made(type);
  expect(replays).toHaveLength(originals.length);
  for (const replay of replays) {
    const original = originals.find(({ id }) => id === replay.metadata?.['replayOf']);
    expect(replay).toMatchObject({
      arguments: original?.arguments,
      tags: ['t'],
      priority: 4,
      maxAttempts: 2,
      timeoutMs: 777,
      uniqueKey: null,
    });
    expect(replay.metadata).toEqual({ ...original?.metadata, replayOf: original?.id });
  }
  expect((await stage.two.api.get<BulkOperation>(`/bulk-operations/${body.id}`)).body).toMatchObject({
    status: 'finished',
    changed: originals.length,
  });
});

test('with other arguments, queue and priority', async () => {
  const type = await finished(2);
  await ask({ filter: { type }, arguments: { again: true }, queue: 'elsewhere', priority: 'high' });
  await work();
  expect(await made(type)).toMatchObject(
    [1, 2].map(() => ({ arguments: { again: true }, queue: 'elsewhere', priority: 10 })),
  );
});

test('each once: the same call again, elsewhere, and after the coordinator died within a batch', async () => {
  const type = await finished(5);
  const { body: first } = await ask({ filter: { type, createdAfter: '2020-01-01T00:00:00Z' } });
  const { body: again } = await ask({ filter: { createdAfter: '2020-01-01T00:00:00Z', type } }, {}, stage.two);
  expect(again.id).toBe(first.id);
  await work();
  expect(await made(type)).toHaveLength(5);
  // As it stands after a crash between the batch and its cursor.
  await stage.sql.query('UPDATE bulk_operations SET cursor = NULL, finished_at = NULL WHERE id = $1', [first.id]);
  await work(stage.two);
  expect(await made(type)).toHaveLength(5);
  // What it made and has finished is no original of it.
  for (const job of await stage.one.api.claim({ runnerId: 'r', types: [type], max: 5 }))
    await stage.one.api.complete(job);
  await stage.sql.query('UPDATE bulk_operations SET cursor = NULL, finished_at = NULL WHERE id = $1', [first.id]);
  await work();
  expect(await made(type)).toEqual([]);
  // Once more on purpose, of the originals and of what was made of them.
  const { body: other } = await ask({ filter: { type } }, { 'idempotency-key': 'again' });
  expect(other.id).not.toBe(first.id);
  await work();
  expect(await made(type)).toHaveLength(10);
});

test('only what has finished; a user only the own', async () => {
  const type = uniqueType();
  await stage.one.api.create({ type });
  expect((await ask({ filter: { type }, dryRun: true })).body.count).toBe(0);
  const user = stage.one.api.as(await stage.one.api.makeKey({ name: 'u', role: 'user', userId: 'ann' }));
  const theirs = await finished(1, { userId: 'ben' });
  const own = await finished(1, { userId: 'ann' });
  for (const [one, count] of [
    [theirs, 0],
    [own, 1],
  ] as const)
    expect(
      (await user.post<{ count: number }>('/jobs/replay', { filter: { type: one }, dryRun: true })).body.count,
    ).toBe(count);
  expectStatus(await user.post('/jobs/replay', { all: true }), 202);
  await work();
  expect(await made(theirs)).toEqual([]);
  expect(await made(own)).toMatchObject([{ userId: 'ann' }]);
});

test('what its queue has no room for is made once there is, and holds up no other operation', async () => {
  const type = await finished(3);
  const queue = await stage.queue({ maxWaiting: 1 });
  const { body } = await ask({ filter: { type }, queue });
  await work();
  expect(await made(type)).toHaveLength(1);
  const other = await finished(1);
  await ask({ filter: { type: other } });
  await work();
  expect(await made(other)).toHaveLength(1);
  await stage.set(queue, { maxWaiting: null });
  // Another coordinator has not met the full queue, and knows of the change at the latest when it looks.
  await stage.two.app.context.queueSettings.read();
  await work(stage.two);
  expect(await made(type)).toHaveLength(3);
  expect((await stage.one.api.get<BulkOperation>(`/bulk-operations/${body.id}`)).body).toMatchObject({
    status: 'finished',
    changed: 3,
  });
});

test('what its queue has no room for in ten minutes ends it, with what it made and why; asked for again it goes on', async () => {
  const type = await finished(3);
  const queue = await stage.queue({ maxWaiting: 1 });
  const request = { filter: { type }, queue };
  const { body } = await ask(request);
  const read = async () => (await stage.one.api.get<BulkOperation>(`/bulk-operations/${body.id}`)).body;
  await work();
  // It says what it waits for, and that one was made.
  expect(await read()).toMatchObject({ status: 'running', matched: 3, changed: 1, error: { code: 'queue_full' } });
  const later = async (on = stage.two) => {
    await stage.sql.query(
      "UPDATE bulk_operations SET progressed_at = progressed_at - interval '601 seconds' WHERE id = $1",
      [body.id],
    );
    await on.app.context.queueSettings.read();
    await work(on);
  };
  await later();
  const failed = await read();
  expect(failed).toMatchObject({ status: 'failed', matched: 3, changed: 1, error: { code: 'queue_full' } });
  expect(failed.error?.message).toContain(queue);
  expect(failed.finishedAt).not.toBeNull();
  expect(await made(type)).toHaveLength(1);
  await stage.set(queue, { maxWaiting: null });
  await Promise.all(stage.both.map(({ app }) => app.context.queueSettings.read()));
  expect((await ask(request)).body).toMatchObject({ id: body.id, status: 'running', changed: 1, error: null });
  // A coordinator that met it held up leaves it alone for some seconds.
  await eventually(
    async () => (await work(), (await read()).status),
    (status) => status === 'finished',
  );
  expect(await read()).toMatchObject({ changed: 3, error: null });
  expect(await made(type)).toHaveLength(3);
});

test('one that is cancelled ends between its batches, keeps what it made, and cannot be cancelled again', async () => {
  const type = await finished(30);
  const { body } = await ask({ filter: { type } });
  await stage.one.app.loops.bulk.runOnce();
  const cancel = (on = stage.two) => on.api.post<BulkOperation>(`/bulk-operations/${body.id}/cancel`);
  expect(expectStatus(await cancel(), 200)).toMatchObject({ status: 'cancelled', matched: 30, changed: 25 });
  await work();
  expect(await made(type)).toHaveLength(25);
  expect(await stage.one.api.refusal('post', `/bulk-operations/${body.id}/cancel`)).toEqual([409, 'state_conflict']);
  const { items } = expectStatus(
    await stage.one.api.get<{ items: { target: string }[] }>('/audit?action=bulk.cancelled'),
    200,
  );
  expect(items.map(({ target }) => target)).toEqual([body.id]);
});

test('one that cannot be done says why, keeps no others waiting, and fails in the end', async () => {
  const type = await finished(1);
  const { body } = await ask({ filter: { type } });
  const other = await finished(1);
  await ask({ filter: { type: other } });
  await stage.sql.query('UPDATE bulk_operations SET filter = \'{"id": ["no id"]}\' WHERE id = $1', [body.id]);
  await work();
  expect(await made(other)).toHaveLength(1);
  const read = async () => (await stage.one.api.get<BulkOperation>(`/bulk-operations/${body.id}`)).body;
  expect(await read()).toMatchObject({ status: 'running', error: { code: 'internal' } });
  await stage.sql.query("UPDATE bulk_operations SET progressed_at = now() - interval '11 minutes' WHERE id = $1", [
    body.id,
  ]);
  await work(stage.two);
  expect(await read()).toMatchObject({ status: 'failed', changed: 0, error: { code: 'internal' } });
});

test('keys take turns, and the operations of one are done in their order', async () => {
  const { one, two } = {
    one: stage.one.api.as(await stage.one.api.makeKey({ name: 'many', role: 'producer' })),
    two: stage.one.api.as(await stage.one.api.makeKey({ name: 'few', role: 'producer' })),
  };
  const [long, short] = [await finished(60), await finished(1)];
  const start = async (api: typeof one, type: string) =>
    expectStatus(await api.post<BulkOperation>('/jobs/replay', { filter: { type } }), 202).id;
  const [first, second] = [await start(one, long), await start(one, short)];
  const others = await start(two, short);
  const statusOf = async (id: string) => (await stage.one.api.get<BulkOperation>(`/bulk-operations/${id}`)).body.status;
  for (let round = 0; round < 2; round += 1) await stage.one.app.loops.bulk.runOnce();
  expect(await Promise.all([first, second, others].map(statusOf))).toEqual(['running', 'running', 'finished']);
  await work();
  expect(await Promise.all([first, second].map(statusOf))).toEqual(['finished', 'finished']);
  const ends = await stage.sql.query<{ id: string }>(
    'SELECT id FROM bulk_operations WHERE id = ANY ($1) ORDER BY finished_at',
    [[first, second, others]],
  );
  expect(ends.map(({ id }) => id)).toEqual([others, first, second]);
});

test('callbacks are signed for whoever created the job, or for the user who has it made again', async () => {
  const callbackUrl = 'https://example.com/told';
  const ann = stage.one.api.as(await stage.one.api.makeKey({ name: 'ann', role: 'user', userId: 'ann' }));
  const type = uniqueType();
  await ann.create({ type, callbackUrl, arguments: { by: 'ann' } });
  await stage.one.api.create({ type, callbackUrl, userId: 'ann', arguments: { by: 'application' } });
  for (const job of await stage.one.api.claim({ runnerId: 'r', types: [type], max: 2 }))
    await stage.one.api.complete(job);
  const owners = async (queue: string) =>
    stage.sql.query<{ by: string; owner: string | null }>(
      "SELECT arguments ->> 'by' AS by, callback ->> 'userId' AS owner FROM jobs WHERE type = $1 AND queue = $2 ORDER BY 1",
      [type, queue],
    );
  await ask({ filter: { type, status: 'completed' }, queue: 'by-application' });
  await work();
  expect(await owners('by-application')).toEqual([
    { by: 'ann', owner: 'ann' },
    { by: 'application', owner: null },
  ]);
  expectStatus(await ann.post('/jobs/replay', { filter: { type, status: 'completed' }, queue: 'by-ann' }), 202);
  await work();
  expect(await owners('by-ann')).toEqual([
    { by: 'ann', owner: 'ann' },
    { by: 'application', owner: 'ann' },
  ]);
});

test('of one key so many may be open; what is one of them already is answered', async () => {
  const filter = { type: uniqueType() };
  const { body: first } = await ask({ filter });
  for (let open = 1; ; open += 1) {
    const { status, body } = await stage.one.api.post<{ code: string }>('/jobs/cancel', { filter, background: true });
    if (status === 202 && open < 30) continue;
    expect([open, status, body.code]).toEqual([20, 429, 'rate_limited']);
    break;
  }
  const again = await ask({ filter });
  expect([again.status, again.body.id]).toEqual([202, first.id]);
  await work();
});
