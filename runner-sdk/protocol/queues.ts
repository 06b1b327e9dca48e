import { z } from 'zod';
import { jobNote, maxAttempts, priority, retryPolicy, timeoutMs } from './jobs';
import { durationMs, listOf, name, page, text, timestamp } from './primitives';
import { retention } from './retention';

/** A limit to set, or `null` to remove it. */
const limit = z.int().min(1).max(1_000_000).nullable();

const MOST_WAITING = 100_000_000;

/** At most `max` starts at once, refilled evenly with `max` over `perMs` (a token bucket). */
export const rateLimit = z.strictObject({
  max: z.int().min(1).max(1_000_000).describe('How many are allowed within `perMs`, and at once.'),
  perMs: durationMs(1, 30 * 86_400_000).describe('The period, in milliseconds.'),
});

const price = z.number().min(0).max(1_000_000_000).default(0);

/**
 * The cost of an attempt, in a unit of your own: `base`, plus `perSecond` for each second from claim to end, plus
 * `perGbSecond` for each of these seconds and each 10⁹ bytes of peak memory.
 */
export const queueCost = z.strictObject({
  base: price.describe('Price of an attempt.'),
  perSecond: price.describe('Price of each second from the claim to the end of the attempt.'),
  perGbSecond: price.describe("Price of each second and each 10⁹ bytes of the attempt's memory peak."),
});

/** Defaults of the queue's jobs; members that are left out follow the coordinator's settings. */
export const jobDefaults = z
  .strictObject({
    priority: priority.optional().describe('Priority of jobs that bring none.'),
    maxAttempts: maxAttempts
      .optional()
      .describe('After how many failed attempts jobs fail for good that bring no `maxAttempts`.'),
    timeoutMs: timeoutMs
      .optional()
      .describe('How long one attempt may take, in milliseconds, of jobs that bring no `timeoutMs`.'),
    retry: retryPolicy.optional().describe('How long jobs that bring no `retry` wait between attempts.'),
  })
  .refine(
    (defaults) => Object.keys(defaults).length > 0,
    'must hold at least one of priority, maxAttempts, timeoutMs, retry; null takes them all away',
  );

/** What is left out stays as it is. */
export const setQueue = z
  .strictObject({
    concurrency: limit.optional().describe('How many jobs of the queue run at the same time; null: no limit.'),
    concurrencyPerKey: limit
      .optional()
      .describe('How many jobs with the same `concurrencyKey` run at the same time; null: no limit.'),
    rateLimit: rateLimit
      .nullable()
      .optional()
      .describe(
        'How many jobs of the queue may start within a period (a token bucket, refilled evenly); null: no limit.',
      ),
    keyRateLimit: rateLimit
      .nullable()
      .optional()
      .describe(
        'How many jobs with the same `concurrencyKey` may start within a period (a token bucket for each key); jobs without a key are not limited by it. null: no limit.',
      ),
    userRateLimit: rateLimit
      .nullable()
      .optional()
      .describe(
        'How many jobs each user may create in the queue within a period; jobs without a user are not counted. null: no limit.',
      ),
    maxWaiting: z
      .int()
      .min(1)
      .max(MOST_WAITING)
      .nullable()
      .optional()
      .describe(
        'How many jobs of the queue may wait, due or not; creates over it are refused with `queue_full`. null: no limit.',
      ),
    defaults: jobDefaults
      .nullable()
      .optional()
      .describe(
        'What jobs have that are created from now on and leave it out. Replaces all defaults that were set before; null: none.',
      ),
    fair: z.boolean().optional().describe('Whether users, and concurrency keys, take turns.'),
    retention: retention
      .nullable()
      .optional()
      .describe("How long finished jobs of the queue are kept; null: the coordinator's defaults."),
    checkArguments: z
      .boolean()
      .optional()
      .describe(
        'Whether creates are refused, with `invalid_arguments`, when their arguments fit none of the JSON Schemas that runners have published of the type.',
      ),
    cost: queueCost.nullable().optional().describe('What an attempt costs, in a unit of your own; null: no prices.'),
  })
  .refine(
    (settings) => Object.keys(settings).length > 0,
    'must set at least one of concurrency, concurrencyPerKey, rateLimit, keyRateLimit, userRateLimit, maxWaiting, defaults, fair, retention, checkArguments, cost',
  );
export type SetQueue = z.input<typeof setQueue>;

export const pauseQueue = z.strictObject({
  reason: text(500).optional().describe('Why the queue is paused; shown in the list of queues.'),
  untilAt: timestamp.optional().describe('When the pause ends by itself; default: when somebody resumes the queue.'),
});

export const pause = z.object({
  by: z.string().describe('Name of the key that paused the queue.'),
  reason: z.string().nullable().describe('Why the queue is paused; null: no reason was given.'),
  at: timestamp.describe('When the queue was paused.'),
  untilAt: timestamp.nullable().describe('When the pause ends by itself; null: when somebody resumes the queue.'),
});

export const queue = z.object({
  name: z.string().describe('Name of the queue.'),
  waiting: z.int().describe('Jobs that are pending or blocked, due or not.'),
  running: z.int().describe('Jobs that are running.'),
  oldestAgeMs: z
    .number()
    .nullable()
    .describe('How long the oldest due job has been waiting, in milliseconds; null: no job is due.'),
  inPerMinute: z.int().describe('Jobs created in the last minute.'),
  outPerMinute: z.int().describe('Jobs finished in the last minute.'),
  paused: pause.nullable().describe('Who paused the queue and why; null: it is not paused.'),
  concurrency: z.int().nullable().describe('How many jobs of the queue run at the same time; null: no limit.'),
  concurrencyPerKey: z
    .int()
    .nullable()
    .describe('How many jobs with the same `concurrencyKey` run at the same time; null: no limit.'),
  rateLimit: rateLimit.nullable().describe('How many jobs of the queue may start within a period; null: no limit.'),
  keyRateLimit: rateLimit
    .nullable()
    .describe('How many jobs with the same `concurrencyKey` may start within a period; null: no limit.'),
  userRateLimit: rateLimit
    .nullable()
    .describe('How many jobs each user may create in the queue within a period; null: no limit.'),
  maxWaiting: z.int().nullable().describe('How many jobs of the queue may wait; null: no limit.'),
  defaults: jobDefaults
    .nullable()
    .describe("What the queue's jobs have that leave it out; null: the coordinator's defaults."),
  fair: z.boolean().describe('Whether users, and concurrency keys, take turns.'),
  retention: retention
    .nullable()
    .describe("How long finished jobs of the queue are kept; null: the coordinator's defaults."),
  checkArguments: z.boolean().describe('Whether arguments must fit a schema that runners have published.'),
  cost: queueCost.nullable().describe('What an attempt costs; null: no prices.'),
});
export type Queue = z.infer<typeof queue>;
export const queueList = listOf(queue);
export const listQueuesQuery = z.strictObject({
  ...page,
  limit: z.coerce.number().int().min(1).max(500).default(500).describe('The largest number of items to return.'),
});
export const queueName = name;

export const scaleQuery = z.strictObject({
  targetMs: z.coerce
    .number()
    .int()
    .min(100)
    .max(86_400_000)
    .default(10_000)
    .describe('How long a due job may wait before it starts, in milliseconds.'),
  perRunner: z.coerce
    .number()
    .int()
    .min(1)
    .max(10_000)
    .default(1)
    .describe('How many jobs one runner runs at the same time.'),
});

/** For autoscalers: KEDA's metrics-api scaler reads any of these with its `valueLocation`. */
export const scale = z.object({
  waiting: z.int().describe('Jobs that are pending or blocked, due or not.'),
  running: z.int().describe('Jobs that are running.'),
  wanted: z.int().describe('How many runners are needed to start every due job within `targetMs`; 0: none.'),
  oldestAgeMs: z
    .number()
    .nullable()
    .describe('How long the oldest due job has been waiting, in milliseconds; null: no job is due.'),
  meanRunMs: z
    .number()
    .nullable()
    .describe('Mean run time of the jobs that finished lately, in milliseconds; null: none did.'),
});
export type Scale = z.infer<typeof scale>;

/** Why a job does not run, most decisive first. */
export const waitReason = z.enum([
  'finished',
  'running',
  'waits_for_jobs',
  'waits_for_decision',
  'scheduled',
  'retry_backoff',
  'held_by_concurrency_key',
  'key_rate_limit',
  'held_by_order',
  'queue_paused',
  'queue_concurrency',
  'queue_rate_limit',
  'no_runner_for_type',
  'no_runner_for_queue',
  'no_runner_for_labels',
  'runners_draining',
  'prefers_other_runners',
  'arguments_fit_no_schema',
  'in_line',
]);
export const explanation = z.object({
  status: z.string().describe('Status of the job.'),
  reasons: z
    .array(
      z.object({
        code: waitReason.describe('A stable code for the reason.'),
        message: z.string().describe('The reason in words.'),
        details: z.record(z.string(), z.unknown()).describe('Data behind the reason; the fields depend on `code`.'),
      }),
    )
    .describe('Why the job is not running, the most decisive reason first.'),
  notes: z.array(jobNote).describe('What of the job has no effect as its queue is set, whatever it waits for.'),
});
export type Explanation = z.infer<typeof explanation>;
export const rateLimitsQuery = z.strictObject({
  userId: text(200)
    .optional()
    .describe('The user to read; default for a key of role `user`: its own user. Required for other roles.'),
});

/** Limits on how many jobs one user creates, by queue, for queues that have one. */
export const rateLimits = z.record(
  z.string(),
  z.object({
    limit: z.int().describe("How many jobs the user may create within the queue's period."),
    count: z.int().describe('How many jobs count at present.'),
    remaining: z.int().describe('How many more the user may create now.'),
    resetAt: timestamp.nullable().describe('When the oldest counted job stops counting; null: none counts.'),
  }),
);
export type RateLimits = z.infer<typeof rateLimits>;
