import { Stage } from '../flow/stage';
import { eventually } from '../support/eventually';
import { mostOver, Witness } from './witness';

let stage: Stage;
let witness: Witness;
beforeAll(async () => {
  stage = await Stage.open();
  witness = await Witness.install(stage.sql);
});
afterAll(() => stage.close());

const MONTH_MS = 30 * 86_400_000;

test('two coordinators never start more than the bucket holds and its refill, and start all of that', async () => {
  const [max, perMs, count] = [10, 500, 30];
  const queue = await stage.queue({ rateLimit: { max, perMs } });
  await stage.create(queue, count, (n) => ({ type: n % 2 === 0 ? 'work' : 'other', priority: n % 3 }));
  let started = 0;
  const runner = async (on: number): Promise<void> => {
    while (started < count) {
      const jobs = await stage.claim(queue, 7, { types: ['work', 'other'], waitMs: 500 }, stage.both[on % 2]);
      started += jobs.length;
    }
  };
  await Promise.all([0, 1, 2, 3].map(runner));
  const starts = await witness.starts(queue);
  expect(starts).toHaveLength(count);
  // A start is witnessed a moment after the bucket was looked at.
  expect(mostOver(starts, { max, perMs })).toBeLessThanOrEqual(1);
});

test('lanes of one queue share one bucket', async () => {
  const queue = await stage.queue({ rateLimit: { max: 10, perMs: MONTH_MS } });
  await stage.create(queue, 60, (n) => ({ type: n % 2 === 0 ? 'work' : 'other', priority: n % 3 }));
  const types = ['work', 'other'];
  expect(await stage.claim(queue, 4, { types })).toHaveLength(4);
  expect(await stage.claim(queue, 40, { types })).toHaveLength(6);
  expect(await stage.claim(queue, 40, { types }, stage.two)).toEqual([]);
});

test('a changed limit starts with a full bucket; the same limit set again gives nothing more', async () => {
  const queue = await stage.queue({ rateLimit: { max: 3, perMs: MONTH_MS } });
  await stage.create(queue, 30);
  expect(await stage.claim(queue, 30)).toHaveLength(3);
  await stage.set(queue, { rateLimit: { max: 3, perMs: MONTH_MS } });
  await stage.set(queue, { concurrency: 100 });
  expect(await stage.claim(queue, 30)).toEqual([]);
  await stage.set(queue, { rateLimit: { max: 5, perMs: MONTH_MS } }, stage.two);
  expect(await stage.claim(queue, 30)).toHaveLength(5);
  await stage.set(queue, { rateLimit: null });
  expect(await stage.claim(queue, 30)).toHaveLength(22);
});

test('jobs that come back count again, and the bucket recovers by the clock', async () => {
  const queue = await stage.queue({ rateLimit: { max: 2, perMs: MONTH_MS } });
  await stage.create(queue, 5);
  const [job] = await stage.claim(queue, 1);
  if (job === undefined) throw new Error('nothing claimed');
  await stage.one.api.post(`/jobs/${job.id}/release`, { leaseToken: job.leaseToken });
  expect(await stage.claim(queue, 5)).toHaveLength(1);
  expect(await stage.claim(queue, 5)).toEqual([]);
  await stage.sql.query("UPDATE queues SET tokens_at = tokens_at - interval '400 hours' WHERE name = $1", [queue]);
  expect(
    await eventually(
      () => stage.claim(queue, 5),
      (jobs) => jobs.length > 0,
    ),
  ).toHaveLength(1);
  await stage.sql.query("UPDATE queues SET tokens_at = tokens_at - interval '9000 hours' WHERE name = $1", [queue]);
  expect(
    await eventually(
      () => stage.claim(queue, 5),
      (jobs) => jobs.length > 0,
    ),
  ).toHaveLength(2);
});
