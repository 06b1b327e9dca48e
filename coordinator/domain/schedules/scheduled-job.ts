import type { NewJob, ScheduledJob } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import type { ScheduleCaller, ScheduleRow, ScheduleSettings } from '../../store/schedules/rows';
import type { Caller } from '../auth/caller';
import { requireFitting } from '../job-types/fit';
import { check } from '../jobs/create';

/** The caller in whose name a schedule creates its jobs. */
export function callerOf({ keyId, caller }: Pick<ScheduleSettings, 'keyId' | 'caller'>): Caller {
  return { keyId, ...caller };
}

export function storedCaller({ name, role, userId, queues, types }: Caller): ScheduleCaller {
  return { name, role, userId, queues, types };
}

/**
 * The job of one tick.
 * @param now the database's time
 */
export function jobOf({ job }: Pick<ScheduleRow, 'job'>, tickAt: Date, now: Date): NewJob {
  const { expiresInMs, metadata, ...rest } = job;
  return {
    ...rest,
    metadata: { ...(metadata as object | undefined), tickAt: tickAt.toISOString() },
    ...(expiresInMs === undefined ? {} : { expiresAt: new Date(now.getTime() + expiresInMs).toISOString() }),
  };
}

const ANY_TIME = new Date(0);

/**
 * Refuses a job that could not be created, except for temporary reasons.
 * @throws {BatonError} whose errors name fields of the schedule
 */
export async function requireCreatable(context: Context, caller: Caller, job: ScheduledJob): Promise<void> {
  const checked = check(context, { caller, job: jobOf({ job }, ANY_TIME, ANY_TIME) });
  if (!(checked instanceof BatonError)) return requireFitting(context, checked.job, 'job');
  const errors = checked.errors?.map(({ path, message }) => ({ path: path === '' ? 'job' : `job.${path}`, message }));
  throw new BatonError(checked.code, checked.message, errors === undefined ? {} : { errors });
}
