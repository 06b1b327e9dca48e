import { z } from 'zod';
import { payload, payloadObject } from './payload';
import { durationMs, id, labels, listOf, name, page, repeatable, text, timestamp } from './primitives';
import { itemError } from './problem';
import { traceparent, tracestate } from './tracing';

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
const backoffLimits = {
  baseMs: durationMs(0, 30 * 24 * HOUR_MS),
  maxMs: durationMs(0, 30 * 24 * HOUR_MS),
  jitter: z.number().min(0).max(1),
};

/**
 * How long a job waits before its next attempt; n counts its failures.
 * exponential: baseMs × factor^(n-1); linear: baseMs × n; fixed: baseMs. Each is stretched by a random share of up to
 * `jitter`, and never longer than `maxMs`.
 */
export const retryPolicy = z.discriminatedUnion(
  'strategy',
  [
    z.strictObject({
      strategy: z.literal('exponential'),
      baseMs: backoffLimits.baseMs.default(4000),
      factor: z.number().min(1).max(100).default(2),
      maxMs: backoffLimits.maxMs.default(HOUR_MS),
      jitter: backoffLimits.jitter.default(1),
    }),
    z.strictObject({
      strategy: z.literal('linear'),
      baseMs: backoffLimits.baseMs.default(4000),
      maxMs: backoffLimits.maxMs.default(HOUR_MS),
      jitter: backoffLimits.jitter.default(1),
    }),
    z.strictObject({
      strategy: z.literal('fixed'),
      baseMs: backoffLimits.baseMs.default(4000),
      maxMs: backoffLimits.maxMs.default(HOUR_MS),
      jitter: backoffLimits.jitter.default(1),
    }),
  ],
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

const tags = z.array(text(100)).max(50);

/** How long one attempt may take, in milliseconds, up to a week; its lease ends for good at 1.25 × this. */
export const timeoutMs = durationMs(1, 604_800_000);

/** What a job is about. Not `null`: a job without arguments has `{}`. */
export const jobArguments = payload.refine((value) => value !== null, 'must not be null; leave it out, which means {}');

/** An address on the web, without credentials. Which hosts, ports and schemes are allowed is the coordinator's to say. */
export const callbackUrl = text(2000).refine(
  isWebAddress,
  'must be an http or https URL such as https://app.example.com/hooks, without user name and password',
);

function isWebAddress(address: string): boolean {
  if (!/^https?:\/\/[^/\\\s]/i.test(address) || !URL.canParse(address)) return false;
  const { username, password, hostname } = new URL(address);
  return username === '' && password === '' && hostname !== '';
}

const jobFields = {
  type: name,
  queue: name.default('default'),
  arguments: jobArguments.optional(),
  priority: priority.default(0),
  /** When it may start; default now. Not with `delayMs`. */
  runAt: timestamp.optional(),
  delayMs: durationMs().optional(),
  timeoutMs: timeoutMs.default(300_000),
  maxAttempts: z.int().min(1).max(1000).default(DEFAULT_MAX_ATTEMPTS),
  retry: retryPolicy.optional(),
  uniqueKey: text(500).optional(),
  /** How long the unique key is held, counted from the create, though the job may have finished. */
  uniqueForMs: durationMs(1).optional(),
  /** What happens to the job that holds the unique key, if it still waits: it is kept as it is, or takes over this one's
   * arguments, metadata and runAt. */
  onConflict: z.enum(['keep', 'replace']).default('keep'),
  /** At most `concurrencyPerKey` jobs of the queue with the same key run at once; keys take turns. */
  concurrencyKey: text(200).optional(),
  /** Jobs of the queue with the same key run one after the other, in the order of their creation. */
  orderKey: text(200).optional(),
  /** Whether its failure blocks those behind it, until it is retried or deleted, or they go on without it. */
  orderOnFailure: z.enum(['block', 'skip']).default('block'),
  /** After this moment it is not started any more, but cancelled with reason `expired`. */
  expiresAt: timestamp.optional(),
  /** Labels a runner must have to get it: equal values, or for numbers a comparison such as `">=40"`. */
  requires: labels.optional(),
  /** Like `requires`, but only a preference: for the first five seconds after it is due, such runners alone get it. */
  prefers: labels.optional(),
  tags: tags.default([]),
  metadata: payloadObject.optional(),
  /** Whose job it is; a key of role `user` may name only its own user. */
  userId: text(200).optional(),
  /** Told when the job has finished, as webhooks are; signed with the creator's callback secret. */
  callbackUrl: callbackUrl.optional(),
};

export const createJob = z.strictObject(jobFields).superRefine(checkTogether);
export type CreateJob = z.input<typeof createJob>;
export type NewJob = z.infer<typeof createJob>;

/** An `Idempotency-Key`: visible ASCII, at most 255 characters. */
export const idempotencyKey = z.string().regex(/^[\x21-\x7e]{1,255}$/, 'must be 1 to 255 visible ASCII characters');

/** What stands in headers where one job is created. */
const bulkFields = {
  idempotencyKey: idempotencyKey.optional(),
  traceparent: traceparent.optional(),
  tracestate: tracestate.optional(),
};
export const bulkJob = z.strictObject({ ...jobFields, ...bulkFields }).superRefine(checkTogether);
export const createJobs = z.strictObject({
  jobs: z.array(z.unknown()).min(1).max(1000),
  /** All or none; with `false` each job is judged alone. */
  atomic: z.boolean().default(true),
});
export type CreateJobs = { jobs: z.input<typeof bulkJob>[]; atomic?: boolean };

function checkTogether(
  job: { runAt?: string; delayMs?: number; uniqueKey?: string; uniqueForMs?: number; onConflict: string },
  context: z.RefinementCtx,
) {
  if (job.runAt !== undefined && job.delayMs !== undefined) {
    context.addIssue({ code: 'custom', path: ['delayMs'], message: 'cannot stand beside runAt; send one of the two' });
  }
  if (job.uniqueKey === undefined) {
    if (job.uniqueForMs !== undefined)
      context.addIssue({ code: 'custom', path: ['uniqueForMs'], message: 'needs a uniqueKey' });
    if (job.onConflict === 'replace')
      context.addIssue({ code: 'custom', path: ['onConflict'], message: 'needs a uniqueKey' });
  }
}

export const progress = z.object({ percent: z.number(), message: z.string().nullable(), at: timestamp });

/** What an attempt failed with. */
export const jobError = z.object({
  message: z.string(),
  code: z.string().optional(),
  stack: z.string().optional(),
  retryable: z.boolean().optional(),
});
export type JobError = z.infer<typeof jobError>;

export const jobMetrics = z.object({
  durationMs: z.number().nullable(),
  cpuMs: z.number().nullable(),
  memoryPeakBytes: z.number().nullable(),
  cost: z.number().nullable(),
});
export type JobMetrics = z.infer<typeof jobMetrics>;

/** A job, as every client reads it. */
export const job = z.object({
  id,
  type: z.string(),
  queue: z.string(),
  status: jobStatus,
  reason: z.string().nullable(),
  priority: z.int(),
  arguments: z.unknown(),
  result: z.unknown(),
  error: jobError.nullable(),
  attempt: z.int(),
  failures: z.int(),
  maxAttempts: z.int(),
  retry: retryPolicy,
  timeoutMs: z.int(),
  runAt: timestamp,
  expiresAt: timestamp.nullable(),
  progress: progress.nullable(),
  /** When it is expected to start and to finish; told when one job is read, not in lists. */
  estimate: z.object({ startAt: timestamp.nullable(), finishAt: timestamp.nullable() }).nullable(),
  userId: z.string().nullable(),
  tags: z.array(z.string()),
  metadata: z.record(z.string(), z.unknown()).nullable(),
  requires: labels.nullable(),
  prefers: labels.nullable(),
  uniqueKey: z.string().nullable(),
  concurrencyKey: z.string().nullable(),
  orderKey: z.string().nullable(),
  dependsOn: z.array(id),
  workflowId: id.nullable(),
  batchId: id.nullable(),
  scheduleId: id.nullable(),
  runnerId: z.string().nullable(),
  leaseExpiresAt: timestamp.nullable(),
  deadlineAt: timestamp.nullable(),
  checkpoint: z.unknown(),
  metrics: jobMetrics.nullable(),
  callbackUrl: z.string().nullable(),
  createdAt: timestamp,
  /** When its latest attempt started. */
  startedAt: timestamp.nullable(),
  finishedAt: timestamp.nullable(),
  updatedAt: timestamp,
});
export type Job = z.infer<typeof job>;

export const jobList = listOf(job);
export type JobList = z.infer<typeof jobList>;
export const createdJobs = z.object({ jobs: z.array(z.union([job, itemError])) });
export type CreatedJobs = z.infer<typeof createdJobs>;

/** What a list, or a verb in bulk, takes; several values of one field mean any of them, several fields mean all. */
const filterFields = {
  status: repeatable(jobStatus).optional(),
  type: repeatable(name).optional(),
  queue: repeatable(name).optional(),
  userId: repeatable(text(200)).optional(),
  tag: repeatable(text(100)).optional(),
  runnerId: repeatable(text(200)).optional(),
  /** Failed jobs that failed alike. */
  fingerprint: repeatable(text(64)).optional(),
  createdAfter: timestamp.optional(),
  createdBefore: timestamp.optional(),
};

export const jobFilter = z.strictObject({ ...filterFields, arguments: payloadObject.optional() });
export type JobFilter = z.infer<typeof jobFilter>;

export const listJobsQuery = z.strictObject({
  ...filterFields,
  /** A JSON object, as text, that the job's arguments must contain. */
  arguments: z.string().max(10_000).transform(parseJson).pipe(payloadObject).optional(),
  ...page,
});
export type ListJobsQuery = z.input<typeof listJobsQuery>;

function parseJson(source: string, context: z.RefinementCtx): unknown {
  try {
    return JSON.parse(source);
  } catch {
    context.addIssue({ code: 'custom', message: 'must be a JSON object, such as {"movieId":603}' });
    return z.NEVER;
  }
}

export const attempt = z.object({
  attempt: z.int(),
  runnerId: z.string(),
  startedAt: timestamp,
  finishedAt: timestamp.nullable(),
  outcome: attemptOutcome,
  error: jobError.nullable(),
  metrics: jobMetrics.nullable(),
  /** What its runner reported after it had lost the lease; kept, but without effect. */
  lateResult: z.unknown(),
});
export type Attempt = z.infer<typeof attempt>;
export const attemptList = z.object({ items: z.array(attempt) });

export const cancelJob = z.strictObject({ reason: text(500).optional() });

export const editJob = z
  .strictObject({ priority: priority.optional(), runAt: timestamp.optional(), tags: tags.optional() })
  .refine((edit) => Object.keys(edit).length > 0, 'must change at least one of priority, runAt, tags');
export type EditJob = z.input<typeof editJob>;

/** How long a call may wait before it answers, in milliseconds. */
export const waitMs = z.coerce.number().int().min(0).max(50_000);
export const waitQuery = z.strictObject({ waitMs: waitMs.default(30_000) });
