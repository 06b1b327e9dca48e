import { type Executor, sql } from '../db';

export interface Counts {
  jobs: Record<string, number>;
  runners: { total: number; active: number; idle: number };
  databaseVersion: string;
}

/** How many finished jobs are counted one by one; above it PostgreSQL's own estimate answers at no cost. */
const EXACT_LIMIT = 100_000;

export async function counts(db: Executor): Promise<Counts> {
  const jobs = await db.query<{ status: string; count: number }>(sql`
    SELECT s.status::text AS status, (
      SELECT count(*)::int FROM (SELECT FROM jobs j WHERE j.status = s.status LIMIT ${EXACT_LIMIT}) counted) AS count
    FROM unnest(enum_range(NULL::job_status)) AS s (status)`);
  const runners = await db.query<{ total: number; active: number; idle: number; version: string }>(sql`
    SELECT count(*)::int AS total, count(*) FILTER (WHERE r.running > 0)::int AS active,
      count(*) FILTER (WHERE r.running = 0)::int AS idle, current_setting('server_version') AS version
    FROM (
      SELECT (SELECT count(*) FROM jobs j WHERE j.status = 'running' AND j.runner_id = r.id) AS running
      FROM runners r WHERE r.last_seen_at > now() - interval '1 minute' AND r.stopped_at IS NULL
    ) r`);
  const row = runners[0];
  return {
    jobs: Object.fromEntries(jobs.map((job) => [job.status, job.count])),
    runners: { total: row?.total ?? 0, active: row?.active ?? 0, idle: row?.idle ?? 0 },
    databaseVersion: row?.version ?? '',
  };
}

export async function ping(db: Executor): Promise<void> {
  await db.query(sql`SELECT 1`);
}

/**
 * Checks that jobs can be written: the server is not a standby, not read-only, and the role has the right. Updates no
 * row, so it leaves nothing to clean up.
 * @throws the error of PostgreSQL when they cannot
 */
export async function pingWrite(db: Executor): Promise<void> {
  await db.query(
    sql`WITH written AS (UPDATE attempts SET outcome = outcome WHERE false RETURNING 1) SELECT count(*) FROM written`,
  );
}
