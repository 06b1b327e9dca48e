import { isDeepStrictEqual } from 'node:util';
import type { NewSchedule, ScheduledJob, ScheduleEdit, WantedSchedule } from '@baton/runner-sdk/protocol';
import { v7 as uuidv7 } from 'uuid';
import type { Context } from '../../context';
import { BatonError } from '../../errors';
import { type Executor, isUniqueViolation } from '../../store/db';
import * as ticks from '../../store/schedules/ticks';
import * as store from '../../store/schedules/rows';
import { get } from '../../store/views/schedules';
import { type AuditedAction, record } from '../audit/record';
import { type Actor, type Caller, visibleUser } from '../auth/caller';
import { covers } from '../auth/scope';
import { logNotices, noticeOf, type Notice, writeNotices } from './notices';
import { requireCreatable, storedCaller } from './scheduled-job';
import { dueOf, nextTick, requireTicks } from './timing';

/** Who changes a schedule, as caller and as actor in the audit log. */
interface Changer {
  caller: Caller;
  by: Actor;
}

/**
 * Creates a schedule. Its job is checked as if it were created now.
 * @throws {BatonError} `name_taken`; `validation_failed` for one that would never tick; `state_conflict` for too many;
 * the errors of a create
 */
export async function createSchedule(
  context: Context,
  changer: Changer,
  wanted: NewSchedule,
): Promise<store.ScheduleRow> {
  const draft = draftOf(changer.caller, wanted);
  await requireCreatable(context, changer.caller, wanted.job);
  try {
    return await changed(context, async (transaction) =>
      insertDraft(context, transaction, changer, draft, wanted.enabled),
    );
  } catch (error) {
    throw isUniqueViolation(error, NAME_INDEX) ? nameTaken(draft) : error;
  }
}

/**
 * Creates the schedule of this name and user, or changes it. A paused one stays paused, and one whose times are
 * unchanged keeps its next tick, so that a deployment changes only what it means to.
 * @throws {BatonError} as `createSchedule`
 */
export async function putSchedule(
  context: Context,
  changer: Changer,
  wanted: WantedSchedule,
): Promise<{ row: store.ScheduleRow; isNew: boolean }> {
  const { caller } = changer;
  const draft = draftOf(caller, wanted);
  await requireCreatable(context, caller, wanted.job);
  requireTicks(draft);
  const put = async (): Promise<{ row: store.ScheduleRow; isNew: boolean }> => {
    let isNew = false;
    const row = await changed(context, async (transaction) => {
      const former = await store.lockNamed(transaction, draft);
      isNew = former === null;
      if (former === null) return insertDraft(context, transaction, changer, draft, wanted.enabled ?? true);
      if (!covers(caller, former.job)) throw nameTaken(draft);
      return updateTo(transaction, changer, former, draft, wanted.enabled);
    });
    return { row, isNew };
  };
  // When two calls put the same new schedule at once, the second finds that of the first.
  return put().catch((error: unknown) => {
    if (!isUniqueViolation(error, NAME_INDEX)) throw error;
    return put();
  });
}

/** @throws {BatonError} `not_found`, and as `createSchedule` */
export async function editSchedule(
  context: Context,
  changer: Changer,
  id: string,
  edit: ScheduleEdit,
): Promise<store.ScheduleRow> {
  const { caller } = changer;
  const { enabled, job, cron, everyMs, startsAt, endsAt, ...rest } = edit;
  if (job !== undefined) await requireCreatable(context, caller, job);
  try {
    return await changed(context, async (transaction) => {
      const former = await lockOrThrow(transaction, caller, id);
      const draft: store.ScheduleSettings = {
        ...settingsOf(former),
        ...defined(rest),
        ...(cron === undefined ? {} : { cron, everyMs: null }),
        ...(everyMs === undefined ? {} : { everyMs, cron: null }),
        ...(startsAt === undefined ? {} : { startsAt: dateOf(startsAt) }),
        ...(endsAt === undefined ? {} : { endsAt: dateOf(endsAt) }),
        ...(job === undefined
          ? {}
          : { job: sameUsers(former, caller, job), keyId: caller.keyId, caller: storedCaller(caller) }),
      };
      if (draft.startsAt !== null && draft.endsAt !== null && draft.endsAt < draft.startsAt)
        throw invalid('endsAt', 'must not be before startsAt');
      requireTicks(draft);
      return updateTo(transaction, changer, former, draft, enabled);
    });
  } catch (error) {
    throw isUniqueViolation(error, NAME_INDEX) && edit.name !== undefined ? nameTaken({ name: edit.name }) : error;
  }
}

/**
 * Pauses a schedule; a buffered tick is skipped. One that is already paused gets the new reason.
 * @throws {BatonError} `not_found`
 */
export function pauseSchedule(
  context: Context,
  changer: Changer,
  id: string,
  reason: string | null,
): Promise<store.ScheduleRow> {
  return changed(context, async (transaction) => {
    const former = await lockOrThrow(transaction, changer.caller, id);
    return updateTo(transaction, changer, former, settingsOf(former), false, reason);
  });
}

/**
 * Resumes a schedule from now; ticks during the pause are not caught up.
 * @throws {BatonError} `not_found`
 */
export function resumeSchedule(context: Context, changer: Changer, id: string): Promise<store.ScheduleRow> {
  return changed(context, async (transaction) => {
    const former = await lockOrThrow(transaction, changer.caller, id);
    return updateTo(transaction, changer, former, settingsOf(former), true);
  });
}

/**
 * Deletes a schedule with its history. Its jobs stay, and unfinished ones continue.
 * @throws {BatonError} `not_found`
 */
export async function deleteSchedule(context: Context, { caller, by }: Changer, id: string): Promise<void> {
  const notice = await context.db.transaction(async (transaction) => {
    const row = await lockOrThrow(transaction, caller, id);
    await store.remove(transaction, id);
    await record(transaction, by, [{ action: 'schedule.deleted', target: id, details: told(row) }]);
    return written(transaction, noticeOf('schedule.deleted', row));
  });
  logNotices(context, [notice]);
}

/** @throws {BatonError} `not_found` */
export async function findSchedule(context: Context, caller: Caller, id: string): Promise<store.ScheduleRow> {
  return orNotFound(await get(context.db, scopeOf(caller), id), id);
}

/** @throws {BatonError} `not_found` */
export async function lockOrThrow(transaction: Executor, caller: Caller, id: string): Promise<store.LockedSchedule> {
  return orNotFound(await store.lock(transaction, scopeOf(caller), id), id);
}

export function scopeOf(caller: Caller): store.ScheduleScope {
  return { userId: visibleUser(caller), queues: caller.queues, types: caller.types };
}

/** Schedules without a user are created by services, for all their users. */
const MOST_OF_NOBODY = 100_000;
const NAME_INDEX = 'schedules_name_idx';

interface Change {
  row: store.ScheduleRow;
  now: Date;
  notices: Notice[];
}

/** Commits a change, and then publishes it. */
async function changed(
  context: Context,
  change: (transaction: Executor) => Promise<Change>,
): Promise<store.ScheduleRow> {
  const { row, now, notices } = await context.db.transaction(change);
  if (row.dueAt !== null) context.notifications.publishScheduled(row.dueAt.getTime() - now.getTime());
  logNotices(context, notices);
  return row;
}

async function insertDraft(
  context: Context,
  transaction: Executor,
  { by }: Changer,
  draft: store.ScheduleSettings,
  isEnabled: boolean,
): Promise<Change> {
  const { userId, jitterMs } = draft;
  const most = userId === null ? MOST_OF_NOBODY : context.maxSchedules;
  if ((await store.count(transaction, userId)) >= most) {
    throw new BatonError(
      'state_conflict',
      `There are ${most} schedules ${userId === null ? 'that belong to no user' : `of the user ${userId}`} already, and no more are allowed; delete one.`,
    );
  }
  const id = uuidv7();
  const now = await store.readNow(transaction);
  requireTicks(draft);
  const next = nextTick({ ...draft, createdAt: now }, now.getTime());
  if (next === null) throw invalid('endsAt', 'must not be before the first tick');
  const paused = isEnabled ? null : { by: by.keyName, reason: null };
  const due = dueOf(id, jitterMs, isEnabled ? next : null);
  const row = await store.insert(transaction, { id, ...draft, ...due, createdAt: now, paused });
  await record(transaction, by, [{ action: 'schedule.created', target: id, details: told(row) }]);
  return { row, now, notices: [await written(transaction, noticeOf('schedule.created', row))] };
}

/**
 * @param isEnabled undefined: unchanged
 * @param reason of the pause
 */
async function updateTo(
  transaction: Executor,
  { by }: Changer,
  former: store.LockedSchedule,
  draft: store.ScheduleSettings,
  isEnabled: boolean | undefined,
  reason: string | null = null,
): Promise<Change> {
  const { id, now, pausedAt, pausedBy, pausedReason, bufferedAt } = former;
  const pauses = isEnabled === false && (pausedAt === null || reason !== null);
  const resumes = isEnabled === true && pausedAt !== null;
  const changes = changesOf(former, draft);
  if (!pauses && !resumes && changes.length === 0) return { row: former, now, notices: [] };
  const kept = pausedAt === null || resumes ? null : { by: pausedBy ?? '', reason: pausedReason };
  const paused = pauses ? { by: by.keyName, reason } : kept;
  if (pauses && bufferedAt !== null) await skipBuffered(transaction, id, bufferedAt);
  const due = paused === null ? dueOf(id, draft.jitterMs, nextOf(former, draft)) : { nextAt: null, dueAt: null };
  const row = await store.update(transaction, id, { ...draft, ...due, paused });
  const notices = [];
  const actions: AuditedAction[] = [];
  if (changes.length > 0) {
    notices.push(noticeOf('schedule.updated', row, { changed: changes }));
    actions.push({ action: 'schedule.edited', target: id, details: { ...told(row), changed: changes } });
  }
  if (pauses) {
    notices.push(noticeOf('schedule.paused', row, { by: by.keyName, reason }));
    actions.push({ action: 'schedule.paused', target: id, details: { name: row.name, reason } });
  }
  if (resumes) {
    notices.push(noticeOf('schedule.resumed', row));
    actions.push({ action: 'schedule.resumed', target: id, details: { name: row.name } });
  }
  await record(transaction, by, actions);
  await writeNotices(transaction, notices);
  return { row, now, notices };
}

/** The next tick: unchanged, unless its times have changed. */
function nextOf(former: store.LockedSchedule, draft: store.ScheduleSettings): number | null {
  if (draft.maxRuns !== null && former.runs >= draft.maxRuns) return null;
  const isSame = TIMES.every((field) => isDeepStrictEqual(former[field], draft[field]));
  if (isSame && former.nextAt !== null) return former.nextAt.getTime();
  return nextTick({ ...draft, createdAt: former.createdAt }, former.now.getTime());
}

const TIMES = ['cron', 'everyMs', 'timezone', 'startsAt', 'endsAt'] as const;

async function skipBuffered(transaction: Executor, scheduleId: string, at: Date): Promise<void> {
  const message = 'The schedule was paused while the tick waited for the end of an earlier job.';
  await ticks.settleBuffered(transaction, [
    { scheduleId, at, outcome: 'skipped', jobId: null, reason: 'paused', message },
  ]);
}

function draftOf(caller: Caller, wanted: NewSchedule | WantedSchedule): store.ScheduleSettings {
  const { enabled: _enabled, cron, everyMs, startsAt, endsAt, job, ...rest } = wanted;
  const userId = visibleUser(caller) ?? job.userId ?? null;
  return {
    ...rest,
    userId,
    cron: cron ?? null,
    everyMs: everyMs ?? null,
    startsAt: dateOf(startsAt),
    endsAt: dateOf(endsAt),
    job: storedJob(job, userId),
    keyId: caller.keyId,
    caller: storedCaller(caller),
  };
}

/** The job as it reads after being stored. */
function storedJob(job: ScheduledJob, userId: string | null): ScheduledJob {
  return JSON.parse(JSON.stringify({ ...job, ...(userId === null ? {} : { userId }) })) as ScheduledJob;
}

function sameUsers(former: store.ScheduleRow, caller: Caller, job: ScheduledJob): ScheduledJob {
  const userId = visibleUser(caller) ?? job.userId ?? former.userId;
  if (userId !== former.userId)
    throw invalid(
      'job.userId',
      `must stay ${former.userId === null ? 'left out' : JSON.stringify(former.userId)}: a schedule does not change its user; create another one`,
    );
  return storedJob(job, userId);
}

function settingsOf(row: store.ScheduleRow): store.ScheduleSettings {
  const { name, userId, cron, everyMs, timezone, job, overlap, catchUp, catchUpWindowMs, jitterMs } = row;
  const { startsAt, endsAt, maxRuns, keyId, caller } = row;
  return {
    ...{ name, userId, cron, everyMs, timezone, job, overlap, catchUp, catchUpWindowMs, jitterMs },
    ...{ startsAt, endsAt, maxRuns, keyId, caller },
  };
}

/** Names of the fields that differ. */
function changesOf(former: store.ScheduleRow, draft: store.ScheduleSettings): string[] {
  const fields = Object.keys(draft) as (keyof store.ScheduleSettings)[];
  // The rights of a key never change, so the key's id is enough.
  return fields.filter((field) => field !== 'caller' && !isDeepStrictEqual(former[field], draft[field]));
}

/** The settings for the audit log, without the arguments. */
function told({ name, userId, cron, everyMs, timezone, job, overlap, catchUp }: store.ScheduleRow) {
  return { name, userId, cron, everyMs, timezone, queue: job.queue, type: job.type, overlap, catchUp };
}

async function written(transaction: Executor, notice: Notice): Promise<Notice> {
  await writeNotices(transaction, [notice]);
  return notice;
}

function orNotFound<Row>(row: Row | null, id: string): Row {
  if (row === null) throw new BatonError('not_found', `There is no schedule with id ${id}.`);
  return row;
}

function nameTaken({ name }: { name: string }): BatonError {
  return new BatonError(
    'name_taken',
    `There is a schedule with the name ${JSON.stringify(name)} already. PUT /schedules changes it; or give this one another name.`,
  );
}

function invalid(path: string, message: string): BatonError {
  return new BatonError('validation_failed', `The body field ${path} ${message}.`, { errors: [{ path, message }] });
}

function dateOf(time: string | null): Date | null {
  return time === null ? null : new Date(time);
}

function defined<Fields extends object>(fields: Fields): Partial<Fields> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<Fields>;
}
