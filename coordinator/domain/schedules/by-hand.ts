import { type Backfilled, MOST_BACKFILLED } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import type { Executor } from '../../store/db';
import * as ticks from '../../store/schedules/ticks';
import * as store from '../../store/schedules/rows';
import { record } from '../audit/record';
import type { Actor, Caller } from '../auth/caller';
import { createWithin } from '../jobs/create-within';
import type { Created } from '../jobs/candidates/job-candidate';
import { itemOf } from './fire';
import { lockOrThrow } from './manage';
import { keyFaultText, resultOf } from './result';
import { ticksUntil } from './timing';

/**
 * Creates the job of a schedule now, whatever its times, policies, pause and end are.
 * @throws {BatonError} `not_found`; `state_conflict` when its key is no longer valid; the errors of a create
 */
export function runSchedule(context: Context, caller: Caller, by: Actor, id: string): Promise<Created> {
  return createWithin(context, async (transaction, create) => {
    const schedule = await lockCreating(transaction, caller, id);
    const [outcome] = await create([itemOf(schedule, schedule.now)]);
    if (outcome === undefined || outcome instanceof BatonError) throw outcome ?? new Error('nothing was created');
    const result = resultOf(schedule, CREATES, outcome);
    await ticks.insert(transaction, [
      { scheduleId: id, nth: schedule.ticks + 1, at: schedule.now, trigger: 'run', ...result },
    ]);
    await store.moveOn(transaction, [unmoved(schedule, 1)]);
    const details = { name: schedule.name, jobId: outcome.job.id };
    await record(transaction, by, [{ action: 'schedule.run', target: id, details }]);
    return outcome;
  });
}

/**
 * Creates the jobs of all ticks of a time span at once, regardless of the overlap policy, except for ticks that have
 * already created one.
 * @throws {BatonError} `not_found`; `validation_failed` for a span with too many ticks, or one that is not over;
 * `state_conflict` when its key is no longer valid
 */
export function backfillSchedule(
  context: Context,
  caller: Caller,
  by: Actor,
  id: string,
  span: { from: Date; to: Date },
): Promise<Backfilled> {
  return createWithin(context, async (transaction, create) => {
    const schedule = await lockCreating(transaction, caller, id);
    const all = ticksOf(schedule, span).map((at) => new Date(at));
    const known = await ticks.known(
      transaction,
      all.map((at) => ({ scheduleId: id, at })),
    );
    const done = known.filter(({ outcome }) => outcome === 'created' || outcome === 'buffered');
    const isDone = new Set(done.map(({ at }) => at.getTime()));
    const wanted = all.filter((at) => !isDone.has(at.getTime()));
    const outcomes = wanted.length === 0 ? [] : await create(wanted.map((at) => itemOf(schedule, at)));
    const entries = wanted.map((at, index): ticks.NewTick => {
      const result = resultOf(schedule, CREATES, outcomes[index]);
      return { scheduleId: id, nth: schedule.ticks + index + 1, at, trigger: 'backfill', ...result };
    });
    // Their earlier outcomes are replaced by the new ones.
    await ticks.forget(transaction, id, wanted);
    await ticks.insert(transaction, entries);
    await store.moveOn(transaction, [unmoved(schedule, entries.length)]);
    const of = (outcome: ticks.NewTick['outcome']): number => entries.filter((one) => one.outcome === outcome).length;
    const count = of('created');
    const details = { name: schedule.name, from: span.from.toISOString(), to: span.to.toISOString(), count };
    await record(transaction, by, [{ action: 'schedule.backfilled', target: id, details }]);
    return { count, existing: done.length + of('skipped'), refused: of('refused') };
  });
}

const CREATES = { does: 'create', reason: null, message: null } as const;

async function lockCreating(transaction: Executor, caller: Caller, id: string): Promise<store.LockedSchedule> {
  const schedule = await lockOrThrow(transaction, caller, id);
  const { keyFault, keyId } = schedule;
  if (keyFault !== null) throw new BatonError('state_conflict', keyFaultText(keyFault, keyId));
  return schedule;
}

function ticksOf(schedule: store.LockedSchedule, { from, to }: { from: Date; to: Date }): number[] {
  if (to > schedule.now) throw invalid('must not be in the future');
  const found = ticksUntil(schedule, from.getTime() - 1, to.getTime(), MOST_BACKFILLED + 1);
  if (found.length > MOST_BACKFILLED)
    throw invalid(`must be so close to from that there are at most ${MOST_BACKFILLED} ticks between them`);
  return found;
}

/** Leaves the times of the schedule unchanged. */
function unmoved({ id, nextAt, dueAt, bufferedAt }: store.LockedSchedule, entries: number): store.Fired {
  return { id, nextAt, dueAt, lastTickAt: null, bufferedAt, supersededBy: null, runs: 0, ticks: entries };
}

function invalid(message: string): BatonError {
  return new BatonError('validation_failed', `The body field to ${message}.`, { errors: [{ path: 'to', message }] });
}
