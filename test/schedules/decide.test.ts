import fc from 'fast-check';
import { decide } from '../../coordinator/domain/schedules/decide';
import { nextTick } from '../../coordinator/domain/schedules/timing';
import type { LockedSchedule } from '../../coordinator/store/schedules/rows';

const MINUTE = 60_000;
const START = Date.parse('2026-03-01T00:00:00Z');
const MOST = 100;

function locked(changes: Partial<LockedSchedule>): LockedSchedule {
  return {
    ...{
      id: '0190a000-0000-7000-8000-000000000000',
      name: 'x',
      userId: null,
      cron: null,
      everyMs: MINUTE,
      timezone: 'UTC',
    },
    ...{ job: { type: 'a', queue: 'q' } as LockedSchedule['job'], overlap: 'allow', catchUp: 'none' },
    ...{ catchUpWindowMs: 7 * 86_400_000, jitterMs: 0, startsAt: null, endsAt: null, maxRuns: null, keyId: 'k' },
    ...{ caller: { name: 'k', role: 'admin', userId: null, queues: null, types: null }, runs: 0, ticks: 0 },
    ...{ pausedAt: null, pausedBy: null, pausedReason: null, nextAt: new Date(START), dueAt: new Date(START) },
    ...{ lastTickAt: null, bufferedAt: null, supersededBy: null, createdAt: new Date(START - MINUTE) },
    ...{ updatedAt: new Date(START), now: new Date(START), keyFault: null },
    ...changes,
  };
}

const schedules = fc
  .record({
    lateMs: fc.oneof(fc.integer({ min: 0, max: 5 * MINUTE }), fc.integer({ min: 0, max: 10 * 86_400_000 })),
    timing: fc.oneof(
      fc.integer({ min: 1, max: 7200 }).map((seconds) => ({ everyMs: seconds * 1000 })),
      fc
        .constantFrom('*/5 * * * *', '0 * * * *', '30 2 * * *', '15,45 8-17 * * MON-FRI', '*/20 * * * * *')
        .map((cron) => ({ cron, everyMs: null })),
    ),
    overlap: fc.constantFrom<LockedSchedule['overlap'][]>('allow', 'skip', 'buffer_one', 'cancel_previous'),
    catchUp: fc.constantFrom<LockedSchedule['catchUp'][]>('none', 'latest', 'all'),
    catchUpWindowMs: fc.constantFrom(MINUTE, 3_600_000, 7 * 86_400_000),
    isBusy: fc.boolean(),
    hasBuffered: fc.boolean(),
    maxRuns: fc.option(fc.integer({ min: 1, max: 5 })),
  })
  .map(({ lateMs, timing, hasBuffered, isBusy, ...rest }) => {
    const base = { ...timing, ...rest, bufferedAt: hasBuffered ? new Date(START - MINUTE) : null };
    const nextAt = new Date(nextTick(locked(base), START) ?? START);
    return { isBusy, schedule: locked({ ...base, nextAt, dueAt: nextAt, now: new Date(nextAt.getTime() + lateMs) }) };
  });

describe('what due ticks do', () => {
  it('goes on in time, leaves none out, and ends', () => {
    fc.assert(
      fc.property(schedules, ({ schedule, isBusy }) => {
        const { decisions, next } = decide(schedule, isBusy, MOST);
        const now = schedule.now.getTime();
        const first = schedule.nextAt?.getTime() ?? 0;
        const left = schedule.maxRuns === null ? Infinity : schedule.maxRuns - (schedule.bufferedAt === null ? 0 : 1);
        if (left <= 0) return expect([decisions, next]).toEqual([[], null]);
        // Each is due, in its order, and the first is the one that was stored.
        expect(decisions[0]?.at).toBe(first);
        for (const [index, { at }] of decisions.entries()) {
          expect(at).toBeLessThanOrEqual(now);
          if (index > 0) expect(at).toBeGreaterThan(decisions[index - 1]?.at ?? 0);
        }
        // Between one that fires and the next there is no tick that nothing was decided about.
        const fired = decisions.filter(({ reason }) => reason !== 'missed');
        for (const [index, { at }] of fired.entries())
          if (index > 0) expect(nextTick(schedule, fired[index - 1]?.at ?? 0)).toBe(at);
        const last = fired.at(-1)?.at;
        if (last !== undefined) expect(next).toBe(nextTick(schedule, last));
        else expect(next).toBeGreaterThan(now - MINUTE);
      }),
      { numRuns: 500 },
    );
  });

  it('keeps to the policies', () => {
    fc.assert(
      fc.property(schedules, ({ schedule, isBusy }) => {
        const { decisions } = decide(schedule, isBusy, MOST);
        const { overlap, catchUp, catchUpWindowMs, maxRuns, bufferedAt, now } = schedule;
        const created = decisions.filter(({ does }) => does === 'create');
        const lateOf = ({ at }: { at: number }): number => now.getTime() - at;
        const madeUpFor = decisions.filter((decision) => decision.reason !== 'missed' && lateOf(decision) > MINUTE);
        if (catchUp === 'none') expect(madeUpFor).toEqual([]);
        if (catchUp === 'latest') expect(madeUpFor.length).toBeLessThanOrEqual(1);
        for (const decision of madeUpFor) expect(lateOf(decision)).toBeLessThanOrEqual(catchUpWindowMs);
        if (overlap !== 'allow') expect(created.length).toBeLessThanOrEqual(1);
        if ((overlap === 'skip' || overlap === 'buffer_one') && (isBusy || bufferedAt !== null))
          expect(created).toEqual([]);
        const buffered = decisions.filter(({ does }) => does === 'buffer').length + (bufferedAt === null ? 0 : 1);
        expect(buffered).toBeLessThanOrEqual(overlap === 'buffer_one' || bufferedAt !== null ? 1 : 0);
        if (maxRuns !== null) expect(created.length + buffered).toBeLessThanOrEqual(Math.max(maxRuns, buffered));
        // Ticks that were missed together are one entry.
        expect(decisions.filter(({ reason }) => reason === 'missed').length).toBeLessThanOrEqual(1);
      }),
      { numRuns: 500 },
    );
  });

  it('comes to the same, however few are decided at once', () => {
    fc.assert(
      fc.property(schedules, fc.integer({ min: 1, max: 7 }), ({ schedule }, most) => {
        const allowing = { ...schedule, overlap: 'allow' as const, maxRuns: null };
        const all = walk(allowing, MOST);
        expect(walk(allowing, most).slice(0, all.length)).toEqual(all);
      }),
      { numRuns: 100 },
    );
  });
});

/** The ticks that fire, round after round. */
function walk(schedule: LockedSchedule, most: number): number[] {
  const fired: number[] = [];
  let nextAt = schedule.nextAt;
  while (nextAt !== null && nextAt <= schedule.now && fired.length < 50) {
    const { decisions, next } = decide({ ...schedule, nextAt }, false, most);
    fired.push(...decisions.filter(({ does }) => does === 'create').map(({ at }) => at));
    nextAt = next === null ? null : new Date(next);
  }
  return fired.slice(0, 50);
}
