import type { JobStatus } from '@baton/runner-sdk/protocol';
import type { Job } from '../../generated/prisma/client';
import { type Sql, sql } from '../db';

export type JobRow = Job;

/** All but the values that callers may make large. */
const LIGHT_COLUMNS = sql`
  j.id, j.type, j.queue, j.priority, j.status, j.reason, j.lane_id AS "laneId", j.run_at AS "runAt",
  j.error, j.fingerprint, j.requires, j.prefers, j.tags, j.user_id AS "userId", j.position, j.hold, j.concurrency_key AS "concurrencyKey",
  j.order_key AS "orderKey", j.order_seq AS "orderSeq", j.order_blocks AS "orderBlocks", j.unique_key AS "uniqueKey", j.unique_until AS "uniqueUntil",
  j.expires_at AS "expiresAt", j.attempt, j.failures, j.max_attempts AS "maxAttempts", j.retry, j.timeout_ms AS "timeoutMs",
  j.runner_id AS "runnerId", j.claim_hash AS "claimHash", j.lease_token AS "leaseToken", j.lease_ms AS "leaseMs",
  j.lease_expires_at AS "leaseExpiresAt", j.deadline_at AS "deadlineAt", j.progress, j.metrics, j.callback, j.trace,
  j.created_at AS "createdAt", j.started_at AS "startedAt", j.finished_at AS "finishedAt", j.updated_at AS "updatedAt"`;

/** A job's columns under the names of the model; the table's alias is `j`. */
export const JOB_COLUMNS = sql`${LIGHT_COLUMNS}, j.arguments, j.result, j.metadata, j.checkpoint`;

/** What a list shows of a value; of a larger one it tells only that it is there. */
const LISTED_VALUE_BYTES = 4096;

/** How a list shows the values that callers may make large. */
export interface ListedValues {
  /** Those that are shown whole; `omitted` tells nothing of them. */
  whole: readonly LargeField[];
  /** Those that are not asked for. */
  unwanted: readonly LargeField[];
}

export type LargeField = 'arguments' | 'result' | 'metadata' | 'checkpoint';

/** A job as lists show it. */
export type ListedJobRow = JobRow & { omitted: LargeField[] };

/** The same columns with large values left out and named in `omitted`, and how many bytes such a row takes. */
export function listedColumns({ whole, unwanted }: ListedValues = { whole: [], unwanted: [] }): Sql {
  const shown = (field: LargeField, value: Sql, bytes: Sql): Sql => {
    if (unwanted.includes(field)) return sql`NULL::json`;
    return whole.includes(field) ? value : sql`CASE WHEN ${bytes} <= ${LISTED_VALUE_BYTES}::int THEN ${value} END`;
  };
  const counted = (field: LargeField, bytes: Sql): Sql => {
    if (unwanted.includes(field)) return sql`0`;
    return whole.includes(field)
      ? sql`COALESCE(${bytes}, 0)`
      : sql`CASE WHEN ${bytes} <= ${LISTED_VALUE_BYTES}::int THEN ${bytes} ELSE 0 END`;
  };
  const marked = (field: LargeField, bytes: Sql): Sql =>
    whole.includes(field) || unwanted.includes(field)
      ? sql`NULL`
      : sql`CASE WHEN ${bytes} > ${LISTED_VALUE_BYTES}::int THEN ${field}::text END`;
  const [args, result, metadata, checkpoint] = [
    sql`octet_length(j.arguments::text)`,
    sql`octet_length(j.result::text)`,
    sql`octet_length(j.metadata::text)`,
    sql`octet_length(j.checkpoint::text)`,
  ];
  return sql`${LIGHT_COLUMNS},
    ${shown('arguments', sql`j.arguments`, args)} AS arguments, ${shown('result', sql`j.result`, result)} AS result,
    ${shown('metadata', sql`j.metadata`, metadata)} AS metadata, ${shown('checkpoint', sql`j.checkpoint`, checkpoint)} AS checkpoint,
    array_remove(ARRAY[${marked('arguments', args)}, ${marked('result', result)}, ${marked('metadata', metadata)},
      ${marked('checkpoint', checkpoint)}]::text[], NULL) AS omitted,
    ${ROW_BYTES}::int + COALESCE(octet_length(j.error::text), 0) + ${counted('arguments', args)} + ${counted('result', result)}
      + ${counted('metadata', metadata)} + ${counted('checkpoint', checkpoint)} AS bytes`;
}

/** About what a row takes without such values. */
const ROW_BYTES = 1500;

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
