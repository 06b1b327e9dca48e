import { type Sql, sql } from '../db';
import { endedWith, factsFrom, NONE_RAN } from './facts';

const COLUMNS = sql`at, queue, type, user_id, runner_id, outcome, ending, is_retried, wait_ms, run_ms, cpu_ms,
    memory_peak_bytes, cost`;

/**
 * How far the rollups have come, locked until the transaction ends: facts found uncounted now will not be counted from
 * their rows at the same time. A row lock, because it returns the row as of when the lock was obtained, whatever the
 * statement's snapshot.
 */
const MARK = sql`mark AS MATERIALIZED (SELECT p.counted_until AS at FROM rollup_progress p WHERE p.id = 1 FOR SHARE)`;

/**
 * CTEs that store the uncounted facts of the jobs in the CTE `old`, which the enclosing statement deletes. Jobs are
 * found by id: the status as text and the offsets keep the planner from using the index of all jobs that ended since.
 */
export function storeUncounted(old: Sql): Sql {
  // Gates, which have no queue, are in no figures.
  const those = sql`j.id = ANY (ARRAY(SELECT id FROM ${old})) AND j.queue > ''`;
  return sql`${MARK}, kept AS (
    INSERT INTO rollup_strays (${COLUMNS})
    SELECT * FROM (${factsFrom({
      completed: sql`jobs j WHERE ${those} AND j.status::text = 'completed'`,
      ended: sql`jobs j CROSS JOIN LATERAL (SELECT * FROM attempts o WHERE o.job_id = j.id OFFSET 0) a WHERE ${those}`,
      cancelled: sql`jobs j WHERE ${those} AND j.status::text = 'cancelled' AND ${NONE_RAN}`,
    })} OFFSET 0) f WHERE f.at >= (SELECT at FROM mark)
  )`;
}

/**
 * CTEs for jobs in the CTE `moved` that were `cancelled`, have `ended`, and are retried: their rows will no longer show
 * it. For jobs that failed or were cancelled while running, the row of the attempt does.
 */
export function storeUncountedCancelled(moved: Sql): Sql {
  return sql`${MARK}, kept AS (
    INSERT INTO rollup_strays (at, queue, type, user_id, ending, is_retried)
    SELECT m.ended, m.queue, m.type, m."userId", 'cancelled', false FROM ${moved} m
    WHERE m.was = 'cancelled' AND m.queue > '' AND m.ended >= (SELECT at FROM mark)
      AND (${endedWith(sql`m.id`, sql`m.ended`)}) IS NULL
  )`;
}
