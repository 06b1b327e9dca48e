import type { CreatedJob } from '@baton/runner-sdk/protocol';
import { expectStatus } from '../support/api';
import { Stage } from '../flow/stage';

// A field of a create that has no effect with its queue's settings is told with the answer, in words that say what to
// do.

let stage: Stage;
beforeAll(async () => (stage = await Stage.open()));
afterAll(() => stage.close());

const create = async (job: object): Promise<CreatedJob> =>
  expectStatus(await stage.one.api.post<CreatedJob>('/jobs', { type: 'work', ...job }), 201);
const codesOf = ({ notes }: Pick<CreatedJob, 'notes'>) => (notes ?? []).map(({ code }) => code);

test('a concurrencyKey that limits nothing is told, until its queue has a limit for each key', async () => {
  const queue = await stage.queue();
  const { notes } = await create({ queue, concurrencyKey: 'tenant' });
  expect(notes).toEqual([
    {
      code: 'concurrency_key_unlimited',
      message: `The concurrencyKey limits nothing, because the queue ${queue} has no concurrencyPerKey and no keyRateLimit. Set one with PUT /queues/${queue} {"concurrencyPerKey": 1}.`,
    },
  ]);
  const limited = await stage.queue({ concurrencyPerKey: 1 });
  expect(codesOf(await create({ queue: limited, concurrencyKey: 'tenant' }))).toEqual([]);
  expect(codesOf(await create({ queue }))).toEqual([]);
});

test('a job that a limit for each user does not count, because it is no user’s, is told', async () => {
  const queue = await stage.queue({ userRateLimit: { max: 10, perMs: 60_000 } });
  expect(codesOf(await create({ queue }))).toEqual(['user_not_counted']);
  expect(codesOf(await create({ queue, userId: 'ann' }))).toEqual([]);
});

test('in a list each job has its own notes, and a repeated call tells them too', async () => {
  const queue = await stage.queue();
  const jobs = [
    { type: 'work', queue, concurrencyKey: 'k' },
    { type: 'work', queue },
  ];
  const { body } = await stage.one.api.post<{ jobs: CreatedJob[] }>('/jobs/bulk', { jobs });
  expect(body.jobs.map(codesOf)).toEqual([['concurrency_key_unlimited'], []]);
  const again = { headers: { 'idempotency-key': `notes-${queue}` } };
  const job = { type: 'work', queue, concurrencyKey: 'k' };
  const [first, second] = [
    await stage.one.api.post<CreatedJob>('/jobs', job, again),
    await stage.one.api.post<CreatedJob>('/jobs', job, again),
  ];
  expect([first.status, second.status, second.body.id]).toEqual([201, 200, first.body.id]);
  expect(codesOf(second.body)).toEqual(['concurrency_key_unlimited']);
});
