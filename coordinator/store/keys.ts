import { type Executor, sql } from './db';
import { JOB_COLUMNS, type JobRow } from './jobs';

/** Jobs that were created under these idempotency keys, as they are now. */
export function findIdempotent(
  db: Executor,
  keys: { scope: string; key: string }[],
): Promise<(JobRow & { scope: string; key: string; requestHash: string })[]> {
  if (keys.length === 0) return Promise.resolve([]);
  return db.query(sql`
    SELECT ${JOB_COLUMNS}, k.scope, k.key, k.request_hash AS "requestHash"
    FROM unnest(${keys.map((key) => key.scope)}::text[], ${keys.map((key) => key.key)}::text[]) AS w (scope, key)
    JOIN idempotency_keys k ON k.scope = w.scope AND k.key = w.key
    JOIN jobs j ON j.id = k.job_id`);
}

/** Returns false when the key was used before, and so nothing was kept. */
export async function insertIdempotent(
  db: Executor,
  key: { scope: string; key: string; requestHash: string; jobId: string },
): Promise<boolean> {
  const rows = await db.query(sql`
    INSERT INTO idempotency_keys (scope, key, request_hash, job_id)
    -- The lock keeps the job from being deleted until the key is there, and goes with it.
    SELECT ${key.scope}, ${key.key}, ${key.requestHash}, held.id FROM (SELECT j.id FROM jobs j WHERE j.id = ${key.jobId}::uuid FOR KEY SHARE) held
    ON CONFLICT DO NOTHING RETURNING key`);
  return rows.length > 0;
}

export interface UniqueKey {
  type: string;
  uniqueKey: string;
  /** Empty: the job belongs to nobody. */
  userId: string;
}

/**
 * The jobs that hold these keys: unfinished, or created less than their `uniqueForMs` ago. The unique index
 * alone would not find the latter.
 */
export function findUniqueHolders(transaction: Executor, keys: UniqueKey[]): Promise<JobRow[]> {
  return transaction.query(sql`
    SELECT DISTINCT ON (j.type, j.unique_key, j.user_id) ${JOB_COLUMNS}
    FROM unnest(
      ${keys.map((key) => key.type)}::text[], ${keys.map((key) => key.uniqueKey)}::text[], ${keys.map((key) => key.userId)}::text[]
    ) AS w (type, unique_key, user_id)
    JOIN jobs j ON j.type = w.type AND j.unique_key = w.unique_key AND COALESCE(j.user_id, '') = w.user_id
    WHERE j.status IN ('blocked', 'pending', 'running') OR j.unique_until > now()
    ORDER BY j.type, j.unique_key, j.user_id, j.id DESC`);
}
