import type { CreatedApiKey, CreateApiKey, Job, Problem, Schedule } from '@baton/runner-sdk/protocol';
import { type Api, expectStatus } from '../support/api';
import { TestEventSource } from '../support/event-source';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';
import { Stage } from './stage';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
});
afterAll(() => stage.close());

async function keyFor(wanted: CreateApiKey): Promise<CreatedApiKey & { api: Api }> {
  const made = expectStatus(await stage.api.post<CreatedApiKey>('/api-keys', wanted), 201);
  return { ...made, api: stage.api.as(made.key) };
}

async function tick(
  id: string,
): Promise<{ outcome: string; reason: string | null; message: string | null } | undefined> {
  await stage.makeDue(id);
  await stage.fire();
  const { outcome, reason, message } = (await stage.ticks(id)).at(-1) ?? { outcome: '', reason: null, message: null };
  return { outcome, reason, message };
}

describe('the job of a schedule', () => {
  it('is created with the rights of the key that set it', async () => {
    const { api } = await keyFor({ name: 'scoped', role: 'producer', queues: ['mails'], types: ['send', 'digest'] });
    const wanted = { name: uniqueType(), cron: '@daily', job: { type: 'send', queue: 'other' } };
    expect(await api.refusal('post', '/schedules', wanted)).toEqual([403, 'forbidden']);
    expect(await api.refusal('put', '/schedules', wanted)).toEqual([403, 'forbidden']);
    const { id } = await stage.create({ job: { type: 'digest', queue: 'mails' } }, api);
    expect(await api.refusal('patch', `/schedules/${id}`, { job: { type: 'other', queue: 'mails' } })).toEqual([
      403,
      'forbidden',
    ]);
    expect(await tick(id)).toMatchObject({ outcome: 'created' });
  });

  it('is seen by a limited key only within its queues and types', async () => {
    const { api } = await keyFor({ name: 'scoped', role: 'producer', queues: ['mails'] });
    const queue = uniqueType();
    const { id, name } = await stage.create({ job: { type: 'digest', queue } });
    for (const [method, path] of [
      ['get', ''],
      ['patch', ''],
      ['delete', ''],
      ['post', '/pause'],
      ['post', '/resume'],
      ['post', '/run'],
      ['post', '/backfill'],
      ['get', '/next'],
      ['get', '/ticks'],
    ] as const) {
      const body = { patch: { jitterMs: 1 }, post: path === '/backfill' ? PAST : path === '/pause' ? {} : undefined };
      expect([
        path,
        await api.refusal(method, `/schedules/${id}${path}`, method in body ? body[method as 'patch'] : undefined),
      ]).toEqual([path, [404, 'not_found']]);
    }
    expect((await api.get<{ items: Schedule[] }>(`/schedules?queue=${queue}`)).body.items).toEqual([]);
    expect(
      await api.refusal('put', '/schedules', { name, cron: '@daily', job: { type: 'a', queue: 'mails' } }),
    ).toEqual([409, 'name_taken']);
  });

  it('belongs to the user of the key, or to the one that it names', async () => {
    const { api } = await keyFor({ name: 'ann', role: 'user', userId: 'ann' });
    const own = await stage.create({}, api);
    expect(own).toMatchObject({ userId: 'ann', job: { userId: 'ann' } });
    await tick(own.id);
    expect(await stage.jobs(own.id)).toMatchObject([{ userId: 'ann' }]);
    const given = await stage.create({ job: { type: 'a', userId: 'ann' } });
    expect((await api.get<Schedule>(`/schedules/${given.id}`)).body.id).toBe(given.id);
    const others = await stage.create({ job: { type: 'a', userId: 'ben' } });
    expect(await api.refusal('get', `/schedules/${others.id}`)).toEqual([404, 'not_found']);
    const wanted = { name: uniqueType(), cron: '@daily', job: { type: 'a', userId: 'ben' } };
    expect(await api.refusal('post', '/schedules', wanted)).toEqual([403, 'forbidden']);
  });
});

const PAST = { from: '2026-01-01T00:00:00Z', to: '2026-01-01T00:00:00Z' };

describe('a tick whose job cannot be created', () => {
  it('is refused when the key was revoked, and told; setting the job with another key mends it', async () => {
    const { api, id: keyId } = await keyFor({ name: 'leaver', role: 'user', userId: 'dora' });
    const schedule = await stage.create({ everyMs: 60_000 }, api);
    const events = await TestEventSource.open(
      `${stage.first.url}/events?userId=dora`,
      await stage.api.makeKey({ name: 'v', role: 'viewer' }),
    );
    try {
      await stage.api.delete(`/api-keys/${keyId}`);
      expect(await tick(schedule.id)).toMatchObject({ outcome: 'refused', reason: 'key_revoked' });
      expect(await stage.jobs(schedule.id)).toEqual([]);
      expect((await stage.read(schedule.id)).status).toBe('active');
      const frame = await eventually(
        () => events.frames.find(({ event }) => event === 'schedule.refused'),
        (found) => found !== undefined,
      );
      expect(frame?.data).toMatchObject({
        userId: 'dora',
        details: { scheduleId: schedule.id, schedule: schedule.name, reason: 'key_revoked' },
      });
    } finally {
      events.close();
    }
    expect(stage.first.logged.some(({ level, message }) => level === 'warn' && message === 'schedule.refused')).toBe(
      true,
    );
    for (const [path, body] of [
      ['run', undefined],
      ['backfill', PAST],
    ] as const)
      expect(await stage.api.refusal('post', `/schedules/${schedule.id}/${path}`, body)).toEqual([
        409,
        'state_conflict',
      ]);
    await stage.api.patch(`/schedules/${schedule.id}`, { job: schedule.job });
    expect(await tick(schedule.id)).toMatchObject({ outcome: 'created' });
    expect(await stage.jobs(schedule.id)).toMatchObject([{ userId: 'dora' }]);
  });

  it('is refused when the key has expired', async () => {
    const { api, id: keyId } = await keyFor({ name: 'brief', role: 'producer' });
    const { id } = await stage.create({}, api);
    await stage.sql.query('UPDATE api_keys SET expires_at = now() WHERE id = $1', [keyId]);
    expect(await tick(id)).toMatchObject({ outcome: 'refused', reason: 'key_expired' });
  });

  it('is not refused after a rotation: the successor takes its place', async () => {
    const { api, id: keyId } = await keyFor({ name: 'rotated', role: 'producer' });
    const { id } = await stage.create({}, api);
    const successor = expectStatus(
      await stage.api.post<CreatedApiKey>(`/api-keys/${keyId}/rotate`, { graceMs: 0 }),
      201,
    );
    expect(await tick(id)).toMatchObject({ outcome: 'created' });
    expect((await stage.read(id)).keyId).toBe(successor.id);
  });

  it('is refused when the queue is full, and the next one is not when there is room', async () => {
    const queue = uniqueType();
    const { id, job } = await stage.create({ job: { type: queue, queue } });
    expectStatus(await stage.api.call('put', `/queues/${queue}`, { json: { maxWaiting: 1 } }), 200);
    expect(await tick(id)).toMatchObject({ outcome: 'created' });
    expect(await tick(id)).toMatchObject({ outcome: 'refused', reason: 'queue_full' });
    await stage.api.claimOne({ runnerId: 'r', types: [job.type] });
    // A count that took long is used for up to a second.
    await eventually(
      () => tick(id),
      (last) => last?.outcome === 'created',
    );
    expect(await stage.read(id)).toMatchObject({ runs: 2 });
  });

  it('is refused when the user has used up the rate of the queue', async () => {
    const queue = uniqueType();
    expectStatus(
      await stage.api.call('put', `/queues/${queue}`, { json: { userRateLimit: { max: 1, perMs: 3_600_000 } } }),
      200,
    );
    const { id } = await stage.create({ job: { type: queue, queue, userId: 'eve' }, maxRuns: 2 });
    expect(await tick(id)).toMatchObject({ outcome: 'created' });
    expect(await tick(id)).toMatchObject({ outcome: 'refused', reason: 'rate_limited' });
    // A refusal is no run: the schedule has not ended.
    expect(await stage.read(id)).toMatchObject({ runs: 1, status: 'active' });
  });

  it('does not keep the others of its batch from theirs', async () => {
    const queue = uniqueType();
    const full = await stage.create({ job: { type: queue, queue } });
    expectStatus(await stage.api.call('put', `/queues/${queue}`, { json: { maxWaiting: 1 } }), 200);
    await tick(full.id);
    const fine = await Promise.all(Array.from({ length: 5 }, () => stage.create()));
    for (const { id } of [full, ...fine]) await stage.makeDue(id);
    await stage.fire();
    expect((await stage.ticks(full.id)).at(-1)).toMatchObject({ outcome: 'refused' });
    for (const { id } of fine) expect(await stage.ticks(id)).toMatchObject([{ outcome: 'created' }]);
  });
});

describe('webhooks', () => {
  it('of a user may be told of schedules, and of nothing else that is no job', async () => {
    const { api } = await keyFor({ name: 'fay', role: 'user', userId: 'fay' });
    const url = 'https://hooks.example.com/';
    expectStatus(await api.post('/webhooks', { url, events: ['schedule.refused', 'job.failed'] }), 201);
    const { body } = await api.post<Problem>('/webhooks', { url, events: ['alert.firing'] });
    expect(body.code).toBe('forbidden');
  });
});

test('a job that runs knows its schedule, and goes on when the schedule is deleted', async () => {
  const { id, job } = await stage.create();
  await tick(id);
  const claimed = await stage.api.claimOne({ runnerId: 'r', types: [job.type] });
  expect(claimed.metadata).toEqual({ tickAt: expect.any(String) });
  await stage.api.delete(`/schedules/${id}`);
  expectStatus(await stage.api.complete(claimed), 200);
  expect(expectStatus(await stage.api.get<Job>(`/jobs/${claimed.id}`), 200)).toMatchObject({
    status: 'completed',
    scheduleId: id,
  });
});
