import { randomUUID } from 'node:crypto';
import type { AuditEntry, CreatedApiKey } from '@baton/runner-sdk/protocol';
import { audited } from '../../coordinator/domain/audit/record';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { jobIn, uniqueType } from '../support/factory';

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => (coordinator = await startCoordinator()));
afterAll(() => coordinator.stop());

async function audit(query = ''): Promise<AuditEntry[]> {
  return expectStatus(await coordinator.api.get<{ items: AuditEntry[] }>(`/audit${query}`), 200).items;
}

const told = async (target: string) =>
  (await audit(`?target=${encodeURIComponent(target)}`)).map(({ action, details }) => ({ action, details }));
const put = (path: string, json: unknown) => coordinator.api.call('put', path, { json });

describe('the audit', () => {
  test('tells who cancelled, retried, edited and deleted which job', async () => {
    const made = expectStatus(
      await coordinator.api.post<CreatedApiKey>('/api-keys', { name: 'operator', role: 'producer' }),
      201,
    );
    const operator = coordinator.api.as(made.key);
    const { job } = await jobIn('pending', coordinator);
    expectStatus(await operator.patch(`/jobs/${job.id}`, { priority: 5 }), 200);
    expectStatus(await operator.post(`/jobs/${job.id}/run-now`), 200);
    expectStatus(await operator.post(`/jobs/${job.id}/cancel`, { reason: 'wrong' }), 200);
    expectStatus(await operator.post(`/jobs/${job.id}/retry`), 200);
    expectStatus(await operator.delete(`/jobs/${job.id}`), 200);
    expectStatus(await coordinator.api.delete(`/jobs/${job.id}?purge=true`), 204);
    expect(await told(job.id)).toEqual([
      { action: 'job.deleted', details: {} },
      { action: 'job.cancelled', details: { reason: null } },
      { action: 'job.retried', details: {} },
      { action: 'job.cancelled', details: { reason: 'wrong' } },
      { action: 'job.edited', details: { runNow: true } },
      { action: 'job.edited', details: { priority: 5 } },
    ]);
    const [, cancelled] = await audit(`?target=${job.id}`);
    expect(cancelled?.by).toEqual({
      keyId: made.id,
      name: 'operator',
      role: 'producer',
      userId: null,
      address: expect.stringContaining('127.0.0.1') as string,
    });
    expect((await audit(`?keyId=${made.id}`)).length).toBe(5);
  });

  test('tells of verbs over many jobs, now and in the background', async () => {
    const type = uniqueType();
    const ids = await Promise.all([1, 2, 3].map(async () => (await coordinator.api.create({ type })).id));
    expectStatus(await coordinator.api.post('/jobs/cancel', { filter: { type: [type] } }), 200);
    const [now] = await audit('?action=jobs.cancelled');
    expect([...(now?.details['jobs'] as string[])].sort()).toEqual(ids.sort());
    const { id } = expectStatus(
      await coordinator.api.post<{ id: string }>('/jobs/retry', {
        filter: { type: [type], arguments: { secret: 'hush' } },
        background: true,
      }),
      202,
    );
    expect(await told(id)).toEqual([
      { action: 'bulk.requested', details: { verb: 'retry', filter: { type: [type] }, matched: 0 } },
    ]);
    const later = expectStatus(
      await coordinator.api.post<{ id: string }>('/jobs/retry', { filter: { type: [type] }, background: true }),
      202,
    );
    await eventually(async () => (await audit('?action=jobs.retried')).length === 1);
    const [retried] = await audit('?action=jobs.retried');
    expect(retried?.by.keyId).toBe('configured');
    expect(await told(later.id)).toHaveLength(1);
  });

  test('tells of keys, queues, runners and sessions', async () => {
    const queue = uniqueType('queue');
    expectStatus(await put(`/queues/${queue}`, { concurrency: 3 }), 200);
    expectStatus(await coordinator.api.post(`/queues/${queue}/pause`, { reason: 'night' }), 200);
    expectStatus(await coordinator.api.post(`/queues/${queue}/resume`), 200);
    expect((await told(queue)).map(({ action }) => action)).toEqual(['queue.resumed', 'queue.paused', 'queue.set']);
    const runnerId = uniqueType('runner');
    await coordinator.api.claim({ runnerId, types: ['none'] });
    expectStatus(await coordinator.api.post(`/runners/${runnerId}/drain`), 200);
    expectStatus(await coordinator.api.post(`/runners/${runnerId}/resume`), 200);
    expect((await told(runnerId)).map(({ action }) => action)).toEqual(['runner.resumed', 'runner.drained']);
    const key = expectStatus(
      await coordinator.api.post<CreatedApiKey>('/api-keys', { name: 'seen', role: 'viewer' }),
      201,
    );
    expectStatus(await coordinator.api.as(null).post('/session', { apiKey: key.key }), 201);
    expectStatus(await coordinator.api.post(`/api-keys/${key.id}/rotate`, {}), 201);
    expectStatus(await coordinator.api.delete(`/api-keys/${key.id}`), 200);
    expect((await told(key.id)).map(({ action }) => action)).toEqual([
      'key.revoked',
      'key.rotated',
      'session.opened',
      'key.created',
    ]);
    expect(JSON.stringify(await audit('?limit=500'))).not.toContain(key.key.split('_')[2]);
  });

  test('says nothing of what was refused, of runners at work, and of creates', async () => {
    const before = (await audit('?limit=500')).length;
    expectStatus(await coordinator.api.post(`/jobs/${randomUUID()}/cancel`, {}), 404);
    await jobIn('completed', coordinator);
    await jobIn('failed', coordinator);
    expect(await audit('?limit=500')).toHaveLength(before);
  });

  test('stands or falls with the act', async () => {
    const { context } = coordinator.app;
    const { job } = await jobIn('pending', coordinator);
    const by = { keyId: 'k', keyName: 'k', role: 'admin' as const, userId: null, address: '', requestId: '' };
    const act = audited(
      context,
      by,
      () => Promise.resolve(null),
      () => {
        throw new Error('the entry cannot be made');
      },
    );
    await expect(act).rejects.toThrow('cannot be made');
    await coordinator.sql.query(
      "ALTER TABLE audit_log ADD CONSTRAINT no_cancel CHECK (action <> 'job.cancelled') NOT VALID",
    );
    expect((await coordinator.api.post(`/jobs/${job.id}/cancel`, {})).status).toBe(500);
    expect((await coordinator.api.job(job.id)).status).toBe('pending');
    await coordinator.sql.query('ALTER TABLE audit_log DROP CONSTRAINT no_cancel');
  });

  test('is read in pages, by filters, by admins alone', async () => {
    const seen: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const answer: { items: AuditEntry[]; nextCursor: string | null } = expectStatus(
        await coordinator.api.get(`/audit?limit=3${cursor === '' ? '' : `&cursor=${cursor}`}`),
        200,
      );
      seen.push(...answer.items.map(({ id }) => id));
      cursor = answer.nextCursor;
    }
    expect(seen).toEqual((await audit('?limit=500')).map(({ id }) => id));
    expect([...seen].sort().reverse()).toEqual(seen);
    expect(await audit('?before=2001-01-01T00:00:00Z')).toEqual([]);
    expect(await audit('?after=2001-01-01T00:00:00Z&limit=500')).toHaveLength(seen.length);
    expect(await coordinator.api.refusal('get', '/audit?action=nothing')).toEqual([400, 'validation_failed']);
    const viewer = coordinator.api.as(await coordinator.api.makeKey({ name: 'viewer', role: 'viewer' }));
    expect(await viewer.refusal('get', '/audit')).toEqual([403, 'forbidden']);
  });
});
