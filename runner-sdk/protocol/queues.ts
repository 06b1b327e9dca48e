import { z } from 'zod';
import { durationMs, name, text, timestamp } from './primitives';
import { retention } from './retention';

/** A limit that is set, or `null` to take it away. */
const limit = z.int().min(1).max(1_000_000).nullable();

/** At most `max` starts at once, refilled evenly with `max` over `perMs` (a token bucket). */
export const rateLimit = z.strictObject({ max: z.int().min(1).max(1_000_000), perMs: durationMs(1, 30 * 86_400_000) });

const price = z.number().min(0).max(1_000_000_000).default(0);

/**
 * What an attempt costs, in a unit of your own: `base`, and `perSecond` for each second from claim to end, and `perGbSecond`
 * for each of these seconds and each 10⁹ bytes of memory that it held at its peak.
 */
export const queueCost = z.strictObject({ base: price, perSecond: price, perGbSecond: price });

/** What is left out stays as it is. */
export const setQueue = z
  .strictObject({
    /** How many of the queue's jobs run at once. */
    concurrency: limit.optional(),
    /** How many of its jobs with the same `concurrencyKey` run at once. */
    concurrencyPerKey: limit.optional(),
    rateLimit: rateLimit.nullable().optional(),
    /** How many of its jobs one user may create within any `perMs`; jobs that belong to no user are not counted. */
    userRateLimit: rateLimit.nullable().optional(),
    /** Whether users, and concurrency keys, take turns. */
    fair: z.boolean().optional(),
    /** `null`: as by default, for all endings. */
    retention: retention.nullable().optional(),
    /** `null`: attempts have no price. */
    cost: queueCost.nullable().optional(),
  })
  .refine(
    (settings) => Object.keys(settings).length > 0,
    'must set at least one of concurrency, concurrencyPerKey, rateLimit, userRateLimit, fair, retention, cost',
  );
export type SetQueue = z.input<typeof setQueue>;

export const pauseQueue = z.strictObject({
  reason: text(500).optional(),
  /** The pause ends by itself then. */
  untilAt: timestamp.optional(),
});

export const pause = z.object({
  by: z.string(),
  reason: z.string().nullable(),
  at: timestamp,
  untilAt: timestamp.nullable(),
});

export const queue = z.object({
  name: z.string(),
  /** Jobs that are pending or blocked, due or not. */
  waiting: z.int(),
  running: z.int(),
  /** How long the longest due of its waiting jobs has been due. */
  oldestAgeMs: z.number().nullable(),
  /** Jobs created, and jobs finished, in the last minute. */
  inPerMinute: z.int(),
  outPerMinute: z.int(),
  paused: pause.nullable(),
  concurrency: z.int().nullable(),
  concurrencyPerKey: z.int().nullable(),
  rateLimit: rateLimit.nullable(),
  userRateLimit: rateLimit.nullable(),
  fair: z.boolean(),
  /** What is set for this queue; null: finished jobs are kept as by default. */
  retention: retention.nullable(),
  /** What an attempt costs; null: nothing is reckoned. */
  cost: queueCost.nullable(),
});
export type Queue = z.infer<typeof queue>;
export const queueList = z.object({ items: z.array(queue) });
export const queueName = name;

export const scaleQuery = z.strictObject({
  /** How long a job may wait before it starts. */
  targetMs: z.coerce.number().int().min(100).max(86_400_000).default(10_000),
  /** How many jobs one runner runs at once. */
  perRunner: z.coerce.number().int().min(1).max(10_000).default(1),
});

/** For autoscalers: KEDA's metrics-api scaler reads any of these with its `valueLocation`. */
export const scale = z.object({
  waiting: z.int(),
  running: z.int(),
  /** How many runners it takes to start every due job within `targetMs`; 0 when there is nothing to do. */
  wanted: z.int(),
  oldestAgeMs: z.number().nullable(),
  /** How long a job of this queue runs, from those that finished lately; null: none did. */
  meanRunMs: z.number().nullable(),
});
export type Scale = z.infer<typeof scale>;

/** Why a job does not run, most decisive first. */
export const waitReason = z.enum([
  'finished',
  'running',
  'scheduled',
  'retry_backoff',
  'held_by_concurrency_key',
  'held_by_order',
  'queue_paused',
  'queue_concurrency',
  'queue_rate_limit',
  'no_runner_for_type',
  'no_runner_for_queue',
  'no_runner_for_labels',
  'runners_draining',
  'prefers_other_runners',
  'in_line',
]);
export const explanation = z.object({
  status: z.string(),
  reasons: z.array(z.object({ code: waitReason, message: z.string(), details: z.record(z.string(), z.unknown()) })),
});
export type Explanation = z.infer<typeof explanation>;
