import { type Sql, sql } from '../db';
import { endedWith, factsFrom, NONE_RAN } from './facts';

const COLUMNS = sql`at, queue, type, user_id, runner_id, outcome, ending, is_retried, wait_ms, run_ms, cpu_ms, memory_peak_bytes, cost`;

/**
 * How far the rollups have come, held there until the transaction ends: what is found uncounted now will not be counted
 * from its row at the same time. A row lock, because it brings the row as it is once the lock was had, whatever the
 * statement's snapshot.
 */
const MARK = sql`mark AS MATERIALIZED (SELECT p.counted_until AS at FROM rollup_progress p WHERE p.id = 1 FOR SHARE)`;

/**
 * CTEs that write down what is not counted yet of the jobs in the CTE `old`, which the statement around them deletes. They
 * are found by their ids: the status as text and the offsets keep the planner from the index of all that ended since.
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
 * CTEs for jobs in the CTE `moved` that were `cancelled`, have `ended`, and begin anew: their rows will not tell of it any
 * more. That one failed, or was cancelled while it ran, its attempt tells.
 */
export function storeUncountedCancelled(moved: Sql): Sql {
  return sql`${MARK}, kept AS (
    INSERT INTO rollup_strays (at, queue, type, user_id, ending, is_retried)
    SELECT m.ended, m.queue, m.type, m."userId", 'cancelled', false FROM ${moved} m
    WHERE m.was = 'cancelled' AND m.queue > '' AND m.ended >= (SELECT at FROM mark)
      AND (${endedWith(sql`m.id`, sql`m.ended`)}) IS NULL
  )`;
}
