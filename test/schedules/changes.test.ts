import type { Job, Problem, PutSchedule, Schedule } from '@baton/runner-sdk/protocol';
import { type Api, expectStatus } from '../support/api';
import { uniqueType } from '../support/factory';
import { Stage } from './stage';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open(1, { maxSchedules: 3 });
});
afterAll(() => stage.close());

async function put(wanted: PutSchedule, api: Api = stage.api): Promise<{ status: number; body: Schedule }> {
  return api.call<Schedule>('put', '/schedules', { json: wanted });
}

async function audited(id: string): Promise<string[]> {
  const rows = await stage.sql.query<{ action: string }>('SELECT action FROM audit_log WHERE target = $1 ORDER BY id', [
    id,
  ]);
  return rows.map(({ action }) => action);
}

/** What is told to those who listen. */
async function told(id: string): Promise<string[]> {
  const rows = await stage.sql.query<{ name: string }>(
    "SELECT name FROM events WHERE details ->> 'scheduleId' = $1 ORDER BY id",
    [id],
  );
  return rows.map(({ name }) => name);
}

async function patch(id: string, edit: object): Promise<Schedule> {
  return expectStatus(await stage.api.patch<Schedule>(`/schedules/${id}`, edit), 200);
}

describe('PUT /schedules', () => {
  it('creates the schedule of a name, and then replaces what is set', async () => {
    const name = uniqueType();
    const created = await put({ name, cron: '@daily', overlap: 'skip', job: { type: 'a' } });
    expect([created.status, created.body.status, created.body.overlap]).toEqual([201, 'active', 'skip']);
    const replaced = await put({ name, everyMs: 60_000, job: { type: 'b', arguments: { a: 1 } } });
    expect(replaced.status).toBe(200);
    expect(replaced.body).toMatchObject({
      id: created.body.id,
      cron: null,
      everyMs: 60_000,
      overlap: 'allow',
      job: { type: 'b', arguments: { a: 1 } },
    });
    expect(await audited(created.body.id)).toEqual(['schedule.created', 'schedule.edited']);
    expect(await told(created.body.id)).toEqual(['schedule.created', 'schedule.updated']);
  });

  it('changes nothing when it says what is set already', async () => {
    const wanted: PutSchedule = {
      name: uniqueType(),
      cron: '0 3 * * *',
      timezone: 'Asia/Tokyo',
      job: { type: 'a', tags: ['x'] },
    };
    const { body: first } = await put(wanted);
    expect(await put(wanted)).toMatchObject({ status: 200, body: first });
    expect(await audited(first.id)).toEqual(['schedule.created']);
  });

  it('keeps the next tick while the times are the same, though it is due', async () => {
    const wanted: PutSchedule = { name: uniqueType(), cron: '0 3 * * *', job: { type: 'a' } };
    const { body: first } = await put(wanted);
    const at = '2039-05-05T05:05:05.000Z';
    await stage.sql.query('UPDATE schedules SET next_at = $1, due_at = $1 WHERE id = $2', [at, first.id]);
    expect((await put({ ...wanted, job: { type: 'b' } })).body.nextAt).toBe(at);
    expect((await put({ ...wanted, timezone: 'Asia/Tokyo' })).body.nextAt).not.toBe(at);
  });

  it('leaves a schedule paused that somebody paused, unless it says otherwise', async () => {
    const wanted: PutSchedule = { name: uniqueType(), cron: '@daily', job: { type: 'a' } };
    const { body: first } = await put(wanted);
    await stage.api.post(`/schedules/${first.id}/pause`, { reason: 'too many mails' });
    const { body: after } = await put({ ...wanted, cron: '@hourly' });
    expect(after).toMatchObject({
      status: 'paused',
      paused: { reason: 'too many mails' },
      nextAt: null,
      cron: '@hourly',
    });
    expect((await put({ ...wanted, enabled: true })).body).toMatchObject({ status: 'active', paused: null });
  });

  it('is done once by two callers at once', async () => {
    const wanted: PutSchedule = { name: uniqueType(), cron: '@daily', job: { type: 'a' } };
    const answers = await Promise.all(Array.from({ length: 8 }, () => put(wanted)));
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array(7).fill(200), 201]);
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
  });
});

describe('PATCH /schedules/:id', () => {
  it('changes what it says, and leaves the rest', async () => {
    const made = await stage.create({ cron: '@daily', jitterMs: 5, job: { type: 'a', queue: 'x' } });
    const after = await patch(made.id, { overlap: 'skip' });
    const { updatedAt: _before, ...before } = made;
    const { updatedAt: _after, ...rest } = after;
    expect(rest).toEqual({ ...before, overlap: 'skip' });
    expect(await audited(made.id)).toEqual(['schedule.created', 'schedule.edited']);
    expect(await patch(made.id, { overlap: 'skip' })).toEqual(after);
    expect(await audited(made.id)).toEqual(['schedule.created', 'schedule.edited']);
  });

  it('takes the next tick anew when the times are others', async () => {
    const { id } = await stage.create({ cron: '0 0 1 1 *' });
    const after = await patch(id, { everyMs: 10_000 });
    expect(after).toMatchObject({ cron: null, everyMs: 10_000 });
    expect(Date.parse(after.nextAt ?? '') - Date.now()).toBeLessThan(11_000);
    expect(await patch(id, { cron: '@yearly' })).toMatchObject({ cron: '@yearly', everyMs: null });
  });

  it('ends a schedule, and lets it go on', async () => {
    const { id } = await stage.create({ everyMs: 60_000 });
    expect(await patch(id, { endsAt: '2020-01-01T00:00:00Z' })).toMatchObject({ status: 'ended', nextAt: null });
    expect(await patch(id, { endsAt: null })).toMatchObject({ status: 'active' });
    await stage.makeDue(id);
    await stage.fire();
    expect(await patch(id, { maxRuns: 1 })).toMatchObject({ status: 'ended', runs: 1 });
    expect(await patch(id, { maxRuns: 2 })).toMatchObject({ status: 'active' });
  });

  it.each([
    ['nothing', {}, ''],
    ['both times', { cron: '@daily', everyMs: 1000 }, 'everyMs'],
    ['a pattern that cannot be read', { cron: '0 0 0' }, 'cron'],
    ['an end before the start', { startsAt: '2040-01-01T00:00:00Z', endsAt: '2039-01-01T00:00:00Z' }, 'endsAt'],
    ['another user', { job: { type: 'a', userId: 'ben' } }, 'job.userId'],
    ['a job that a create would refuse', { job: { type: 'a', callbackUrl: 'http://10.0.0.1/' } }, 'job.callbackUrl'],
  ])('refuses %s, and changes nothing', async (_what, edit, path) => {
    const made = await stage.create();
    const { status, body } = await stage.api.patch<Problem>(`/schedules/${made.id}`, edit);
    expect([status, body.code, body.errors?.[0]?.path]).toEqual([400, 'validation_failed', path]);
    expect(await stage.read(made.id)).toEqual(made);
  });

  it('refuses a name that is taken', async () => {
    const [one, other] = [await stage.create(), await stage.create()];
    expect(await stage.api.refusal('patch', `/schedules/${one.id}`, { name: other.name })).toEqual([409, 'name_taken']);
  });
});

describe('a pause', () => {
  it('keeps a schedule from ticking, says by whom and why, and its ticks are not made up for', async () => {
    const { id } = await stage.create({ everyMs: 60_000, catchUp: 'all' });
    const paused = expectStatus(
      await stage.api.post<Schedule>(`/schedules/${id}/pause`, { reason: 'the other side is away' }),
      200,
    );
    expect(paused).toMatchObject({
      status: 'paused',
      enabled: false,
      nextAt: null,
      paused: { by: 'configured admin key', reason: 'the other side is away' },
    });
    await stage.sql.query("UPDATE schedules SET created_at = created_at - interval '1 day' WHERE id = $1", [id]);
    await stage.fire();
    const resumed = expectStatus(await stage.api.post<Schedule>(`/schedules/${id}/resume`), 200);
    expect(resumed).toMatchObject({ status: 'active', paused: null });
    expect(Date.parse(resumed.nextAt ?? '')).toBeGreaterThan(Date.now() - 1000);
    expect(await stage.ticks(id)).toEqual([]);
    expect(await audited(id)).toEqual(['schedule.created', 'schedule.paused', 'schedule.resumed']);
    expect(await told(id)).toEqual(['schedule.created', 'schedule.paused', 'schedule.resumed']);
    // Again is no change.
    expect(expectStatus(await stage.api.post<Schedule>(`/schedules/${id}/resume`), 200)).toEqual(resumed);
  });

  it('skips a tick that is buffered', async () => {
    const { id } = await stage.create({ everyMs: 60_000, overlap: 'buffer_one' });
    for (let tick = 0; tick < 2; tick += 1) {
      await stage.makeDue(id);
      await stage.fire();
    }
    await stage.api.post(`/schedules/${id}/pause`, {});
    expect((await stage.ticks(id)).map(({ outcome, reason }) => [outcome, reason])).toEqual([
      ['created', null],
      ['skipped', 'paused'],
    ]);
    expect(await stage.read(id)).toMatchObject({ bufferedAt: null });
  });

  it('can be there from the start', async () => {
    expect(await stage.create({ enabled: false })).toMatchObject({ status: 'paused', nextAt: null, enabled: false });
  });
});

describe('a run by hand', () => {
  it('creates a job now, whatever else is set, and does not count', async () => {
    const { id } = await stage.create({ enabled: false, overlap: 'skip', maxRuns: 1 });
    const first = expectStatus(await stage.api.post<Job>(`/schedules/${id}/run`), 201);
    expectStatus(await stage.api.post<Job>(`/schedules/${id}/run`), 201);
    expect(first).toMatchObject({ scheduleId: id, status: 'pending', metadata: { tickAt: expect.any(String) } });
    const [tick, ...others] = await stage.ticks(id);
    expect(tick).toMatchObject({ trigger: 'run', outcome: 'created', jobId: first.id });
    expect(others).toHaveLength(1);
    expect(await stage.read(id)).toMatchObject({ runs: 0, lastTickAt: null });
  });

  it('answers with the job that holds the unique key', async () => {
    const type = uniqueType();
    const { id } = await stage.create({ job: { type, uniqueKey: type } });
    const first = expectStatus(await stage.api.post<Job>(`/schedules/${id}/run`), 201);
    const again = await stage.api.post<Job>(`/schedules/${id}/run`);
    expect([again.status, again.body.id, again.headers['baton-deduplicated']]).toEqual([200, first.id, 'true']);
    await stage.makeDue(id);
    await stage.fire();
    expect((await stage.ticks(id)).map(({ outcome, reason }) => [outcome, reason])).toEqual([
      ['created', null],
      ['skipped', 'deduplicated'],
      ['skipped', 'deduplicated'],
    ]);
  });
});

describe('a backfill', () => {
  it('creates the jobs of past ticks that have created none, and of no tick two', async () => {
    const { id } = await stage.create({ cron: '0 * * * *' });
    const span = { from: '2026-03-01T00:00:00Z', to: '2026-03-01T05:00:00Z' };
    const backfill = async (body: object) => (await stage.api.post(`/schedules/${id}/backfill`, body)).body;
    expect(await backfill({ ...span, to: '2026-03-01T02:30:00Z' })).toEqual({ count: 3, existing: 0, refused: 0 });
    expect(await backfill(span)).toEqual({ count: 3, existing: 3, refused: 0 });
    expect(await backfill(span)).toEqual({ count: 0, existing: 6, refused: 0 });
    const jobs = await stage.jobs(id);
    expect(jobs.map(({ metadata }) => metadata?.['tickAt']).sort()).toEqual(
      [0, 1, 2, 3, 4, 5].map((hour) => `2026-03-01T0${hour}:00:00.000Z`),
    );
    expect(
      (await stage.ticks(id)).every(({ trigger, outcome }) => trigger === 'backfill' && outcome === 'created'),
    ).toBe(true);
    expect(await stage.read(id)).toMatchObject({ runs: 0 });
  });

  it('makes up for ticks that were skipped', async () => {
    const { id } = await stage.create({ everyMs: 3_600_000 });
    const at = await stage.makeDue(id, 120_000);
    await stage.fire();
    expect((await stage.ticks(id)).map(({ outcome }) => outcome)).toEqual(['skipped']);
    const { body } = await stage.api.post(`/schedules/${id}/backfill`, {
      from: at.toISOString(),
      to: at.toISOString(),
    });
    expect(body).toEqual({ count: 1, existing: 0, refused: 0 });
    expect(await stage.ticks(id)).toMatchObject([{ at: at.toISOString(), outcome: 'created', trigger: 'backfill' }]);
  });

  it('takes nothing from a tick that is due and has not fired', async () => {
    const { id } = await stage.create({ everyMs: 3_600_000 });
    await stage.sql.query('UPDATE schedules SET due_at = $2, next_at = $2 WHERE id = $1', [id, '2038-01-01T00:00:00Z']);
    const at = new Date(Math.floor(Date.now() / 1000) * 1000 - 2000);
    await stage.sql.query(
      "UPDATE schedules SET created_at = $2::timestamptz - interval '1 hour', next_at = $2 WHERE id = $1",
      [id, at],
    );
    const { body } = await stage.api.post(`/schedules/${id}/backfill`, {
      from: at.toISOString(),
      to: at.toISOString(),
    });
    expect(body).toMatchObject({ count: 1 });
    await stage.sql.query('UPDATE schedules SET due_at = next_at WHERE id = $1', [id]);
    await stage.fire();
    expect(await stage.jobs(id)).toHaveLength(1);
    expect(Date.parse((await stage.read(id)).nextAt ?? '')).toBe(at.getTime() + 3_600_000);
  });

  it.each([
    ['a span in the future', { from: '2026-01-01T00:00:00Z', to: '2040-01-01T00:00:00Z' }],
    ['a span that ends before it begins', { from: '2026-01-02T00:00:00Z', to: '2026-01-01T00:00:00Z' }],
    ['too many ticks', { from: '2025-01-01T00:00:00Z', to: '2026-01-01T00:00:00Z' }],
  ])('refuses %s', async (_what, span) => {
    const { id } = await stage.create({ cron: '* * * * *' });
    const { status, body } = await stage.api.post<Problem>(`/schedules/${id}/backfill`, span);
    expect([status, body.errors?.[0]?.path]).toEqual([400, 'to']);
    expect(await stage.jobs(id)).toEqual([]);
  });
});

describe('what comes next', () => {
  it('is told in the zone of the schedule, over the change of its clocks', async () => {
    const timing = { cron: '30 2 * * *', timezone: 'America/New_York' };
    const preview = await stage.api.post('/schedules/preview', { ...timing, after: '2026-03-07T00:00:00Z', count: 3 });
    const expected = ['2026-03-07T07:30:00.000Z', '2026-03-08T07:00:00.000Z', '2026-03-09T06:30:00.000Z'];
    expect(preview).toMatchObject({ status: 200, body: { items: expected } });
    const { id } = await stage.create({ ...timing, startsAt: '2031-03-08T00:00:00Z', maxRuns: 3 });
    const next = await stage.api.get(`/schedules/${id}/next?count=10`);
    expect(next.body).toEqual({
      items: ['2031-03-08T07:30:00.000Z', '2031-03-09T07:00:00.000Z', '2031-03-10T06:30:00.000Z'],
    });
  });

  it('of one that is paused is what it would have', async () => {
    const { id } = await stage.create({ cron: '@daily', enabled: false });
    expect((await stage.api.get<{ items: string[] }>(`/schedules/${id}/next`)).body.items).toHaveLength(5);
  });

  it('counts everyMs from startsAt', async () => {
    const { body } = await stage.api.post('/schedules/preview', {
      everyMs: 90_000,
      startsAt: '2040-01-01T00:00:30Z',
      endsAt: '2040-01-01T00:04:00Z',
    });
    expect(body).toEqual({
      items: ['2040-01-01T00:00:30.000Z', '2040-01-01T00:02:00.000Z', '2040-01-01T00:03:30.000Z'],
    });
  });

  it.each([
    [{}, 'cron'],
    [{ cron: '0 0 30 2 *' }, 'cron'],
    [{ cron: 'whenever' }, 'cron'],
    [{ cron: '@daily', timezone: 'Moon' }, 'timezone'],
  ])('is refused for %j', async (wanted, path) => {
    const { status, body } = await stage.api.post<Problem>('/schedules/preview', wanted);
    expect([status, body.errors?.[0]?.path]).toEqual([400, path]);
  });
});

describe('how many schedules one user may have', () => {
  it('is a setting', async () => {
    const api = stage.api.as(await stage.api.makeKey({ name: 'cara', role: 'user', userId: 'cara' }));
    for (let made = 0; made < 3; made += 1) await stage.create({}, api);
    const refused = { name: uniqueType(), cron: '@daily', job: { type: 'a' } };
    expect(await api.refusal('post', '/schedules', refused)).toEqual([409, 'state_conflict']);
    expect(await api.refusal('put', '/schedules', refused)).toEqual([409, 'state_conflict']);
  });
});
