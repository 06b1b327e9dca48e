import { BatonError, Client, defineJob } from '@baton/runner-sdk';
import { z } from 'zod';
import { startCoordinator } from '../support/coordinator';
import { uniqueType } from '../support/factory';

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
let client: Client;

beforeAll(async () => {
  coordinator = await startCoordinator();
  client = new Client({ coordinatorUrl: coordinator.url, apiKey: coordinator.adminKey });
});
afterAll(async () => {
  await client.close();
  await coordinator.stop();
});

const square = defineJob({ type: uniqueType('square'), arguments: z.object({ n: z.number() }), queue: 'squares' });

async function workAll(type: string, queue: string): Promise<void> {
  const { api } = coordinator;
  for (;;) {
    const jobs = await api.claim({ runnerId: 'r', types: [type], queues: [queue], max: 500 });
    if (jobs.length === 0) return;
    const completions = jobs.map(({ id, leaseToken, arguments: args }) => ({
      jobId: id,
      leaseToken,
      outcome: 'completed',
      result: (args as { n: number }).n ** 2,
    }));
    await api.post('/jobs/complete', { completions });
  }
}

test('creates more jobs than a call takes, each once, and gives their results back in order', async () => {
  const list = Array.from({ length: 2300 }, (_, n) => ({ n }));
  const options = { name: 'squares', idempotencyKey: uniqueType('key'), jobs: { tags: ['all'] } };
  const batch = await client.batches.create(square, list, options);
  expect([batch.counts.total, batch.sealed, new Set(batch.jobIds).size]).toEqual([2300, true, 2300]);
  // Made again, as after a crash in between: nothing is made twice.
  expect((await client.batches.create(square, list, options)).jobIds).toEqual(batch.jobIds);
  expect(await client.get(batch.jobIds[2299] ?? '')).toMatchObject({
    queue: 'squares',
    tags: ['all'],
    arguments: { n: 2299 },
  });
  const waited = client.batches.wait(batch.id);
  await workAll(square.type, 'squares');
  expect(await waited).toMatchObject({ status: 'completed', percent: 100 });
  const results = [];
  for await (const { result } of client.batches.results(batch.id)) results.push(result);
  expect(results).toEqual(list.map(({ n }) => n ** 2));
});

test('sends parts of few large jobs, and makes none twice when it is called again', async () => {
  const type = uniqueType('large');
  const list = Array.from({ length: 60 }, (_, n) => ({ n, text: 'x'.repeat(200_000) }));
  const options = { idempotencyKey: uniqueType('key') };
  const batch = await client.batches.create(type, list, options);
  expect([batch.counts.total, batch.jobIds.length]).toEqual([60, 60]);
  const again = await client.batches.create(type, list, options);
  expect([again.counts.total, again.jobIds]).toEqual([60, batch.jobIds]);
});

test('checks arguments before anything is sent, and tells what a wait came to', async () => {
  const before = await coordinator.sql.count('batches');
  const wrong = client.batches.create(square, [{ n: 1 }, { n: 'x' as never }]);
  await expect(wrong).rejects.toMatchObject({ code: 'invalid_arguments', errors: [{ path: '1.n' }] });
  expect(await coordinator.sql.count('batches')).toBe(before);
  const { id } = await client.batches.open({ name: 'open' });
  await client.batches.add(id, square, [{ n: 3 }]);
  await expect(client.batches.wait(id, { timeoutMs: 1 })).rejects.toMatchObject({ code: 'wait_timeout' });
  expect((await client.batches.list({ name: 'open' })).items.map((one) => one.id)).toEqual([id]);
  expect((await client.batches.cancel(id, 'enough')).reason).toBe('enough');
  expect((await client.batches.wait(id)).status).toBe('cancelled');
  await expect(client.batches.retry(id)).rejects.toThrow(BatonError);
});

test('cuts a list into parts', async () => {
  const type = uniqueType('part');
  const batch = await client.batches.split(type, [1, 2, 3], {
    batchSize: 2,
    queue: 'parts',
    onComplete: { type: 'sum' },
  });
  expect([batch.counts.total, batch.callbacks]).toEqual([2, { onComplete: null }]);
  expect((await client.get(batch.jobIds[1] ?? '')).arguments).toEqual({ items: [3], index: 1 });
});
