import type { Workflow } from '@baton/runner-sdk/protocol';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

// A workflow is kept, and goes, whole.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => {
  coordinator = await startCoordinator();
});
afterAll(() => coordinator.stop());

const make = async (jobs: Record<string, unknown>): Promise<Workflow> =>
  expectStatus(await coordinator.api.post<Workflow>('/workflows', { name: 'kept', jobs }), 201);
const read = (id: string) => coordinator.api.get<Workflow>(`/workflows/${id}`);
const statusIs = (id: string, status: string) =>
  eventually(
    () => read(id),
    ({ body }) => body.status === status,
  );
const age = async (id: string) => {
  await coordinator.sql.query("UPDATE workflows SET finished_at = now() - interval '1 year' WHERE id = $1", [id]);
  await coordinator.sql.query(
    "UPDATE jobs SET finished_at = now() - interval '1 year' WHERE workflow_id = $1 AND finished_at IS NOT NULL",
    [id],
  );
};

async function end(type: string, outcome: 'completed' | 'failed'): Promise<void> {
  const claimed = await coordinator.api.claimOne({ runnerId: 'r', types: [type], waitMs: 10_000 });
  const error = { message: 'no', retryable: false };
  expectStatus(
    await coordinator.api.complete(claimed, outcome === 'completed' ? { outcome } : { outcome, error }),
    200,
  );
}

test('it stays while an unfinished job needs one of its jobs, and then goes with all of them', async () => {
  const type = uniqueType();
  const { id, jobs } = await make({ ok: { gate: {} }, a: { type, dependsOn: ['ok'] }, b: { type, dependsOn: ['a'] } });
  expectStatus(await coordinator.api.post(`/workflows/${id}/gates/ok`, { outcome: 'opened' }), 200);
  await end(type, 'completed');
  await end(type, 'completed');
  await statusIs(id, 'completed');
  const dependsOn = [jobs['a']?.id ?? ''];
  const child = await coordinator.api.create({ type: `${type}-child`, dependsOn, delayMs: 3_600_000 });
  await age(id);
  await coordinator.app.loops.retention.runOnce();
  expect(expectStatus(await read(id), 200).counts.total).toBe(3);
  expectStatus(await coordinator.api.post(`/jobs/${child.id}/cancel`), 200);
  await coordinator.app.loops.retention.runOnce();
  expect((await read(id)).status).toBe(404);
  expect(await coordinator.sql.count('jobs WHERE workflow_id = $1', [id])).toBe(0);
});

test('one that was retried meanwhile, or whose jobs are locked, stays whole', async () => {
  const type = uniqueType();
  const { id, jobs } = await make({ a: { type }, b: { type, dependsOn: ['a'] } });
  await end(type, 'failed');
  await statusIs(id, 'failed');
  await age(id);
  const session = await coordinator.sql.session();
  await session.begin();
  await session.query({ text: 'SELECT FROM jobs WHERE id = $1 FOR UPDATE', values: [jobs['b']?.id] });
  await coordinator.app.loops.retention.runOnce();
  expect(expectStatus(await read(id), 200).counts.total).toBe(2);
  await session.rollback();
  await session.end();
  expectStatus(await coordinator.api.post(`/workflows/${id}/retry`), 200);
  await coordinator.app.loops.retention.runOnce();
  expect(expectStatus(await read(id), 200)).toMatchObject({ status: 'running', counts: { pending: 1, blocked: 1 } });
});
