import { type Executor, sql } from '../db';
import { type Counted, withinBytes } from './within-bytes';

export interface RunnerRow {
  id: string;
  types: string[];
  queues: string[];
  labels: Record<string, string | number | boolean>;
  version: string | null;
  protocol: number;
  running: number;
  firstSeenAt: Date;
  lastSeenAt: Date;
  drainingSince: Date | null;
  isLost: boolean;
  /** It reported that it stops, and has not called since. */
  isStopped: boolean;
}

/** A runner is lost when it has not called for a minute. */
const RUNNER_COLUMNS = sql`
  r.id, r.types, r.queues, r.labels, r.version, r.protocol, r.first_seen_at AS "firstSeenAt", r.last_seen_at AS "lastSeenAt",
  r.draining_since AS "drainingSince", r.last_seen_at < now() - interval '1 minute' AS "isLost",
  r.stopped_at IS NOT NULL AS "isStopped",
  (SELECT count(*)::int FROM jobs j WHERE j.status = 'running' AND j.runner_id = r.id) AS running`;

export function page(db: Executor, after: string | null, limit: number): Promise<(RunnerRow & Counted)[]> {
  const chosen = sql`
    SELECT ${RUNNER_COLUMNS},
      300 + octet_length(r.types::text) + octet_length(r.queues::text) + octet_length(r.labels::text) AS bytes
    FROM runners r WHERE ${after}::text IS NULL OR r.id > ${after} ORDER BY r.id LIMIT ${limit}`;
  return db.query(withinBytes(chosen, sql`p.id`));
}

export async function get(db: Executor, id: string): Promise<RunnerRow | null> {
  const rows = await db.query<RunnerRow>(sql`SELECT ${RUNNER_COLUMNS} FROM runners r WHERE r.id = ${id}`);
  return rows[0] ?? null;
}
