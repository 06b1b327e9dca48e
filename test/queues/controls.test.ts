import type { Queue } from '@baton/runner-sdk/protocol';
import { wantedRunners } from '../../coordinator/domain/queues/scale';
import { expectStatus } from '../support/api';
import { eventually } from '../support/eventually';
import { Stage } from '../flow/stage';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
});
afterAll(() => stage.close());

const read = async (queue: string, on = stage.one) => expectStatus(await on.api.get<Queue>(`/queues/${queue}`), 200);
const post = async (queue: string, verb: string, body?: object, on = stage.one) =>
  expectStatus(await on.api.post<Queue>(`/queues/${queue}/${verb}`, body ?? {}), 200);

describe('pause', () => {
  test('keeps every coordinator from giving out jobs at once, and says by whom and why; resume gives them to who waits', async () => {
    const queue = await stage.queue();
    await stage.create(queue, 3);
    const [running] = await stage.claim(queue);
    expect((await post(queue, 'pause', { reason: 'broken disk' })).paused).toMatchObject({
      by: expect.any(String),
      reason: 'broken disk',
      untilAt: null,
    });
    for (const on of stage.both) {
      expect(await stage.claim(queue, 5, {}, on)).toEqual([]);
      expect((await read(queue, on)).paused).toMatchObject({ reason: 'broken disk' });
    }
    expect((await stage.one.api.complete(running ?? missing())).status).toBe(200);
    const waiting = stage.claim(queue, 5, { waitMs: 20_000 }, stage.two);
    expect((await post(queue, 'resume')).paused).toBeNull();
    expect(await waiting).toHaveLength(2);
  });

  test('a waiting claim gets nothing of what is created while the queue is paused on the other coordinator', async () => {
    const queue = await stage.queue();
    await stage.create(queue, 1, { delayMs: 3_600_000 });
    const waiting = stage.claim(queue, 5, { waitMs: 1500 }, stage.two);
    await post(queue, 'pause');
    await stage.create(queue, 1);
    expect(await waiting).toEqual([]);
  });

  test('ends by itself at untilAt', async () => {
    const queue = await stage.queue();
    await stage.create(queue, 1);
    await post(queue, 'pause', { untilAt: new Date(Date.now() + 3_600_000).toISOString() });
    expect(await stage.claim(queue)).toEqual([]);
    const waiting = stage.claim(queue, 1, { waitMs: 20_000 }, stage.two);
    await stage.sql.query('UPDATE queues SET paused_until = now() WHERE name = $1', [queue]);
    expect(await waiting).toHaveLength(1);
    expect((await read(queue)).paused).toBeNull();
  });

  test('a limited queue pauses too, and keeps its limits', async () => {
    const queue = await stage.queue({ concurrency: 1, rateLimit: { max: 10, perMs: 1000 } });
    await stage.create(queue, 2);
    await post(queue, 'pause');
    expect(await stage.claim(queue, 5)).toEqual([]);
    await post(queue, 'resume', undefined, stage.two);
    expect(await stage.claim(queue, 5, { waitMs: 5000 })).toHaveLength(1);
  });
});

describe('purge', () => {
  test('cancels what waits, scheduled and held as well; what runs goes on', async () => {
    const queue = await stage.queue({ concurrencyPerKey: 1 });
    await stage.create(queue, 6, (n) =>
      n < 3 ? { concurrencyKey: 'k' } : n < 4 ? { delayMs: 60_000 } : { orderKey: 'o' },
    );
    const running = await stage.claim(queue, 2);
    expect(await post(queue, 'purge')).toEqual({ count: 4 });
    expect(
      await stage.sql.count("jobs WHERE queue = $1 AND status = 'cancelled' AND reason = 'purged' AND hold IS NULL", [
        queue,
      ]),
    ).toBe(4);
    for (const job of running) expect((await stage.one.api.complete(job)).status).toBe(200);
    expect(await post(queue, 'purge')).toEqual({ count: 0 });
  });

  test('leaves a job alone that starts while it is on its way', async () => {
    const queue = await stage.queue();
    const [job] = await stage.create(queue, 1);
    const session = await stage.sql.session();
    await session.begin();
    await session.query({
      text: "UPDATE jobs SET status = 'running', runner_id = 'r', lease_token = gen_random_uuid(), attempt = 1, lease_ms = 30000, started_at = now(), lease_expires_at = now() + interval '1 hour', deadline_at = now() + interval '1 hour' WHERE id = $1",
      values: [job?.id],
    });
    const purged = stage.one.api.post(`/queues/${queue}/purge`, {});
    await session.hasWaiter();
    await session.commit();
    await session.end();
    expect((await purged).body).toEqual({ count: 0 });
    expect((await stage.one.api.job(job?.id ?? '')).status).toBe('running');
  });
});

test('figures are the counts over the rows', async () => {
  const queue = await stage.queue({ concurrencyPerKey: 1 });
  await stage.create(queue, 12, (n) => ({
    priority: n % 2,
    ...(n < 3 ? { concurrencyKey: 'k' } : n < 5 ? { orderKey: 'o' } : n < 7 ? { delayMs: 3_600_000 } : {}),
  }));
  const claimed = await stage.claim(queue, 4);
  await stage.one.api.complete(claimed[0] ?? missing());
  await stage.sql.query("UPDATE jobs SET run_at = now() - interval '1 hour' WHERE hold = 'order' AND queue = $1", [
    queue,
  ]);
  const rows = await stage.sql.one<Record<string, number>>(
    `
    SELECT count(*) FILTER (WHERE status IN ('pending', 'blocked'))::int AS waiting, count(*) FILTER (WHERE status = 'running')::int AS running,
      count(*)::int AS "inPerMinute", count(*) FILTER (WHERE finished_at IS NOT NULL)::int AS "outPerMinute"
    FROM jobs WHERE queue = $1`,
    [queue],
  );
  expect(rows).toEqual({ waiting: 8, running: 3, inPerMinute: 12, outPerMinute: 1 });
  for (const on of stage.both) {
    const figures = await read(queue, on);
    expect(figures).toMatchObject(rows);
    expect(figures.oldestAgeMs).toBeGreaterThanOrEqual(3_600_000);
  }
  await stage.sql.query(
    "UPDATE jobs SET created_at = now() - interval '2 minutes', finished_at = finished_at - interval '2 minutes' WHERE queue = $1",
    [queue],
  );
  expect(await read(queue)).toMatchObject({ inPerMinute: 0, outPerMinute: 0 });
  const all = expectStatus(await stage.two.api.get<{ items: Queue[] }>('/queues'), 200).items;
  expect(all.find(({ name }) => name === queue)).toMatchObject({ waiting: 8, running: 3 });
});

test('a queue that is only set, or empty, has figures too; one that nobody ever named is not found', async () => {
  const queue = await stage.queue({ fair: false });
  expect(await read(queue)).toMatchObject({
    waiting: 0,
    running: 0,
    oldestAgeMs: null,
    inPerMinute: 0,
    fair: false,
    concurrency: null,
    rateLimit: null,
    paused: null,
  });
  expect(await stage.one.api.refusal('get', '/queues/never-named')).toEqual([404, 'not_found']);
});

test.each([
  [{}],
  [{ concurrency: 0 }],
  [{ concurrency: 1.5 }],
  [{ rateLimit: { max: 1 } }],
  [{ rateLimit: { max: 0, perMs: 5 } }],
  [{ concurency: 5 }],
])('settings such as %j are refused', async (settings) => {
  expect(await stage.one.api.refusal('put', '/queues/some', settings)).toEqual([400, 'validation_failed']);
});

describe('scale', () => {
  const load = { waiting: 0, running: 0, inPerMinute: 0, meanRunMs: 1000 };
  const aim = { targetMs: 10_000, perRunner: 1 };
  test.each([
    ['nothing to do', {}, {}, 0],
    ['one job', { waiting: 1 }, {}, 1],
    ['a backlog', { waiting: 110 }, {}, 10],
    ['a backlog of unknown jobs', { waiting: 110, meanRunMs: null }, {}, 10],
    ['slots in one runner', { waiting: 110 }, { perRunner: 5 }, 2],
    ['what runs is kept', { running: 7 }, {}, 7],
    ['arrivals', { waiting: 50, running: 50, inPerMinute: 3000 }, { targetMs: 86_400_000 }, 51],
    ['long jobs', { waiting: 4, meanRunMs: 3_600_000 }, {}, 4],
  ])('%s', (_name, more, other, wanted) => {
    expect(wantedRunners({ ...load, ...more }, { ...aim, ...other })).toBe(wanted);
  });

  test('over HTTP, from the rows', async () => {
    const queue = await stage.queue();
    await stage.create(queue, 111);
    await stage.one.api.complete((await stage.claim(queue))[0] ?? missing());
    await stage.sql.query(
      "UPDATE jobs SET started_at = finished_at - interval '2 s' WHERE queue = $1 AND finished_at IS NOT NULL",
      [queue],
    );
    const scale = await eventually(() =>
      stage.one.api
        .get<Record<string, number>>(`/queues/${queue}/scale?targetMs=20000&perRunner=2`)
        .then(({ body }) => body),
    );
    expect(scale).toMatchObject({ waiting: 110, running: 0, meanRunMs: 2000, wanted: 5 });
    expect(scale['oldestAgeMs']).toBeGreaterThan(0);
    expect((await stage.one.api.get('/queues/never-named/scale')).body).toMatchObject({ waiting: 0, wanted: 0 });
    expect(await stage.one.api.refusal('get', `/queues/${queue}/scale?targetMs=1`)).toEqual([400, 'validation_failed']);
  });
});

function missing(): never {
  throw new Error('missing');
}
