import { randomBytes } from 'node:crypto';
import type { Labels } from '@baton/runner-sdk/protocol';
import { eventually } from '../support/eventually';
import { Stage } from './stage';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
});
afterAll(() => stage.close());

test.each<[Labels, Labels, boolean]>([
  [{ region: 'eu' }, { region: 'eu', gpu: true }, true],
  [{ region: 'eu' }, { region: 'us' }, false],
  [{ region: 'eu' }, {}, false],
  [{ gpu: true }, { gpu: 'true' }, true],
  [{ memory: '>=40' }, { memory: 40 }, true],
  [{ memory: '>=40' }, { memory: 39.5 }, false],
  [{ memory: '>40' }, { memory: 40 }, false],
  [{ memory: '<=40' }, { memory: '40' }, true],
  [{ memory: '< 40' }, { memory: 9 }, true],
  [{ memory: '<40' }, { memory: 'much' }, false],
  [{ memory: '!=40' }, { memory: 41 }, true],
  [{ memory: '!=40' }, {}, false],
  [{ memory: '=40' }, { memory: 40 }, true],
  [{ memory: '>=40', region: 'eu' }, { memory: 80 }, false],
])('%j is met by %j: %s', async (requires, labels, isMet) => {
  const queue = await stage.queue();
  await stage.create(queue, 1, { requires });
  expect(await stage.claim(queue, 1, { labels }, stage.two)).toHaveLength(isMet ? 1 : 0);
});

test('a runner never gets a type, or a queue, that it did not name', async () => {
  const queue = await stage.queue();
  await stage.create(queue, 4, (n) => ({ type: ['work', 'work2', 'Work', 'wor'][n] ?? '' }));
  expect((await stage.claim(queue, 10)).map(({ type }) => type)).toEqual(['work']);
  const elsewhere = await stage.queue();
  await stage.create(elsewhere, 1);
  expect(await stage.claim(queue, 10)).toEqual([]);
});

test('what is preferred is met first; after five seconds others get the job', async () => {
  const queue = await stage.queue();
  const jobs = await stage.create(queue, 3, { prefers: { gpu: true } });
  expect(await stage.claim(queue, 1)).toEqual([]);
  expect(await stage.claim(queue, 1, { labels: { gpu: true } }, stage.two)).toHaveLength(1);
  await stage.sql.query(
    "UPDATE jobs SET run_at = run_at - interval '6 s', position = position - interval '6 s' WHERE id = $1",
    [jobs[1]?.id],
  );
  const late = await eventually(
    () => stage.claim(queue, 5),
    (claimed) => claimed.length > 0,
  );
  expect(late.map(({ id }) => id)).toEqual([jobs[1]?.id]);
});

test('preferring does not put a job before others for the runner that is preferred', async () => {
  const queue = await stage.queue();
  await stage.create(queue, 2, (n) => (n === 1 ? { prefers: { gpu: true } } : {}));
  expect(
    (await stage.claim(queue, 2, { labels: { gpu: true } })).map((job) => (job.arguments as { n: number }).n).sort(),
  ).toEqual([0, 1]);
});

test('labels may change with every claim', async () => {
  const queue = await stage.queue();
  await stage.create(queue, 2, (n) => ({ requires: { zone: n } }));
  for (const zone of [2, 1, 0]) {
    const claimed = await stage.claim(queue, 5, { labels: { zone } });
    expect(claimed.map((job) => (job.arguments as { n: number }).n)).toEqual(zone === 2 ? [] : [zone]);
  }
});

test('as many and as long labels as may be sent are met, whether they are required or preferred, on any coordinator', async () => {
  const queue = await stage.queue();
  const labels = Object.fromEntries(
    Array.from({ length: 50 }, (_, n) => [`${n}${randomBytes(90).toString('hex')}`, randomBytes(100).toString('hex')]),
  );
  await stage.create(queue, 2, (n) => (n === 0 ? { requires: labels } : { requires: labels, prefers: labels }));
  await stage.create(queue, 1, { requires: labels }, stage.two);
  // An empty answer comes after a poll, so both know of both lanes from here on.
  for (const on of stage.both) expect(await stage.claim(queue, 9, {}, on)).toEqual([]);
  expect(await stage.claim(queue, 9, { labels }, stage.two)).toHaveLength(3);
  expect(await stage.sql.count('lanes WHERE queue = $1', [queue])).toBe(2);
});
