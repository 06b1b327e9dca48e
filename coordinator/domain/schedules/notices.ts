import type { NoticeName } from '@baton/runner-sdk/protocol';
import type { Context } from '../../context';
import type { Executor } from '../../store/db';
import { tellAll } from '../../store/events';
import type { NewTick } from '../../store/schedules/ticks';
import type { ScheduleRow } from '../../store/schedules/rows';

/** What is reported about a schedule, to the log, to listeners and to webhooks. */
export interface Notice {
  name: Extract<NoticeName, `schedule.${string}`>;
  userId: string | null;
  details: Record<string, unknown>;
}

export function noticeOf(
  name: Notice['name'],
  { id, name: schedule, userId, job }: Pick<ScheduleRow, 'id' | 'name' | 'userId' | 'job'>,
  more: Record<string, unknown> = {},
): Notice {
  return { name, userId, details: { scheduleId: id, schedule, queue: job.queue, type: job.type, ...more } };
}

export function refusedNotice(schedule: ScheduleRow, { at, reason, message }: NewTick): Notice {
  return noticeOf('schedule.refused', schedule, { tickAt: at.toISOString(), reason, message });
}

/** Call it in the transaction of the change. */
export function writeNotices(transaction: Executor, notices: Notice[]): Promise<void> {
  return tellAll(transaction, notices);
}

/** Call it after the commit. */
export function logNotices({ log }: Context, notices: readonly Notice[]): void {
  for (const { name, details } of notices) {
    // Log lines have a `message` of their own.
    const { message, ...rest } = details;
    const facts = message === undefined ? rest : { ...rest, note: message };
    if (name === 'schedule.refused') log.warn(name, facts);
    else log.info(name, facts);
  }
}
