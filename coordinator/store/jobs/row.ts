import type { JobStatus } from '@baton/runner-sdk/protocol';
import type { Job } from '../../generated/prisma/client';
import { sql } from '../db';

export type JobRow = Job;

/** A job's columns under the names of the model; the table's alias is `j`. */
export const JOB_COLUMNS = sql`
  j.id, j.type, j.queue, j.priority, j.status, j.reason, j.lane_id AS "laneId", j.run_at AS "runAt", j.arguments, j.result,
  j.error, j.fingerprint, j.metadata, j.requires, j.prefers, j.tags, j.user_id AS "userId", j.position, j.hold, j.concurrency_key AS "concurrencyKey",
  j.order_key AS "orderKey", j.order_seq AS "orderSeq", j.order_blocks AS "orderBlocks", j.unique_key AS "uniqueKey", j.unique_until AS "uniqueUntil",
  j.expires_at AS "expiresAt", j.attempt, j.failures, j.max_attempts AS "maxAttempts", j.retry, j.timeout_ms AS "timeoutMs",
  j.runner_id AS "runnerId", j.claim_id AS "claimId", j.lease_token AS "leaseToken", j.lease_ms AS "leaseMs",
  j.lease_expires_at AS "leaseExpiresAt", j.deadline_at AS "deadlineAt", j.progress, j.checkpoint, j.metrics, j.callback, j.trace,
  j.created_at AS "createdAt", j.started_at AS "startedAt", j.finished_at AS "finishedAt", j.updated_at AS "updatedAt"`;

/**
 * For jobs that are found by their ids. As text, lest the planner takes an index of running jobs, which it believes to be
 * few because they were when it last counted, and reads all of them for each id.
 */
export const STILL_RUNNING = sql`j.status::text = 'running'`;

/** A job that was moved, as far as events and replies need it. */
export interface Moved {
  id: string;
  /** The token that moved it. */
  leaseToken: string;
  type: string;
  queue: string;
  userId: string | null;
  attempt: number;
  runnerId: string | null;
  status: JobStatus;
  concurrencyKey: string | null;
  orderKey: string | null;
  runAt: Date;
  dueInMs: number;
  /** How long its latest attempt ran. */
  runMs: number;
}

export const MOVED_COLUMNS = sql`
  j.id, j.type, j.queue, j.user_id AS "userId", j.attempt, j.runner_id AS "runnerId", j.status,
  j.concurrency_key AS "concurrencyKey", j.order_key AS "orderKey", j.run_at AS "runAt", extract(epoch FROM j.run_at - now())::float8 * 1000 AS "dueInMs",
  extract(epoch FROM now() - j.started_at)::float8 * 1000 AS "runMs"`;
