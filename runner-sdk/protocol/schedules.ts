import { z } from 'zod';
import { checkTogether, jobFields } from './jobs';
import { durationMs, id, listOf, name, page, repeatable, text, timestamp } from './primitives';

const DAY_MS = 86_400_000;
/** How late a tick may be and still count as on time, whatever `catchUp` is, in milliseconds. */
export const TICK_GRACE_MS = 60_000;
/** The smallest `everyMs`. */
export const LEAST_EVERY_MS = 1000;

/** What a tick does while an earlier job of the schedule has not finished. */
export const overlapPolicy = z.enum(['allow', 'skip', 'buffer_one', 'cancel_previous']);
export type OverlapPolicy = z.infer<typeof overlapPolicy>;

/** What happens to ticks that were missed because no coordinator was running. */
export const catchUpPolicy = z.enum(['none', 'latest', 'all']);
export type CatchUpPolicy = z.infer<typeof catchUpPolicy>;

/** The schedule decides when its jobs run, so they cannot have fixed times. */
const { runAt: _runAt, expiresAt: _expiresAt, ...repeatedFields } = jobFields;

const scheduledFields = {
  ...repeatedFields,
  expiresInMs: durationMs(1)
    .optional()
    .describe(
      'If a job has not started so long after it was created, it is cancelled with the reason `expired`, in milliseconds. A schedule takes this instead of `expiresAt`.',
    ),
};

/** What each tick creates. */
export const scheduledJob = z.strictObject(scheduledFields).superRefine(checkTogether);
export type ScheduledJob = z.infer<typeof scheduledJob>;
export type CreateScheduledJob = z.input<typeof scheduledJob>;

/** The same as returned: with the defaults at the time it was set, without fields that were left out. */
export const scheduledJobView = z.object({
  ...scheduledFields,
  arguments: z.unknown().optional().describe('The arguments of each job; absent: {}.'),
  priority: z.int().optional().describe("The priority of each job; absent: the queue's, else 0."),
});

export const isTimezone = (zone: string): boolean => {
  try {
    // Offsets such as +01:00 are accepted only by some versions of Node.
    return (
      /^[A-Za-z]/.test(zone) && new Intl.DateTimeFormat('en-US', { timeZone: zone }) instanceof Intl.DateTimeFormat
    );
  } catch {
    return false;
  }
};

const cron = text(200).describe(
  'When it ticks: a cron expression of 5 fields (minute, hour, day of month, month, day of week) or of 6 (seconds first), or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. Either `cron` or `everyMs` is needed.',
);
const everyMs = durationMs(LEAST_EVERY_MS).describe(
  'When it ticks: every so many milliseconds, counted from `startsAt`, or else from the creation of the schedule. Either `cron` or `everyMs` is needed.',
);
const timezone = z
  .string()
  .min(1)
  .max(64)
  .refine(isTimezone, 'must be an IANA time zone such as Europe/Berlin or UTC')
  .describe(
    'The IANA time zone in which `cron` is read. On the day that clocks go forward, a tick whose time does not exist comes at the next instant that does (with `*` hours it is left out); on the day that they go back, one whose time comes twice comes at the first (with `*` or a step in the hours at each).',
  );

const fields = {
  name: name.describe('Name of the schedule, unique among those of its user.'),
  cron,
  everyMs,
  timezone,
  job: scheduledJob.describe(
    'The job that each tick creates: a create of a job without `runAt`, `expiresAt` and keys of its own. It is checked now as if it were created now.',
  ),
  overlap: overlapPolicy.describe(
    'What a tick does while an earlier job of the schedule has not finished. `allow`: creates its job all the same. `skip`: creates none. `buffer_one`: creates its job when the earlier one has finished; at most one tick waits so. `cancel_previous`: cancels the earlier one and creates its job.',
  ),
  catchUp: catchUpPolicy.describe(
    'What becomes of ticks that are more than 60 s late, because no coordinator or no database was there. `none`: they are skipped. `latest`: the most recent one is made up for, unless a later one is on time. `all`: all are.',
  ),
  catchUpWindowMs: durationMs(TICK_GRACE_MS).describe(
    'Ticks that are later than this are not made up for, in milliseconds.',
  ),
  jitterMs: durationMs(0, DAY_MS).describe(
    'Ticks fire up to so many milliseconds late, each schedule by an offset of its own that does not change, so that many with the same times do not fire at once.',
  ),
  startsAt: timestamp.nullable().describe('No tick is before this time; null: ticks begin at once.'),
  endsAt: timestamp.nullable().describe('No tick is after this time; null: they do not end.'),
  maxRuns: z
    .int()
    .min(1)
    .max(1_000_000_000)
    .nullable()
    .describe('The schedule ends once its ticks have created so many jobs; null: any number.'),
  enabled: z.boolean().describe('Whether it ticks; false: it is paused.'),
};

const settled = {
  ...fields,
  cron: fields.cron.optional(),
  everyMs: fields.everyMs.optional(),
  timezone: fields.timezone.default('UTC'),
  overlap: fields.overlap.default('allow'),
  catchUp: fields.catchUp.default('none'),
  catchUpWindowMs: fields.catchUpWindowMs.default(7 * DAY_MS),
  jitterMs: fields.jitterMs.default(0),
  startsAt: fields.startsAt.default(null),
  endsAt: fields.endsAt.default(null),
  maxRuns: fields.maxRuns.default(null),
};

export const createSchedule = z
  .strictObject({ ...settled, enabled: fields.enabled.default(true) })
  .superRefine(checkTiming);
export type CreateSchedule = z.input<typeof createSchedule>;
export type NewSchedule = z.infer<typeof createSchedule>;

/** Creates the schedule of this name, or replaces its settings: what is left out gets its default. */
export const putSchedule = z
  .strictObject({
    ...settled,
    enabled: fields.enabled
      .optional()
      .describe(
        'Whether it ticks. Left out: a new schedule ticks, and one that is there stays as it is, so that a deployment does not resume what somebody paused.',
      ),
  })
  .superRefine(checkTiming);
export type PutSchedule = z.input<typeof putSchedule>;
export type WantedSchedule = z.infer<typeof putSchedule>;

/** What is left out stays as it is. */
export const editSchedule = z
  .strictObject({
    name: fields.name.optional(),
    cron: fields.cron.optional().describe('A cron expression; it replaces `cron` or `everyMs`.'),
    everyMs: fields.everyMs.optional().describe('A number of milliseconds; it replaces `cron` or `everyMs`.'),
    timezone: fields.timezone.optional(),
    job: fields.job
      .optional()
      .describe(
        'The job that each tick creates; it replaces the old one as a whole, and is from now on created in the name of the key of this call.',
      ),
    overlap: fields.overlap.optional(),
    catchUp: fields.catchUp.optional(),
    catchUpWindowMs: fields.catchUpWindowMs.optional(),
    jitterMs: fields.jitterMs.optional(),
    startsAt: fields.startsAt.optional(),
    endsAt: fields.endsAt.optional(),
    maxRuns: fields.maxRuns.optional(),
    enabled: fields.enabled.optional().describe('Whether it ticks; as `pause` and `resume`.'),
  })
  .superRefine((edit, context) => {
    if (Object.keys(edit).length === 0)
      context.addIssue({ code: 'custom', path: [], message: 'must change at least one field' });
    if (edit.cron !== undefined && edit.everyMs !== undefined) bothGiven(context);
  });
export type EditSchedule = z.input<typeof editSchedule>;
export type ScheduleEdit = z.infer<typeof editSchedule>;

export const schedule = z.object({
  id: id.describe('Id of the schedule (UUIDv7).'),
  name: z.string().describe('Name of the schedule, unique among those of its user.'),
  userId: z.string().nullable().describe('The user that the schedule and its jobs belong to; null: none.'),
  status: z
    .enum(['active', 'paused', 'ended'])
    .describe('`active`: it ticks. `paused`: it does not until it is resumed. `ended`: it has no ticks any more.'),
  cron: z.string().nullable().describe('The cron expression; null: it ticks by `everyMs`.'),
  everyMs: z.int().nullable().describe('The time between two ticks, in milliseconds; null: it ticks by `cron`.'),
  timezone: z.string().describe('The IANA time zone in which `cron` is read.'),
  job: scheduledJobView.describe('The job that each tick creates.'),
  overlap: overlapPolicy.describe('What a tick does while an earlier job of the schedule has not finished.'),
  catchUp: catchUpPolicy.describe('What becomes of ticks that are more than 60 s late.'),
  catchUpWindowMs: z.int().describe('Ticks that are later than this are not made up for, in milliseconds.'),
  jitterMs: z.int().describe('By how much ticks fire late at the most, in milliseconds.'),
  startsAt: timestamp.nullable().describe('No tick is before this time; null: no bound.'),
  endsAt: timestamp.nullable().describe('No tick is after this time; null: no bound.'),
  maxRuns: z.int().nullable().describe('After how many jobs of ticks it ends; null: no bound.'),
  runs: z.int().describe('Number of jobs that its ticks have created; those of `run` and `backfill` do not count.'),
  enabled: z.boolean().describe('Whether it ticks; false: it is paused.'),
  paused: z
    .object({
      by: z.string().describe('Name of the API key that paused it.'),
      reason: z.string().nullable().describe('Why it was paused; null: no reason was given.'),
      at: timestamp.describe('When it was paused.'),
    })
    .nullable()
    .describe('Who paused it and why; null: it is not paused.'),
  nextAt: timestamp
    .nullable()
    .describe('The next tick; it fires then, or up to `jitterMs` later. null: paused, or ended.'),
  lastTickAt: timestamp.nullable().describe('The latest tick, whether it created a job or not; null: none yet.'),
  bufferedAt: timestamp
    .nullable()
    .describe('The tick whose job waits for the end of an earlier one, with `buffer_one`; null: none does.'),
  keyId: z
    .string()
    .describe(
      'Id of the API key in whose name the jobs are created: that of the call that last set `job`. Once it is revoked or has expired, ticks are refused; after a rotation it is the successor.',
    ),
  createdAt: timestamp.describe('When the schedule was created.'),
  updatedAt: timestamp.describe('When somebody last changed it.'),
});
export type Schedule = z.infer<typeof schedule>;
export const scheduleList = listOf(schedule);
export const listSchedulesQuery = z.strictObject({
  ...page,
  name: repeatable(name).optional().describe('Only schedules with this name. May be repeated.'),
  userId: repeatable(text(200)).optional().describe('Only schedules of this user. May be repeated.'),
  queue: repeatable(name).optional().describe('Only schedules whose jobs are for this queue. May be repeated.'),
  type: repeatable(name).optional().describe('Only schedules whose jobs are of this type. May be repeated.'),
});

export const pauseSchedule = z.strictObject({
  reason: text(500).optional().describe('Why it is paused; shown with the schedule.'),
});

export const tickOutcome = z.enum(['created', 'skipped', 'buffered', 'refused']);
export type TickOutcome = z.infer<typeof tickOutcome>;

export const scheduleTick = z.object({
  at: timestamp.describe('The time of the tick; of a `run`, when it was called.'),
  outcome: tickOutcome.describe(
    '`created`: a job was created. `skipped`: none was, by the policies of the schedule. `buffered`: its job waits for the end of an earlier one. `refused`: a job could not be created.',
  ),
  jobId: id.nullable().describe('Id of the job that was created; null: none.'),
  reason: z
    .string()
    .nullable()
    .describe(
      'Why there is no job. `overlap`: an earlier job had not finished. `missed`: it was too late. `superseded`: a later tick was due at the same time. `deduplicated`: another job holds the unique key. `paused`: the schedule was paused while the tick was buffered. `key_revoked`, `key_expired`: the key of the schedule is no good any more. Otherwise the code of the error that a create would have been answered with. null: there is a job.',
    ),
  message: z.string().nullable().describe('The reason in words; null: there is none.'),
  trigger: z
    .enum(['time', 'run', 'backfill'])
    .describe(
      '`time`: the tick was due. `run`: somebody ran the schedule by hand. `backfill`: somebody asked for past ticks.',
    ),
  recordedAt: timestamp.describe('When the tick was decided.'),
});
export type ScheduleTick = z.infer<typeof scheduleTick>;
export const scheduleTickList = listOf(scheduleTick);
export const listTicksQuery = z.strictObject({
  ...page,
  outcome: repeatable(tickOutcome).optional().describe('Only ticks with this outcome. May be repeated.'),
});

/** Most ticks in one backfill. */
export const MOST_BACKFILLED = 1000;
export const backfillSchedule = z
  .strictObject({
    from: timestamp.describe('The first time whose ticks are made up for.'),
    to: timestamp.describe('The last time whose ticks are made up for; not in the future.'),
  })
  .refine(({ from, to }) => Date.parse(from) <= Date.parse(to), { path: ['to'], message: 'must not be before from' });
export const backfilled = z.object({
  count: z.int().describe('Number of jobs that were created.'),
  existing: z.int().describe('Ticks that had created a job before, and so were left alone.'),
  refused: z.int().describe('Ticks whose job could not be created; the ticks of the schedule tell why.'),
});
export type Backfilled = z.infer<typeof backfilled>;

const count = z.coerce.number().int().min(1).max(100).default(5).describe('How many ticks to tell.');
export const nextTicksQuery = z.strictObject({ count });
export const nextTicks = z.object({
  items: z.array(timestamp).describe('The next ticks, without jitter; fewer than asked for when it ends before.'),
});
export type NextTicks = z.infer<typeof nextTicks>;

export const previewSchedule = z
  .strictObject({
    cron: fields.cron.optional(),
    everyMs: fields.everyMs.optional(),
    timezone: settled.timezone,
    startsAt: settled.startsAt,
    endsAt: settled.endsAt,
    after: timestamp.optional().describe('Ticks after this time; default: now.'),
    count: z.int().min(1).max(100).default(5).describe('How many ticks to tell.'),
  })
  .superRefine(checkTiming);
export type PreviewSchedule = z.input<typeof previewSchedule>;

function checkTiming(
  timing: {
    cron?: string | undefined;
    everyMs?: number | undefined;
    startsAt: string | null;
    endsAt: string | null;
  },
  context: z.RefinementCtx,
) {
  if (timing.cron !== undefined && timing.everyMs !== undefined) bothGiven(context);
  if (timing.cron === undefined && timing.everyMs === undefined)
    context.addIssue({ code: 'custom', path: ['cron'], message: 'is needed, unless there is everyMs' });
  const { startsAt, endsAt } = timing;
  if (startsAt !== null && endsAt !== null && Date.parse(endsAt) < Date.parse(startsAt))
    context.addIssue({ code: 'custom', path: ['endsAt'], message: 'must not be before startsAt' });
}

function bothGiven(context: z.RefinementCtx): void {
  context.addIssue({ code: 'custom', path: ['everyMs'], message: 'cannot stand beside cron; send one of the two' });
}
