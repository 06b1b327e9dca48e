import { z } from 'zod';
import { parseJson } from './json-text';
import { payload, payloadObject } from './payload';
import {
  durationMs,
  id,
  labels,
  listOf,
  name,
  page,
  repeatable,
  text,
  timestamp,
  traceparent,
  tracestate,
} from './primitives';
import { itemError } from './problem';

export const jobStatus = z.enum(['blocked', 'pending', 'running', 'completed', 'failed', 'cancelled']);
export type JobStatus = z.infer<typeof jobStatus>;

export const attemptOutcome = z.enum(['running', 'completed', 'failed', 'timed_out', 'released', 'cancelled']);
export type AttemptOutcome = z.infer<typeof attemptOutcome>;

/** -100 to 100, higher first. */
export const priority = z.union([
  z.int().min(-100).max(100),
  z.enum(['high', 'normal', 'low']).transform((word) => ({ high: 10, normal: 0, low: -10 })[word]),
]);

const HOUR_MS = 3_600_000;
const backoff = {
  baseMs: durationMs(0, 30 * 24 * HOUR_MS)
    .default(4000)
    .describe('Wait before the first retry, in milliseconds, before jitter.'),
  maxMs: durationMs(0, 30 * 24 * HOUR_MS)
    .default(HOUR_MS)
    .describe('The longest wait, in milliseconds, jitter included.'),
  jitter: z
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe('Random extra wait, as a share of the wait: 0 adds none, 1 adds up to 100 %.'),
};
export const exponentialBackoff = z.strictObject({
  strategy: z.literal('exponential').describe('After n failures the wait is `baseMs` × `factor` ^ (n - 1).'),
  baseMs: backoff.baseMs,
  factor: z.number().min(1).max(100).default(2).describe('By how much the wait grows with each failure.'),
  maxMs: backoff.maxMs,
  jitter: backoff.jitter,
});
export const linearBackoff = z.strictObject({
  strategy: z.literal('linear').describe('After n failures the wait is `baseMs` × n.'),
  ...backoff,
});
export const fixedBackoff = z.strictObject({
  strategy: z.literal('fixed').describe('After each failure the wait is `baseMs`.'),
  ...backoff,
});

/**
 * How long a job waits before its next attempt; n counts its failures.
 * exponential: baseMs × factor^(n-1); linear: baseMs × n; fixed: baseMs. Each is stretched by a random share of up to
 * `jitter`, and never longer than `maxMs`.
 */
export const retryPolicy = z.discriminatedUnion(
  'strategy',
  [exponentialBackoff, linearBackoff, fixedBackoff],
  'must be an object whose strategy is exponential, linear or fixed',
);
export type RetryPolicy = z.infer<typeof retryPolicy>;
export const DEFAULT_RETRY: RetryPolicy = {
  strategy: 'exponential',
  baseMs: 4000,
  factor: 2,
  maxMs: HOUR_MS,
  jitter: 1,
};
export const DEFAULT_MAX_ATTEMPTS = 11;
export const DEFAULT_TIMEOUT_MS = 300_000;

/** The deadline of an attempt, as a multiple of its timeout; at 1.0 the runner aborts the handler. */
export const DEADLINE_FACTOR = 1.25;

const tags = z.array(text(100)).max(50);

/** How long one attempt may take, in milliseconds, up to a week; its deadline is `DEADLINE_FACTOR` × this. */
export const timeoutMs = durationMs(1, 604_800_000);

/** How many failures and timeouts a job may have, the last of which ends it. */
export const maxAttempts = z.int().min(1).max(1000);

/** Arguments of a job. Not `null`: a job without arguments has `{}`. */
export const jobArguments = payload.refine((value) => value !== null, 'must not be null; leave it out, which means {}');

/** A web URL without credentials. The coordinator decides which hosts, ports and schemes are allowed. */
export const callbackUrl = text(2000).refine(
  isWebAddress,
  'must be an http or https URL such as https://app.example.com/hooks, without user name and password',
);

function isWebAddress(address: string): boolean {
  if (!/^https?:\/\/[^/\\\s]/i.test(address) || !URL.canParse(address)) return false;
  const { username, password, hostname } = new URL(address);
  return username === '' && password === '' && hostname !== '';
}

/** The fields of a create of one job. */
export const jobFields = {
  type: name.describe('What kind of work it is. Runners claim jobs by type.'),
  queue: name.default('default').describe('The queue. Limits, pauses and statistics apply to queues.'),
  arguments: jobArguments.optional().describe('Any JSON value but null, handed to the handler; default: {}.'),
  // Defaults of these four: the queue's, else those of the coordinator's settings, else the contract's.
  priority: priority
    .optional()
    .describe(
      "Jobs with a higher priority are claimed first. -100 to 100, or `high` (10), `normal` (0), `low` (-10); default: the queue's, else 0.",
    ),
  /** When it may start; default now. Not with `delayMs`. */
  runAt: timestamp
    .optional()
    .describe('The earliest time the job may start; default: now. Cannot be combined with `delayMs`.'),
  delayMs: durationMs()
    .optional()
    .describe('How long to wait before the job may start, in milliseconds. Cannot be combined with `runAt`.'),
  timeoutMs: timeoutMs
    .optional()
    .describe(
      `How long one attempt may take, in milliseconds, at most a week. The runner aborts the handler after that; at ${DEADLINE_FACTOR} × this value the coordinator ends the attempt. Default: the queue's, else the setting's, else 300,000.`,
    ),
  maxAttempts: maxAttempts
    .optional()
    .describe(
      "After how many failed attempts the job fails for good; the first attempt counts. Default: the queue's, else the setting's, else 11.",
    ),
  retry: retryPolicy
    .optional()
    .describe(
      "How long to wait between attempts. Default: the queue's, else the setting's, else exponential from 4 s with factor 2, at most 1 h.",
    ),
  uniqueKey: text(500)
    .optional()
    .describe(
      'While an unfinished job of this type has the same key, no other is created: the existing job is returned.',
    ),
  /** How long the unique key is held, counted from the create, even when the job has completed. */
  uniqueForMs: durationMs(1)
    .optional()
    .describe(
      'How long the unique key is held, in milliseconds from the creation, even if the job completes earlier. A job that failed or was cancelled holds it no longer.',
    ),
  /**
   * What happens to a waiting job that holds the unique key: it is kept as it is, or takes over this one's arguments,
   * metadata and runAt.
   */
  onConflict: z
    .enum(['keep', 'replace'])
    .default('keep')
    .describe(
      'What happens to a waiting job that has the same unique key. `keep` leaves it unchanged; `replace` gives it the new arguments, metadata and `runAt`.',
    ),
  /** At most `concurrencyPerKey` jobs of the queue with the same key run at once, and start at its `keyRateLimit`. */
  concurrencyKey: text(200)
    .optional()
    .describe(
      'At most `concurrencyPerKey` jobs (a setting of the queue) with the same key run at the same time, and they start at most at its `keyRateLimit`. Keys take turns.',
    ),
  /** Jobs of the queue with the same key run one after the other, in the order of their creation. */
  orderKey: text(200)
    .optional()
    .describe('Jobs of the queue with the same key run one after the other, in the order of their creation.'),
  /**
   * Whether its failure blocks the later jobs of the order until it is retried or deleted, or they continue without it.
   */
  orderOnFailure: z
    .enum(['block', 'skip'])
    .default('block')
    .describe(
      'If this job fails: `block` holds back later jobs of the order key until it is retried or deleted, `skip` continues without it.',
    ),
  /** If it has not started by then, it is cancelled with reason `expired`. */
  expiresAt: timestamp
    .optional()
    .describe('If the job has not started by this time, it is cancelled with the reason `expired`.'),
  /** Labels a runner must have to get it: equal values, or for numbers a comparison such as `">=40"`. */
  requires: labels
    .optional()
    .describe('Labels that a runner must have: equal values, or for numbers a comparison such as `">=40"`.'),
  /** Like `requires`, but only a preference: for the first five seconds after it is due, only such runners get it. */
  prefers: labels
    .optional()
    .describe(
      'Labels that a runner should have: for the first 5 seconds after the job is due, only such runners get it.',
    ),
  tags: tags.default([]).describe('Words to find the job by.'),
  metadata: payloadObject
    .optional()
    .describe('A JSON object of your own, kept with the job and handed to the handler.'),
  /** The user it belongs to; a key of role `user` may name only its own user. */
  userId: text(200)
    .optional()
    .describe('The user that the job belongs to. A key of role `user` may only name its own user.'),
  /** Called when the job has finished, as webhooks are; signed with the creator's callback secret. */
  callbackUrl: callbackUrl
    .optional()
    .describe("Receives an HTTP POST when the job has finished, signed with the creator's callback secret."),
};

/** Dependencies of a job that is created on its own. */
const dependencyFields = {
  /** Ids of jobs that must end before this one starts. */
  dependsOn: z
    .array(id)
    .max(1000)
    .optional()
    .describe(
      'Ids of jobs that this one waits for, at most 1,000. It is `blocked` until all have ended, and receives their results.',
    ),
  /** What happens when one of them does not complete. */
  onDependencyFailure: z
    .enum(['cancel', 'run'])
    .optional()
    .describe(
      'If a job that this one waits for fails or is cancelled: `cancel` (the default) cancels this one at once, `run` starts it when all have ended, however they ended.',
    ),
};

export const createJob = z.strictObject({ ...jobFields, ...dependencyFields }).superRefine(checkTogether);
export type CreateJob = z.input<typeof createJob>;
export type NewJob = z.infer<typeof createJob>;

/** An `Idempotency-Key`: visible ASCII, at most 255 characters. */
export const idempotencyKey = z.string().regex(/^[\x21-\x7e]{1,255}$/, 'must be 1 to 255 visible ASCII characters');

/** Fields that are headers when a single job is created. */
const bulkFields = {
  idempotencyKey: idempotencyKey.optional().describe('As the header `Idempotency-Key`, for this job.'),
  traceparent: traceparent.optional().describe('As the header `Traceparent`, for this job.'),
  tracestate: tracestate.optional().describe('As the header `Tracestate`, for this job.'),
};
export const bulkJob = z.strictObject({ ...jobFields, ...dependencyFields, ...bulkFields }).superRefine(checkTogether);
/** A job of a batch: the key of the call applies to all of its jobs. */
export const batchJob = z
  .strictObject({
    ...jobFields,
    ...dependencyFields,
    traceparent: bulkFields.traceparent,
    tracestate: bulkFields.tracestate,
  })
  .superRefine(checkTogether);
export const createJobs = z.strictObject({
  jobs: z.array(z.unknown()).min(1).max(1000).describe('The jobs to create.'),
  atomic: z.boolean().default(true).describe('If true, all jobs are created or none. If false, each is judged alone.'),
});
export type CreateJobs = { jobs: z.input<typeof bulkJob>[]; atomic?: boolean };

/** Checks fields of a create that exclude each other. */
export function checkTogether(
  job: {
    runAt?: string;
    delayMs?: number;
    uniqueKey?: string;
    uniqueForMs?: number;
    onConflict?: string;
    dependsOn?: string[];
    onDependencyFailure?: string;
  },
  context: z.RefinementCtx,
) {
  if (job.runAt !== undefined && job.delayMs !== undefined) {
    context.addIssue({ code: 'custom', path: ['delayMs'], message: 'cannot stand beside runAt; send one of the two' });
  }
  if (job.onDependencyFailure !== undefined && (job.dependsOn === undefined || job.dependsOn.length === 0)) {
    context.addIssue({ code: 'custom', path: ['onDependencyFailure'], message: 'needs dependsOn' });
  }
  if (job.uniqueKey === undefined) {
    if (job.uniqueForMs !== undefined)
      context.addIssue({ code: 'custom', path: ['uniqueForMs'], message: 'needs a uniqueKey' });
    if (job.onConflict === 'replace')
      context.addIssue({ code: 'custom', path: ['onConflict'], message: 'needs a uniqueKey' });
  }
}

export const progress = z.object({
  percent: z.number().describe('How much is done, from 0 to 100.'),
  message: z.string().nullable().describe('What the job is doing at the moment, in words; null: not said.'),
  at: timestamp.describe('When the progress was reported.'),
});

/** The error of a failed attempt. */
export const jobError = z.object({
  message: z.string().describe('What went wrong.'),
  code: z
    .string()
    .optional()
    .describe('A short, stable word for the kind of error, such as `ECONNREFUSED` or `timed_out`.'),
  stack: z.string().optional().describe('The stack trace, if the runner sent one.'),
  retryable: z.boolean().optional().describe('False if the runner asked for no further attempt.'),
});
export type JobError = z.infer<typeof jobError>;

export const jobMetrics = z.object({
  durationMs: z.number().nullable().describe('How long the handler ran, in milliseconds; null: not measured.'),
  cpuMs: z.number().nullable().describe('Processor time that the handler used, in milliseconds; null: not measured.'),
  memoryPeakBytes: z.number().nullable().describe('Largest amount of memory in use, in bytes; null: not measured.'),
  cost: z.number().nullable().describe("Cost of the attempt, in the unit of the queue's prices; null: not computed."),
  custom: z.record(z.string(), z.number()).nullish().describe('Figures of the handler, by name; null or absent: none.'),
});
export type JobMetrics = z.infer<typeof jobMetrics>;

/** A job, as every client reads it. */
export const job = z.object({
  id: id.describe('Id of the job (UUIDv7).'),
  type: z.string().describe('What kind of work it is. Runners claim jobs by type.'),
  queue: z.string().describe('The queue of the job.'),
  status: jobStatus.describe(
    '`blocked`: waits for other jobs. `pending`: waits for its time or for a runner. `running`: a runner has it. `completed`, `failed`, `cancelled`: finished.',
  ),
  reason: z
    .string()
    .nullable()
    .describe('Why the job was cancelled, such as `expired`; null: not cancelled, or no reason was given.'),
  priority: z.int().describe('Jobs with a higher priority are claimed first.'),
  arguments: z.unknown().describe('The arguments that the job was created with.'),
  result: z.unknown().describe('What the handler returned; null: nothing, or the job has not completed.'),
  error: jobError.nullable().describe('What the latest failed attempt failed with; null: none failed.'),
  attempt: z.int().describe('Number of the latest attempt; 0: none yet. It never decreases.'),
  failures: z.int().describe('Attempts that failed or timed out since the job was created or last retried by hand.'),
  maxAttempts: z.int().describe('At how many `failures` the job fails for good.'),
  retry: retryPolicy.describe('How long the job waits between attempts.'),
  timeoutMs: z.int().describe('How long one attempt may take, in milliseconds.'),
  runAt: timestamp.describe('The earliest time the job may start its next attempt.'),
  expiresAt: timestamp.nullable().describe('If the job has not started by this time, it is cancelled; null: never.'),
  progress: progress.nullable().describe('The latest progress that the runner reported; null: none.'),
  estimate: z
    .object({
      startAt: timestamp.nullable().describe('When the job is expected to start; null: unknown.'),
      finishAt: timestamp.nullable().describe('When the job is expected to finish; null: unknown.'),
    })
    .nullable()
    .describe('When the job is expected to start and finish. Only given when one job is read, null in lists.'),
  userId: z.string().nullable().describe('The user that the job belongs to; null: none.'),
  tags: z.array(z.string()).describe('Words to find the job by.'),
  metadata: z.record(z.string(), z.unknown()).nullable().describe("A JSON object of the creator's own; null: none."),
  requires: labels.nullable().describe('Labels that a runner must have; null: none.'),
  prefers: labels.nullable().describe('Labels that a runner should have; null: none.'),
  uniqueKey: z.string().nullable().describe('The unique key that the job was created with; null: none.'),
  concurrencyKey: z.string().nullable().describe('Jobs with the same key share a concurrency limit; null: none.'),
  orderKey: z.string().nullable().describe('Jobs of the queue with the same key run one after the other; null: none.'),
  scheduleId: id.nullable().describe('Id of the schedule that created the job; null: none.'),
  dependsOn: z
    .array(id)
    .describe('Ids of the jobs that it waits for, or waited for; also of a workflow that it waits for.'),
  workflowId: id.nullable().describe('Id of the workflow that the job belongs to; null: none.'),
  runnerId: z.string().nullable().describe('The runner of the latest attempt; null: none yet.'),
  leaseExpiresAt: timestamp
    .nullable()
    .describe('When the current lease expires unless a heartbeat extends it; null: not running.'),
  deadlineAt: timestamp
    .nullable()
    .describe(
      `When the current attempt times out: ${DEADLINE_FACTOR} × \`timeoutMs\` after it started; null: not running.`,
    ),
  checkpoint: z.unknown().describe('The last checkpoint that an attempt saved; null: none.'),
  metrics: jobMetrics.nullable().describe('What the latest attempt used; null: not reported.'),
  callbackUrl: z.string().nullable().describe('Where the end of the job is posted to; null: nowhere.'),
  batchId: id.nullable().describe('The batch that the job belongs to; null: none.'),
  createdAt: timestamp.describe('When the job was created.'),
  startedAt: timestamp.nullable().describe('When the latest attempt started; null: none yet.'),
  finishedAt: timestamp.nullable().describe('When the job finished; null: not finished.'),
  updatedAt: timestamp.describe('When the job last changed.'),
});
export type Job = z.infer<typeof job>;

/** Fields of a job that lists leave out. */
export const largeField = z.enum(['arguments', 'result', 'metadata', 'checkpoint']);
export const omitted = z
  .array(largeField)
  .optional()
  .describe(
    'Values that are too large for a list, and null here. Read the job by its id, or name them in `fields`; absent: none.',
  );
export const listedJob = job.extend({ omitted });
export type ListedJob = z.infer<typeof listedJob>;
export const jobList = listOf(listedJob);

/** A field of a job that has no effect with the current settings. */
export const jobNote = z.object({
  code: z.enum(['concurrency_key_unlimited', 'user_not_counted']).describe('A stable code for the note.'),
  message: z.string().describe('The note in words, and what to do about it.'),
});
export type JobNote = z.infer<typeof jobNote>;

/** A job as returned by its create. */
export const createdJob = listedJob.extend({
  notes: z
    .array(jobNote)
    .optional()
    .describe('What of the job has no effect as its queue is set; left out when there is nothing to say.'),
});
export type CreatedJob = z.infer<typeof createdJob>;

export type JobList = z.infer<typeof jobList>;
/** A list with `fields`: the id, and the requested fields. */
export const partialJob = listedJob.partial().required({ id: true });
export const partialJobList = listOf(partialJob);
export const createdJobs = z.object({
  jobs: z
    .array(z.union([createdJob, itemError]))
    .describe(
      'The created jobs in the order of the request. With `atomic: false`, an error stands where a job was refused.',
    ),
});
export type CreatedJobs = z.infer<typeof createdJobs>;

/** Query parameters are text. */
const askedPriority = z.union([
  priority,
  z
    .string()
    .regex(/^-?\d{1,3}$/)
    .transform(Number)
    .pipe(z.int().min(-100).max(100)),
]);

/** Filters of a list or bulk verb; several values of one field mean any of them, several fields mean all. */
const filterFields = {
  id: repeatable(id).optional().describe('Only the jobs with these ids. May be repeated.'),
  status: repeatable(jobStatus)
    .optional()
    .describe('Only jobs with this status. May be repeated: any of the values matches.'),
  type: repeatable(name).optional().describe('Only jobs of this type. May be repeated.'),
  queue: repeatable(name).optional().describe('Only jobs in this queue. May be repeated.'),
  userId: repeatable(text(200)).optional().describe('Only jobs of this user. May be repeated.'),
  tag: repeatable(text(100)).optional().describe('Only jobs with this tag. May be repeated.'),
  runnerId: repeatable(text(200))
    .optional()
    .describe('Only jobs whose latest attempt was given to this runner. May be repeated.'),
  scheduleId: repeatable(id).optional().describe('Only jobs that this schedule created. May be repeated.'),
  workflowId: repeatable(id).optional().describe('Only jobs of this workflow. May be repeated.'),
  fingerprint: repeatable(text(64))
    .optional()
    .describe('Only failed jobs of this group of dead letters. May be repeated.'),
  priority: repeatable(askedPriority).optional().describe('Only jobs with this priority. May be repeated.'),
  concurrencyKey: repeatable(text(200)).optional().describe('Only jobs with this concurrency key. May be repeated.'),
  orderKey: repeatable(text(200)).optional().describe('Only jobs with this order key. May be repeated.'),
  uniqueKey: repeatable(text(500)).optional().describe('Only jobs with this unique key. May be repeated.'),
  batchId: repeatable(id).optional().describe('Only jobs of this batch. May be repeated.'),
  finishedAfter: timestamp.optional().describe('Only jobs that finished after this time.'),
  finishedBefore: timestamp.optional().describe('Only jobs that finished before this time.'),
  createdAfter: timestamp.optional().describe('Only jobs created after this time.'),
  createdBefore: timestamp.optional().describe('Only jobs created before this time.'),
};

export const jobFilter = z.strictObject({
  ...filterFields,
  arguments: payloadObject.optional().describe('Only jobs whose arguments contain this JSON object.'),
});
export type JobFilter = z.infer<typeof jobFilter>;

export const listJobsQuery = z.strictObject({
  ...filterFields,
  arguments: z
    .string()
    .max(10_000)
    .transform(jsonOf)
    .pipe(payloadObject)
    .optional()
    .describe('Only jobs whose arguments contain this JSON object, written as text.'),
  ...page,
});
const jobFieldNames = z.enum(Object.keys(job.shape) as [keyof Job, ...(keyof Job)[]]);
export const listJobsPageQuery = listJobsQuery.extend({
  fields: z
    .union([z.string(), z.array(z.string())])
    .transform((sent) => [sent].flat().flatMap((names) => names.split(',')))
    .pipe(z.array(jobFieldNames).min(1))
    .optional()
    .describe(
      'Only these fields of each job, separated by commas; the id always. Large values that are named here are answered whole.',
    ),
});
export const countJobsQuery = listJobsQuery.omit({ limit: true, cursor: true }).extend({
  most: z.coerce
    .number()
    .int()
    .min(1)
    .max(100_000)
    .default(10_000)
    .describe('Up to how many jobs are counted exactly.'),
});
export const jobCount = z.object({
  count: z.int().describe('Number of jobs that match; with `isMore`, the bound.'),
  isMore: z.boolean().describe('Whether more jobs match than were counted.'),
});
export type JobCount = z.infer<typeof jobCount>;
export type ListJobsQuery = z.input<typeof listJobsQuery>;

function jsonOf(source: string, context: z.RefinementCtx): unknown {
  try {
    return parseJson(source);
  } catch {
    context.addIssue({ code: 'custom', message: 'must be a JSON object, such as {"movieId":603}' });
    return z.NEVER;
  }
}

export const attempt = z.object({
  attempt: z.int().describe('Number of the attempt, starting at 1.'),
  runnerId: z.string().describe('The runner that claimed the job.'),
  startedAt: timestamp.describe('When the attempt started.'),
  finishedAt: timestamp.nullable().describe('When the attempt ended; null: it is running.'),
  outcome: attemptOutcome.describe('How the attempt ended.'),
  error: jobError.nullable().describe('What the attempt failed with; null: it did not fail.'),
  metrics: jobMetrics.nullable().describe('What the attempt used; null: not reported.'),
  lateResult: z
    .unknown()
    .describe(
      'What the runner reported after it had lost the lease. It is kept for reading and has no effect; null: none.',
    ),
});
export type Attempt = z.infer<typeof attempt>;
export const attemptList = listOf(attempt);
export const listAttemptsQuery = z.strictObject({
  ...page,
  limit: z.coerce.number().int().min(1).max(500).default(500).describe('The largest number of items to return.'),
});

export const cancelJob = z.strictObject({
  reason: text(500).optional().describe('Why the job is cancelled; kept with the job.'),
});

export const editJob = z
  .strictObject({
    priority: priority.optional().describe('The new priority.'),
    runAt: timestamp.optional().describe('The new earliest start.'),
    tags: tags.optional().describe('The new tags; they replace the old ones.'),
  })
  .refine((edit) => Object.keys(edit).length > 0, 'must change at least one of priority, runAt, tags');
export type EditJob = z.input<typeof editJob>;

/** How long a call may wait before it answers, in milliseconds. */
export const waitMs = z.coerce.number().int().min(0).max(50_000);
export const waitQuery = z.strictObject({
  waitMs: waitMs
    .default(30_000)
    .describe(
      'How long to wait for the end of the job, in milliseconds. The answer comes after 45,000 ms at the latest.',
    ),
});
