import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

// A lease lasts from when its job was claimed, however long the transaction waited for locks before.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator()));
afterAll(() => coordinator.stop());

const clock = async (): Promise<number> => +(await coordinator.sql.one<{ at: Date }>('SELECT clock_timestamp() AS at')).at;

test('of a job that is handed over while its unique key is locked', async () => {
  const type = uniqueType();
  const answer = coordinator.api.claim({ runnerId: 'waits', types: [type], waitMs: 20_000, leaseMs: 1000 });
  await eventually(() => coordinator.app.desk.claims.size === 1);
  await coordinator.api.claim({ runnerId: 'looks', types: [uniqueType()] });
  const session = await coordinator.sql.session();
  const name = JSON.stringify(['unique', type, 'u', '']);
  await session.query({ text: 'SELECT pg_advisory_lock(hashtextextended($1, 8271))', values: [name] });
  const creating = coordinator.api.create({ type, uniqueKey: 'u', timeoutMs: 2000 });
  await session.hasWaiter();
  const at = await clock();
  await session.query({ text: 'SELECT pg_advisory_unlock(hashtextextended($1, 8271))', values: [name] });
  const { id } = await creating;
  const [claimed] = await answer;
  const job = await coordinator.api.job(id);
  // It was handed over.
  expect([claimed?.id, job.updatedAt]).toEqual([id, job.createdAt]);
  expect(Date.parse(job.startedAt ?? '')).toBeGreaterThanOrEqual(at);
  expect(Date.parse(claimed?.leaseExpiresAt ?? '') - Date.parse(job.startedAt ?? '')).toBe(1000);
  expect(Date.parse(claimed?.deadlineAt ?? '') - Date.parse(job.startedAt ?? '')).toBe(2500);
  await session.end();
});
