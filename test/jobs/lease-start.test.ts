import { randomUUID } from 'node:crypto';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

// A lease lasts from when its job was claimed, however long the transaction waited for locks before.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator()));
afterAll(() => coordinator.stop());

const clock = async (): Promise<number> =>
  +(await coordinator.sql.one<{ at: Date }>('SELECT clock_timestamp() AS at')).at;

test('of a job that is handed over while its unique key is locked', async () => {
  const type = uniqueType();
  const answer = coordinator.api.claim({ runnerId: 'waits', types: [type], waitMs: 20_000, leaseMs: 10_000 });
  await eventually(() => coordinator.app.services.dispatcher.size === 1);
  await coordinator.api.claim({ runnerId: 'looks', types: [uniqueType()] });
  const session = await coordinator.sql.session();
  const name = `baton/${JSON.stringify(['unique', type, 'u', ''])}`;
  await session.query({ text: 'SELECT pg_advisory_lock(hashtextextended($1, 8271))', values: [name] });
  const creating = coordinator.api.create({ type, uniqueKey: 'u', timeoutMs: 20_000 });
  await session.hasWaiter();
  const at = await clock();
  await session.query({ text: 'SELECT pg_advisory_unlock(hashtextextended($1, 8271))', values: [name] });
  const { id } = await creating;
  const [claimed] = await answer;
  const job = await coordinator.api.job(id);
  // It was handed over.
  expect([claimed?.id, job.updatedAt]).toEqual([id, job.createdAt]);
  expect(Date.parse(job.startedAt ?? '')).toBeGreaterThanOrEqual(at);
  expect(Date.parse(claimed?.leaseExpiresAt ?? '') - Date.parse(job.startedAt ?? '')).toBe(10_000);
  expect(Date.parse(claimed?.deadlineAt ?? '') - Date.parse(job.startedAt ?? '')).toBe(25_000);
  await session.end();
});

test('of a job that is claimed while the limits of its queue are locked', async () => {
  const [type, queue] = [uniqueType(), randomUUID()];
  expectStatus(await coordinator.api.call('put', `/queues/${queue}`, { json: { concurrency: 5 } }), 200);
  const session = await coordinator.sql.session();
  await session.begin();
  await session.query({ text: 'SELECT FROM queues WHERE name = $1 FOR UPDATE', values: [queue] });
  const { id } = await coordinator.api.create({ type, queue, timeoutMs: 20_000 });
  const answer = coordinator.api.claim({ runnerId: 'waits', types: [type], waitMs: 20_000, leaseMs: 10_000 });
  await session.hasWaiter();
  const at = await clock();
  await session.commit();
  const [claimed] = await answer;
  const { startedAt } = await coordinator.api.job(id);
  expect(Date.parse(startedAt ?? '')).toBeGreaterThanOrEqual(at);
  expect(Date.parse(claimed?.leaseExpiresAt ?? '') - Date.parse(startedAt ?? '')).toBe(10_000);
  expect(Date.parse(claimed?.deadlineAt ?? '') - Date.parse(startedAt ?? '')).toBe(25_000);
  await session.end();
});
