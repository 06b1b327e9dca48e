import { z } from 'zod';
import { Client, defineJob } from '@baton/runner-sdk';
import { FakeCoordinator } from './fake-coordinator';

// What a client makes of answers of success that are not the coordinator's.

const count = defineJob({ type: 'COUNT', arguments: z.int(), result: z.int() });

let coordinator: FakeCoordinator;
let client: Client;

beforeEach(async () => {
  coordinator = await FakeCoordinator.start();
  client = new Client({ coordinatorUrl: coordinator.url, apiKey: 'key' });
});

afterEach(async () => {
  await client.close();
  await coordinator.stop();
});

it.each([
  ['an object', {}],
  ['null', null],
  ['a text', 'sorry'],
])("sends a create again that %s answered with status 200, which is not the coordinator's", async (_name, body) => {
  coordinator.script('POST /jobs', { status: 200, body });
  coordinator.script('POST /jobs/bulk', { status: 200, body });
  expect((await client.create(count, 1)).id).toBe('job-1');
  expect((await Promise.all([client.create(count, 2), client.create(count, 3)])).map(({ id }) => id)).toEqual([
    'job-2',
    'job-3',
  ]);
  coordinator.script('POST /jobs/bulk', { status: 200, body });
  expect((await client.createMany(count, [4, 5])).map(({ id }) => id)).toEqual(['job-4', 'job-5']);
});

it.each([
  [301, '<html>'],
  [200, {}],
])("says with which status %i something was answered that is not the coordinator's", async (status, body) => {
  const hasty = new Client({ coordinatorUrl: coordinator.url, apiKey: 'key', budgetMs: 0 });
  coordinator.script('POST /jobs/bulk', { status, body });
  const detail = `POST /jobs/bulk was answered with status ${status} and no "jobs"; is this a Baton coordinator?`;
  await expect(hasty.createMany(count, [1])).rejects.toMatchObject({ code: 'unexpected_reply', status, detail });
  await hasty.close();
});
