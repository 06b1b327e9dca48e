import { type Executor, sql } from '../db';

// Objects and the jobs that name them. A use is written before its job is stored, and outlives it until it is checked.

export interface NewObjectRow {
  id: string;
  userId: string | null;
  sha256: string;
  bytes: number;
}

export async function insert(db: Executor, { id, userId, sha256, bytes }: NewObjectRow): Promise<void> {
  await db.query(sql`
    INSERT INTO objects (id, user_id, sha256, bytes) VALUES (${id}::uuid, ${userId}, ${sha256}, ${bytes})`);
}

export interface Use {
  objectId: string;
  jobId: string;
  ownUser: string | null;
}

/**
 * Stores that jobs name objects. Returns those that are there, as `object job`. Moving `used_at` keeps them from
 * `takeUnused`, which judges by that column of the row it has locked.
 */
export async function keepUses(db: Executor, uses: Use[]): Promise<Set<string>> {
  const rows = await db.query<{ objectId: string; jobId: string }>(sql`
    WITH wanted AS MATERIALIZED (
      SELECT * FROM unnest(${uses.map((use) => use.objectId)}::uuid[], ${uses.map((use) => use.jobId)}::uuid[],
        ${uses.map((use) => use.ownUser)}::text[]) AS w (object_id, job_id, own_user)
    ), locked AS MATERIALIZED (
      SELECT o.id FROM objects o WHERE o.id = ANY (ARRAY(SELECT object_id FROM wanted)) ORDER BY o.id FOR UPDATE
    ), kept AS (
      UPDATE objects o SET used_at = now() WHERE o.id = ANY (ARRAY(SELECT id FROM locked)) AND o.deleting_at IS NULL
      RETURNING o.id, o.user_id
    ), named AS MATERIALIZED (
      SELECT w.object_id, w.job_id FROM wanted w JOIN kept k ON k.id = w.object_id
      WHERE w.own_user IS NULL OR k.user_id = w.own_user
    ), stored AS (
      INSERT INTO object_uses (object_id, job_id) SELECT DISTINCT object_id, job_id FROM named ON CONFLICT DO NOTHING
    )
    SELECT object_id AS "objectId", job_id AS "jobId" FROM named`);
  return new Set(rows.map(({ objectId, jobId }) => `${objectId} ${jobId}`));
}

/**
 * Deletes uses whose jobs are gone; the others are checked again after six hours. A use without a job is kept for an
 * hour, since the job may be about to be stored. Returns how many were checked.
 */
export async function checkUses(db: Executor, limit: number): Promise<number> {
  const rows = await db.query<{ count: number }>(sql`
    WITH due AS MATERIALIZED (
      SELECT u.object_id, u.job_id, (SELECT true FROM jobs j WHERE j.id = u.job_id) AS is_used FROM object_uses u
      WHERE u.checked_at < now() - interval '1 hour' ORDER BY u.checked_at LIMIT ${limit} FOR UPDATE SKIP LOCKED
    ), gone AS (
      DELETE FROM object_uses u USING due d
      WHERE u.object_id = d.object_id AND u.job_id = d.job_id AND d.is_used IS NOT TRUE
    ), seen AS (
      UPDATE object_uses u SET checked_at = now() + interval '5 hours' FROM due d
      WHERE u.object_id = d.object_id AND u.job_id = d.job_id AND d.is_used
    )
    SELECT count(*)::int AS count FROM due`);
  return rows[0]?.count ?? 0;
}

/**
 * Takes objects for deletion that no job names and none has named for an hour, and those that another coordinator took
 * and did not delete. From then on no job can name them.
 */
export async function takeUnused(db: Executor, limit: number): Promise<string[]> {
  const rows = await db.query<{ id: string }>(sql`
    WITH unused AS MATERIALIZED (
      SELECT o.id FROM objects o
      WHERE o.used_at < now() - interval '1 hour'
        AND (o.deleting_at IS NULL OR o.deleting_at < now() - interval '5 minutes')
        AND NOT EXISTS (SELECT FROM object_uses u WHERE u.object_id = o.id)
      ORDER BY o.used_at LIMIT ${limit} FOR UPDATE SKIP LOCKED
    )
    UPDATE objects o SET deleting_at = now() WHERE o.id = ANY (ARRAY(SELECT id FROM unused)) RETURNING o.id`);
  return rows.map(({ id }) => id);
}

/** Deletes the rows of objects that are gone from the store. */
export async function remove(db: Executor, ids: string[]): Promise<void> {
  if (ids.length > 0)
    await db.query(sql`DELETE FROM objects o WHERE o.id = ANY (${ids}::uuid[]) AND o.deleting_at IS NOT NULL`);
}
