import type { ClaimedJob, CreateSchedule, Schedule } from '@baton/runner-sdk/protocol';
import { Stage } from './stage';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
});
afterAll(() => stage.close());

const MINUTE = 60_000;

/** One that was due so long ago, and then every minute. */
async function due(agoMs: number, wanted: Partial<CreateSchedule>): Promise<Schedule> {
  const schedule = await stage.create({ everyMs: MINUTE, ...wanted });
  await stage.makeDue(schedule.id, agoMs);
  return schedule;
}

async function outcomes(id: string): Promise<string[]> {
  return (await stage.ticks(id)).map(({ outcome, reason }) =>
    [outcome, reason].filter((part) => part !== null).join(' '),
  );
}

function claim({ job }: Schedule): Promise<ClaimedJob> {
  return stage.api.claimOne({ runnerId: 'policies', types: [job.type] });
}

describe('an earlier job that has not finished', () => {
  it('does not matter with overlap allow', async () => {
    const { id } = await due(0, {});
    await stage.fire();
    await stage.makeDue(id);
    await stage.fire();
    expect(await outcomes(id)).toEqual(['created', 'created']);
  });

  it('makes a tick skipped with overlap skip, until it has finished', async () => {
    const schedule = await due(0, { overlap: 'skip' });
    const { id } = schedule;
    await stage.fire();
    await stage.makeDue(id);
    await stage.fire();
    const claimed = await claim(schedule);
    await stage.makeDue(id);
    await stage.fire();
    await stage.api.complete(claimed);
    await stage.makeDue(id);
    await stage.fire();
    expect(await outcomes(id)).toEqual(['created', 'skipped overlap', 'skipped overlap', 'created']);
    expect(await stage.read(id)).toMatchObject({ runs: 2 });
  });

  it('makes one tick wait with overlap buffer_one, and the next ones skipped', async () => {
    const schedule = await due(0, { overlap: 'buffer_one' });
    const { id } = schedule;
    await stage.fire();
    const buffered = await stage.makeDue(id);
    await stage.fire();
    await stage.makeDue(id);
    await stage.fire();
    expect(await outcomes(id)).toEqual(['created', 'buffered overlap', 'skipped overlap']);
    expect(await stage.read(id)).toMatchObject({ bufferedAt: buffered.toISOString(), runs: 1 });
    await stage.api.complete(await claim(schedule));
    // Woken by the end of the job.
    await stage.fire();
    expect(await outcomes(id)).toEqual(['created', 'created', 'skipped overlap']);
    expect(await stage.read(id)).toMatchObject({ bufferedAt: null, runs: 2 });
    const [second] = await stage.jobs(id);
    expect(second?.metadata).toEqual({ tickAt: buffered.toISOString() });
    // The room in the buffer is free again.
    await stage.makeDue(id);
    await stage.fire();
    expect((await outcomes(id)).at(-1)).toBe('buffered overlap');
  });

  it('is cancelled with overlap cancel_previous, also while it runs', async () => {
    const schedule = await due(0, { overlap: 'cancel_previous' });
    const { id } = schedule;
    await stage.fire();
    const claimed = await claim(schedule);
    await stage.makeDue(id);
    await stage.fire();
    expect((await stage.jobs(id)).map(({ status, reason }) => [status, reason])).toEqual([
      ['pending', null],
      ['cancelled', 'superseded'],
    ]);
    expect((await stage.api.complete(claimed)).body.code).toBe('job_cancelled');
    expect(await stage.sql.count('schedules WHERE superseded_by IS NOT NULL')).toBe(0);
  });

  it('is cancelled by the next round, when the coordinator that created the later one did not come to it', async () => {
    const { id } = await due(0, { overlap: 'cancel_previous' });
    await stage.fire();
    await stage.makeDue(id);
    await stage.fire();
    const [later, earlier] = await stage.jobs(id);
    await stage.api.post(`/jobs/${earlier?.id ?? ''}/retry`);
    await stage.sql.query('UPDATE schedules SET superseded_by = $1 WHERE id = $2', [later?.id, id]);
    await stage.fire();
    expect((await stage.jobs(id)).map(({ status }) => status)).toEqual(['pending', 'cancelled']);
  });

  it('is another schedule’s business, not this one’s', async () => {
    const one = await due(0, { overlap: 'skip' });
    const other = await stage.create({ everyMs: MINUTE, overlap: 'skip', job: { type: one.job.type } });
    await stage.fire();
    await stage.makeDue(other.id);
    await stage.fire();
    expect(await outcomes(other.id)).toEqual(['created']);
  });
});

describe('ticks that nobody was there for', () => {
  it('are fired when they are up to a minute late, whatever catchUp says', async () => {
    const { id } = await due(45_000, { everyMs: 10_000 });
    await stage.fire();
    expect(await outcomes(id)).toEqual(Array(5).fill('created'));
  });

  it('are skipped with catchUp none, and told as one entry', async () => {
    const { id } = await due(10 * MINUTE + 30_000, {});
    await stage.fire();
    // The eleventh is half a minute late.
    expect(await outcomes(id)).toEqual(['skipped missed', 'created']);
    const [missed] = await stage.ticks(id);
    expect(missed?.message).toMatch(/^All ticks from /);
  });

  it('are all skipped with catchUp none, when even the last is late', async () => {
    const { id } = await due(90_000, { everyMs: 3_600_000 });
    await stage.fire();
    expect(await outcomes(id)).toEqual(['skipped missed']);
    expect(await stage.jobs(id)).toEqual([]);
    expect(Date.parse((await stage.read(id)).nextAt ?? '')).toBeGreaterThan(Date.now());
  });

  it('come to one with catchUp latest', async () => {
    const { id } = await due(5.5 * 3_600_000, { everyMs: 3_600_000, catchUp: 'latest' });
    await stage.fire();
    expect(await outcomes(id)).toEqual(['skipped missed', 'created']);
    const [first, last] = await stage.ticks(id);
    expect(Date.parse(last?.at ?? '') - Date.parse(first?.at ?? '')).toBe(5 * 3_600_000);
  });

  it('come to none with catchUp latest, when one that is on time is due', async () => {
    const { id } = await due(5 * MINUTE + 30_000, { catchUp: 'latest' });
    await stage.fire();
    expect(await outcomes(id)).toEqual(['skipped missed', 'created']);
    expect(await stage.jobs(id)).toHaveLength(1);
  });

  it('are all made up for with catchUp all, in their order', async () => {
    const { id } = await due(150 * MINUTE + 30_000, { catchUp: 'all' });
    await stage.fire();
    const ticks = await stage.ticks(id);
    expect(new Set(ticks.map(({ outcome }) => outcome))).toEqual(new Set(['created']));
    expect(ticks.map(({ at }) => at)).toEqual(ticks.map(({ at }) => at).sort());
    expect(ticks).toHaveLength(151);
    expect(await stage.jobs(id)).toHaveLength(151);
  });

  it.each(['latest', 'all'] as const)('are made up for within the window alone with catchUp %s', async (catchUp) => {
    const { id } = await due(10 * 3_600_000 + 90_000, { everyMs: 3_600_000, catchUp, catchUpWindowMs: 60_000 });
    await stage.fire();
    expect(await outcomes(id)).toEqual(['skipped missed']);
    const { id: other } = await due(10 * 3_600_000 + 90_000, {
      everyMs: 3_600_000,
      catchUp,
      catchUpWindowMs: 3 * 3_600_000,
    });
    await stage.fire();
    expect(await outcomes(other)).toEqual(['skipped missed', ...Array(catchUp === 'all' ? 3 : 1).fill('created')]);
  });

  it('are skipped one by one, when they are made up for but overlap', async () => {
    const { id } = await due(3 * MINUTE + 30_000, { catchUp: 'all', overlap: 'skip' });
    await stage.fire();
    expect(await outcomes(id)).toEqual(['created', ...Array(3).fill('skipped overlap')]);
  });

  it('come to the last with cancel_previous', async () => {
    const { id } = await due(3 * MINUTE + 30_000, { catchUp: 'all', overlap: 'cancel_previous' });
    await stage.fire();
    expect(await outcomes(id)).toEqual([...Array(3).fill('skipped superseded'), 'created']);
  });
});

describe('the end of a schedule', () => {
  it('comes after maxRuns jobs of its ticks', async () => {
    const { id } = await due(45_000, { everyMs: 10_000, maxRuns: 3 });
    await stage.fire();
    expect(await stage.jobs(id)).toHaveLength(3);
    expect(await stage.read(id)).toMatchObject({ status: 'ended', runs: 3, nextAt: null });
    expect((await stage.api.get<{ items: string[] }>(`/schedules/${id}/next`)).body.items).toEqual([]);
  });

  it('comes after the last tick before endsAt', async () => {
    const endsAt = new Date(Date.now() + 90_000).toISOString();
    const { id, nextAt } = await stage.create({ everyMs: MINUTE, endsAt });
    expect((await stage.api.get<{ items: string[] }>(`/schedules/${id}/next`)).body.items).toEqual([nextAt]);
    await stage.sql.query('UPDATE schedules SET due_at = now() WHERE id = $1', [id]);
    await stage.fire();
    expect(await stage.read(id)).toMatchObject({ status: 'ended', runs: 1 });
  });

  it('does not come by skipped ticks', async () => {
    const { id } = await due(0, { overlap: 'skip', maxRuns: 2 });
    await stage.fire();
    await stage.makeDue(id);
    await stage.fire();
    expect(await stage.read(id)).toMatchObject({ status: 'active', runs: 1 });
  });
});

describe('jitter', () => {
  it('makes all ticks of a schedule late by the same time, and spreads schedules', async () => {
    const made = await Promise.all(
      Array.from({ length: 20 }, () => stage.create({ cron: '@daily', jitterMs: 3_600_000 })),
    );
    const rows = await stage.sql.query<{ late: number; on: boolean }>(
      `SELECT extract(epoch FROM due_at - next_at)::int AS late, next_at = date_trunc('day', next_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS on
       FROM schedules WHERE id = ANY ($1)`,
      [made.map(({ id }) => id)],
    );
    expect(rows.every(({ late, on }) => late >= 0 && late <= 3600 && on)).toBe(true);
    expect(new Set(rows.map(({ late }) => late)).size).toBeGreaterThan(10);
  });
});
