import { type Executor, type Sql, sql } from './db';
import { type BulkKey, JOB_COLUMNS, type JobRow, listedColumns } from './jobs';
import { uuidList } from './values';

/**
 * When many jobs are read at once, large values are left out as in lists: a request of a few kilobytes may name a
 * thousand of them.
 */
function columnsOf(jobs: number): Sql {
  return jobs <= MOST_WHOLE ? JOB_COLUMNS : listedColumns();
}

const MOST_WHOLE = 10;

/** Jobs as they are now, in no order. */
export function findJobs(db: Executor, jobIds: string[]): Promise<JobRow[]> {
  return db.query(sql`SELECT ${columnsOf(jobIds.length)} FROM jobs j WHERE j.id = ANY (${jobIds}::uuid[])`);
}

/** Jobs that were created under these idempotency keys, as they are now. */
export function findIdempotent(
  db: Executor,
  keys: { scope: string; key: string }[],
): Promise<(JobRow & { scope: string; key: string; requestHash: string })[]> {
  if (keys.length === 0) return Promise.resolve([]);
  return db.query(sql`
    SELECT ${columnsOf(keys.length)}, k.scope, k.key, k.request_hash AS "requestHash"
    FROM unnest(${keys.map((key) => key.scope)}::text[], ${keys.map((key) => key.key)}::text[]) AS w (scope, key)
    JOIN idempotency_keys k ON k.scope = w.scope AND k.key = w.key
    JOIN jobs j ON j.id = k.job_id`);
}

/** Returns false when the key was used before; nothing is stored then. */
export async function insertIdempotent(
  db: Executor,
  key: { scope: string; key: string; requestHash: string; jobId: string },
): Promise<boolean> {
  const rows = await db.query(sql`
    INSERT INTO idempotency_keys (scope, key, request_hash, job_id)
    -- The lock keeps the job from being deleted before the key exists; later deletes remove the key with it.
    SELECT ${key.scope}, ${key.key}, ${key.requestHash}, held.id
    FROM (SELECT j.id FROM jobs j WHERE j.id = ${key.jobId}::uuid FOR KEY SHARE) held
    ON CONFLICT DO NOTHING RETURNING key`);
  return rows.length > 0;
}

/** What a key was used for: the jobs of a bulk call, in order; null: a single job. */
export async function findBulkResult(
  db: Executor,
  { scope, key }: BulkKey,
): Promise<{ requestHash: string; jobIds: string[] | null } | undefined> {
  const [found] = await db.query<{ requestHash: string; jobIds: string[] | null }>(sql`
    SELECT k.request_hash AS "requestHash", k.job_ids::text[] AS "jobIds" FROM idempotency_keys k
    WHERE k.scope = ${scope} AND k.key = ${key}`);
  return found;
}

/**
 * Reserves a key for a call whose jobs this transaction stores; `saveBulkResult` names them before it ends. Returns
 * false when the key was used before; waits for a concurrent call with the same key.
 */
export async function reserveBulkKey(transaction: Executor, { scope, key, requestHash }: BulkKey): Promise<boolean> {
  const rows = await transaction.query(sql`
    INSERT INTO idempotency_keys (scope, key, request_hash, job_id, job_ids)
    VALUES (${scope}, ${key}, ${requestHash}, '00000000-0000-0000-0000-000000000000', '{}') ON CONFLICT DO NOTHING
    RETURNING key`);
  return rows.length > 0;
}

/** @returns false when the job with which the key would be deleted was itself deleted meanwhile */
export async function saveBulkResult(
  transaction: Executor,
  { scope, key }: BulkKey,
  jobId: string,
  jobIds: string[],
): Promise<boolean> {
  const rows = await transaction.query(sql`
    UPDATE idempotency_keys k SET job_id = held.id, job_ids = ${uuidList(jobIds)}::uuid[]
    FROM (SELECT j.id FROM jobs j WHERE j.id = ${jobId}::uuid FOR KEY SHARE) held
    WHERE k.scope = ${scope} AND k.key = ${key} RETURNING k.key`);
  return rows.length > 0;
}

export interface UniqueKey {
  type: string;
  uniqueKey: string;
  /** Empty: the job has no user. */
  userId: string;
}

/**
 * The jobs that hold these keys: unfinished ones, and completed ones created less than their `uniqueForMs` ago. A
 * failed or cancelled job did not do the work, so it holds no key. Each of the two kinds has its own index, which is
 * used only if its condition stands alone; the status is compared as text so that the planner does not use the first
 * index for both.
 */
export function findUniqueHolders(transaction: Executor, keys: UniqueKey[]): Promise<JobRow[]> {
  return transaction.query(sql`
    SELECT DISTINCT ON (h.type, h."uniqueKey", h."userId") h.*
    FROM unnest(
      ${keys.map((key) => key.type)}::text[], ${keys.map((key) => key.uniqueKey)}::text[],
      ${keys.map((key) => key.userId)}::text[]
    ) AS w (type, unique_key, user_id)
    CROSS JOIN LATERAL (
      SELECT ${columnsOf(keys.length)} FROM jobs j
      WHERE j.type = w.type AND j.unique_key = w.unique_key AND j.unique_key IS NOT NULL
        AND COALESCE(j.user_id, '') = w.user_id
        AND j.status IN ('blocked', 'pending', 'running')
      UNION ALL
      SELECT ${columnsOf(keys.length)} FROM jobs j
      WHERE j.type = w.type AND j.unique_key = w.unique_key AND COALESCE(j.user_id, '') = w.user_id
        AND j.unique_until IS NOT NULL AND j.unique_until > now() AND j.status::text = 'completed'
    ) h
    ORDER BY h.type, h."uniqueKey", h."userId", h.id DESC`);
}
