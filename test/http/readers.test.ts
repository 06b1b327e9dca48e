import type { Problem } from '@baton/runner-sdk/protocol';
import { expectStatus } from '../support/api';
import { startCoordinator } from '../support/coordinator';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';

// Readers have connections of their own and a share of them each, so that reads that are stuck keep nobody else
// waiting.

let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
beforeAll(async () => {
  coordinator = await startCoordinator({ poolSize: 10 });
});
afterAll(() => coordinator.stop());

const READING =
  "pg_stat_activity WHERE datname = current_database() AND application_name = 'baton' AND query LIKE '%FROM audit_log%' AND wait_event_type = 'Lock'";

/** Whatever reads the audit waits until it is released. */
async function lockAudit() {
  const session = await coordinator.sql.session();
  await session.begin();
  await session.query({ text: 'LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE' });
  return session;
}

test('stuck reads of one key keep neither other keys nor the life of jobs waiting', async () => {
  const { api, sql } = coordinator;
  const [ann, bob] = await Promise.all(
    ['ann', 'bob'].map(async (userId) => api.as(await api.makeKey({ name: userId, role: 'admin' }))),
  );
  const session = await lockAudit();
  try {
    let answered = 0;
    const stuck = Array.from({ length: 5 }, async () => {
      const answer = await ann?.get<Problem>('/audit');
      answered += 1;
      return answer;
    });
    // Its share of two, of which the other stays free.
    await eventually(
      () => sql.count(READING),
      (count) => count === 1,
    );
    const type = uniqueType();
    expect((await api.get('/readyz')).status).toBe(200);
    const { id } = await api.create({ type });
    const job = await api.claimOne({ runnerId: 'r', types: [type] });
    expect((await api.post(`/jobs/${id}/heartbeat`, { leaseToken: job.leaseToken })).status).toBe(200);
    expect((await api.complete(job)).status).toBe(200);
    expect(await coordinator.app.loops.monitor.runOnce()).toBe(false);
    expect((await bob?.get('/jobs'))?.status).toBe(200);
    expect((await api.get('/queues')).status).toBe(200);
    expect(await sql.count(READING)).toBe(1);
    expect(answered).toBe(0);

    const answers = await Promise.all(stuck);
    expect(new Set(answers.map((answer) => answer?.status))).toEqual(new Set([503, 429]));
    const stopped = answers.find((answer) => answer?.status === 503);
    expect(stopped?.body).toMatchObject({
      code: 'unavailable',
      detail: expect.stringMatching(/stopped.*Narrow/) as string,
    });
    expect(stopped?.headers['retry-after']).toBe('5');
  } finally {
    await session.rollback();
    await session.end();
  }
});

test('stuck changes of one key keep neither changes of others nor the coordinator itself waiting', async () => {
  const { api, sql, app } = coordinator;
  const [ann, bob] = await Promise.all(
    ['ann', 'bob'].map(async (userId) => api.as(await api.makeKey({ name: userId, role: 'user', userId }))),
  );
  if (ann === undefined || bob === undefined) throw new Error('two keys were wanted');
  const { id } = expectStatus(
    await ann.post<{ id: string }>('/webhooks', { url: 'https://example.com', events: ['job.completed'] }),
    201,
  );
  const session = await sql.session();
  await session.begin();
  await session.query({ text: 'SELECT FROM webhooks WHERE id = $1 FOR UPDATE', values: [id] });
  const waiting = () =>
    sql.count(
      "pg_stat_activity WHERE datname = current_database() AND application_name = 'baton' AND wait_event_type = 'Lock'",
    );
  const stuck = Array.from({ length: 8 }, () =>
    ann.call<Problem>('patch', `/webhooks/${id}`, { json: { events: ['job.failed'] } }),
  );
  try {
    // Its share of two; the other is for other keys, and the third for what no caller asked for.
    await eventually(waiting, (count) => count === 1);
    const job = await bob.create({ type: uniqueType(), delayMs: 60_000 });
    expect((await bob.post(`/jobs/${job.id}/cancel`)).status).toBe(200);
    expect((await bob.post('/jobs/cancel', { filter: { id: job.id } })).status).toBe(200);
    expect((await api.get('/readyz')).status).toBe(200);
    expect(await app.loops.monitor.runOnce()).toBe(false);
    expect(await waiting()).toBe(1);
    const refused = await Promise.any(
      stuck.map(async (call) => {
        const answer = await call;
        if (answer.status !== 429) throw new Error(String(answer.status));
        return answer;
      }),
    );
    expect(refused.body.detail).toMatch(/changes/);
  } finally {
    await session.rollback();
    await session.end();
  }
  const statuses = (await Promise.all(stuck)).map(({ status }) => status);
  expect(new Set(statuses)).toEqual(new Set([200, 429]));
});

test('a read ends in the database when its client has gone', async () => {
  const { api, sql } = coordinator;
  const session = await lockAudit();
  try {
    const leaving = new AbortController();
    const call = api.call('get', '/audit', { signal: leaving.signal });
    const [{ pid } = { pid: 0 }] = await eventually(
      () => sql.query<{ pid: number }>(`SELECT pid FROM ${READING}`),
      (rows) => rows.length === 1,
    );
    leaving.abort();
    await expect(call).rejects.toThrow();
    // Long before its time would be up, and by being cancelled: the lock is still held.
    await eventually(
      () => sql.count('pg_stat_activity WHERE pid = $1 AND wait_event_type = $2', [pid, 'Lock']),
      (n) => n === 0,
      3000,
    );
    expect(coordinator.logged.filter(({ level }) => level === 'error')).toEqual([]);
  } finally {
    await session.rollback();
    await session.end();
  }
  expect((await api.get('/audit')).status).toBe(200);
});
