import type { Problem, Schedule } from '@baton/runner-sdk/protocol';
import { expectStatus } from '../support/api';
import { eventually } from '../support/eventually';
import { uniqueType } from '../support/factory';
import { Stage } from './stage';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
});
afterAll(() => stage.close());

describe('creating a schedule', () => {
  it('answers with all that is set, and when it ticks next', async () => {
    const type = uniqueType();
    const { id, createdAt, updatedAt, nextAt, keyId, ...rest } = await stage.create({
      name: type,
      cron: '30 8 * * MON-FRI',
      timezone: 'Europe/Berlin',
      job: { type, queue: 'reports', arguments: { kind: 'daily' }, tags: ['a'], expiresInMs: 60_000 },
    });
    expect(rest).toEqual({
      name: type,
      userId: null,
      status: 'active',
      cron: '30 8 * * MON-FRI',
      everyMs: null,
      timezone: 'Europe/Berlin',
      job: {
        ...{ type, queue: 'reports', arguments: { kind: 'daily' }, tags: ['a'], expiresInMs: 60_000 },
        ...{ onConflict: 'keep', orderOnFailure: 'block' },
      },
      overlap: 'allow',
      catchUp: 'none',
      catchUpWindowMs: 604_800_000,
      jitterMs: 0,
      startsAt: null,
      endsAt: null,
      maxRuns: null,
      runs: 0,
      enabled: true,
      paused: null,
      lastTickAt: null,
      bufferedAt: null,
    });
    expect(updatedAt).toBe(createdAt);
    expect(keyId).toBe('configured');
    expect((await stage.read(id)).nextAt).toBe(nextAt);
    const shown = new Date(nextAt ?? '').toLocaleTimeString('en-GB', { timeZone: 'Europe/Berlin' });
    expect(shown).toBe('08:30:00');
  });

  it('refuses a name that is taken, with a code that says so', async () => {
    const { name, job } = await stage.create();
    const { status, body } = await stage.api.post<Problem>('/schedules', {
      name,
      everyMs: 60_000,
      job: { type: job.type },
    });
    expect([status, body.code]).toEqual([409, 'name_taken']);
    expect(body.detail).toContain('PUT /schedules');
    // Another user's is another one.
    await stage.create({ name, job: { type: job.type, userId: 'ann' } });
  });

  it.each([
    ['neither cron nor everyMs', {}, 'cron'],
    ['both', { cron: '* * * * *', everyMs: 1000 }, 'everyMs'],
    ['four fields', { cron: '* * * *' }, 'cron'],
    ['seven fields', { cron: '* * * * * * *' }, 'cron'],
    ['a minute of 60', { cron: '60 * * * *' }, 'cron'],
    ['a date', { cron: '2026-01-01T00:00:00' }, 'cron'],
    ['at reboot', { cron: '@reboot' }, 'cron'],
    ['a day that never comes', { cron: '0 0 30 2 *' }, 'cron'],
    ['a step of nothing', { cron: '*/0 * * * *' }, 'cron'],
    ['a second is the least', { everyMs: 999 }, 'everyMs'],
    ['a zone that is none', { cron: '@daily', timezone: 'Europe/Bonn' }, 'timezone'],
    ['an offset for a zone', { cron: '@daily', timezone: '+01:00' }, 'timezone'],
    [
      'an end before its start',
      { cron: '@daily', startsAt: '2040-01-02T00:00:00Z', endsAt: '2040-01-01T00:00:00Z' },
      'endsAt',
    ],
    ['an end before its first tick', { cron: '@daily', endsAt: '2020-01-01T00:00:00Z' }, 'endsAt'],
    ['no runs', { cron: '@daily', maxRuns: 0 }, 'maxRuns'],
    ['jitter of more than a day', { cron: '@daily', jitterMs: 86_400_001 }, 'jitterMs'],
    ['a field that is none', { cron: '@daily', timeZone: 'UTC' }, 'timeZone'],
    ['a time in its job', { cron: '@daily', job: { type: 'a', runAt: '2040-01-01T00:00:00Z' } }, 'job.runAt'],
    ['a job without type', { cron: '@daily', job: {} }, 'job.type'],
    ['NUL in its job', { cron: '@daily', job: { type: 'a', arguments: { a: '\u0000' } } }, 'job.arguments.a'],
    [
      'a callback that turns inward',
      { cron: '@daily', job: { type: 'a', callbackUrl: 'http://127.0.0.1/' } },
      'job.callbackUrl',
    ],
  ])('refuses %s', async (_what, wanted, path) => {
    const { status, body } = await stage.api.post<Problem>('/schedules', {
      name: uniqueType(),
      job: { type: 'a' },
      ...wanted,
    });
    expect([status, body.code, body.errors?.[0]?.path]).toEqual([400, 'validation_failed', path]);
  });

  it('refuses arguments that are too large', async () => {
    const job = { type: 'a', arguments: { text: 'x'.repeat(300_000) } };
    expect(await stage.api.refusal('post', '/schedules', { name: uniqueType(), cron: '@daily', job })).toEqual([
      413,
      'payload_too_large',
    ]);
  });
});

describe('a tick', () => {
  it('creates a job that tells its schedule and its time', async () => {
    const { id, job } = await stage.create({
      everyMs: 3_600_000,
      job: { type: uniqueType(), arguments: { a: 1 }, metadata: { of: 'me' } },
    });
    const at = await stage.makeDue(id, 500);
    await stage.fire();
    const [created, ...others] = await stage.jobs(id);
    expect(others).toEqual([]);
    expect(created).toMatchObject({
      type: job.type,
      status: 'pending',
      arguments: { a: 1 },
      scheduleId: id,
      metadata: { of: 'me', tickAt: at.toISOString() },
    });
    expect(await stage.ticks(id)).toEqual([
      {
        at: at.toISOString(),
        outcome: 'created',
        jobId: created?.id,
        reason: null,
        message: null,
        trigger: 'time',
        recordedAt: expect.any(String),
      },
    ]);
    const after = await stage.read(id);
    expect(after).toMatchObject({ runs: 1, lastTickAt: at.toISOString(), status: 'active' });
    expect(Date.parse(after.nextAt ?? '') - at.getTime()).toBe(3_600_000);
  });

  it('is fired by itself, soon after its time', async () => {
    const { id, nextAt } = await stage.create({ everyMs: 1000, maxRuns: 1 });
    const [tick] = await eventually(
      () => stage.ticks(id),
      (ticks) => ticks.length > 0,
    );
    expect(tick).toMatchObject({ at: nextAt, outcome: 'created' });
    expect(await stage.read(id)).toMatchObject({ status: 'ended', runs: 1, nextAt: null });
  });
});

describe('a schedule that is deleted', () => {
  it('is gone with its history, and its jobs stay', async () => {
    const { id } = await stage.create({ everyMs: 60_000 });
    await stage.makeDue(id);
    await stage.fire();
    expect((await stage.api.delete(`/schedules/${id}`)).status).toBe(204);
    expect(await stage.api.refusal('get', `/schedules/${id}`)).toEqual([404, 'not_found']);
    expect(await stage.jobs(id)).toHaveLength(1);
    expect(await stage.sql.count('schedule_ticks WHERE schedule_id = $1', [id])).toBe(0);
  });
});

describe('the list', () => {
  it('is read page by page, and narrowed', async () => {
    const made: Schedule[] = [];
    const queue = uniqueType();
    for (let index = 0; index < 3; index += 1) made.push(await stage.create({ job: { type: 'a', queue } }));
    const first = expectStatus(
      await stage.api.get<{ items: Schedule[]; nextCursor: string | null }>(`/schedules?queue=${queue}&limit=2`),
      200,
    );
    const rest = expectStatus(
      await stage.api.get<{ items: Schedule[]; nextCursor: string | null }>(
        `/schedules?queue=${queue}&limit=2&cursor=${first.nextCursor ?? ''}`,
      ),
      200,
    );
    expect([...first.items, ...rest.items]).toEqual(made);
    expect(rest.nextCursor).toBeNull();
    const named = await stage.api.get<{ items: Schedule[] }>(`/schedules?name=${made[1]?.name ?? ''}`);
    expect(named.body.items).toEqual([made[1]]);
  });
});
