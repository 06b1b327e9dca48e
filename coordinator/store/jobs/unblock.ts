import { type Executor, type Sql, sql } from '../db';
import { insertEvents } from '../events';
import { isWaiting } from '../workflows/edges';
import type { JobRow } from './fields';
import { type LaneFrom, NO_LANE, positioned, type PromotedJob } from './promote';
import { GATE, JOB_COLUMNS, type Moved, MOVED_COLUMNS } from './row';

/**
 * Locks the unfinished ones of these jobs, so that they cannot end before the transaction does, and marks them as
 * awaited, so that their ends look for children. The next statement sees how the others have ended.
 */
export async function lockParents(transaction: Executor, parentIds: string[]): Promise<void> {
  await transaction.query(sql`
    WITH held AS MATERIALIZED (
      SELECT j.id FROM jobs j
      WHERE j.id = ANY (${parentIds}::uuid[]) AND j.status::text IN ('blocked', 'pending', 'running')
      ORDER BY j.id FOR UPDATE
    )
    UPDATE jobs j SET awaited = true WHERE j.id = ANY (ARRAY(SELECT id FROM held)) AND NOT j.awaited`);
}

export interface BlockedJob {
  id: string;
  queue: string;
  isGate: boolean;
  /** Whether its position depends on those of other jobs. */
  takesTurns: boolean;
}

/**
 * Locks blocked children of which edges were just settled. The next statement sees all edges settled by now, including
 * those of other transactions: when the last two parents end at the same moment, the second finds that nothing is left.
 */
export function lockBlocked(transaction: Executor, jobIds: string[]): Promise<BlockedJob[]> {
  return transaction.query(sql`
    SELECT j.id, j.queue, j.queue = ${GATE.queue} AS "isGate",
      COALESCE(j.concurrency_key, j.user_id) IS NOT NULL AS "takesTurns"
    FROM jobs j WHERE j.id = ANY (${jobIds}::uuid[])
      AND j.status::text = 'blocked' ORDER BY j.id FOR UPDATE`);
}

/** A job that waits no more; its position is null as long as it is not ready. */
export interface Unblocked extends Moved, Pick<PromotedJob, 'laneId'> {
  position: Date | null;
}

/**
 * blocked -> pending for those of these locked jobs that wait for no parent any more, and blocked -> cancelled for
 * those with a parent that ended in a way they do not accept. Others are left unchanged; gates are opened by
 * `startGates`. Jobs that are due get their positions at once, as by `promoteDue`.
 * @param ready lanes with ready jobs of the queues of jobs that take turns; null: none of these jobs does
 */
export function unblock(transaction: Executor, jobIds: string[], ready: LaneFrom[] | null): Promise<Unblocked[]> {
  const ids = sql`${jobIds}::uuid[]`;
  const isReady = sql`j.hold IS NULL AND j.lane_id <> ${NO_LANE}::int AND j.run_at <= now()`;
  const { checked, position } = ready === null ? inNoTurns(isReady) : inTurns(isReady, ready);
  return transaction.query(sql`
    WITH edges AS MATERIALIZED (
      SELECT l.id, (
          SELECT d.outcome FROM dependencies d
          WHERE d.job_id = l.id AND d.outcome IN ('failed', 'cancelled') AND NOT d.tolerates_failure AND NOT d.waived
          ORDER BY d.outcome = 'failed' DESC LIMIT 1) AS fault,
        ${isWaiting(sql`l.id`)} AS "isWaiting"
      FROM unnest(${ids}) AS l (id)
    ), ${checked},
    moved AS (
      UPDATE jobs j SET
        status = CASE WHEN w.fault IS NULL THEN 'pending' ELSE 'cancelled' END::job_status,
        reason = 'dependency_' || w.fault::text,
        -- It becomes due now, so that it is not put in front of jobs that already wait.
        run_at = CASE WHEN w.fault IS NULL THEN GREATEST(j.run_at, now()) ELSE j.run_at END,
        hold = CASE WHEN w.fault IS NULL THEN j.hold END,
        position = ${position},
        finished_at = CASE WHEN w.fault IS NOT NULL THEN now() END, updated_at = now()
      FROM checked w
      WHERE j.id = ANY (${ids}) AND j.id = w.id AND j.status::text = 'blocked'
        AND (w.fault IS NOT NULL OR (NOT w."isWaiting" AND j.queue <> ${GATE.queue}))
      RETURNING ${MOVED_COLUMNS}, j.reason, j.callback, j.lane_id AS "laneId", j.position
    ), ${insertEvents(sql`moved`, sql`CASE e.status WHEN 'pending' THEN 'job.unblocked' ELSE 'job.cancelled' END`, {
      details: sql`CASE e.status WHEN 'cancelled' THEN json_build_object('reason', e.reason) END`,
      callback: sql`CASE e.status WHEN 'cancelled' THEN e.callback END`,
    })}
    SELECT * FROM moved`);
}

interface Positions {
  /** CTEs up to `checked`, which tells of each job how its parents have ended. */
  checked: Sql;
  /** Of job `j` in the update; null: it is not ready. */
  position: Sql;
}

function inNoTurns(isReady: Sql): Positions {
  return {
    checked: sql`checked AS NOT MATERIALIZED (SELECT * FROM edges)`,
    position: sql`CASE WHEN w.fault IS NULL AND ${isReady} THEN now() END`,
  };
}

/** Joined by grouping, because the planner takes `positioned` for one row, and would walk over it for each job. */
function inTurns(isReady: Sql, ready: LaneFrom[]): Positions {
  return {
    checked: sql`due AS MATERIALIZED (
      SELECT j.id, j.queue, j.priority, j.lane_id, COALESCE(j.concurrency_key, j.user_id) AS turn_of, now() AS run_at,
        j.id AS ord, NULL::timestamptz AS lane_from,
        COALESCE((SELECT q.is_fair FROM queues q WHERE q.name = j.queue), true) AS is_fair
      FROM edges l CROSS JOIN LATERAL (
        SELECT * FROM jobs j WHERE j.id = l.id AND j.status::text = 'blocked' AND ${isReady} LIMIT 1
      ) j WHERE l.fault IS NULL AND NOT l."isWaiting"
    ), ${positioned(ready)}, checked AS MATERIALIZED (
      SELECT f.id, max(f.fault) AS fault, bool_or(f."isWaiting") AS "isWaiting", max(f.position) AS position
      FROM (
        SELECT l.id, l.fault, l."isWaiting", NULL::timestamptz AS position FROM edges l
        UNION ALL SELECT p.id, NULL, NULL, p.position FROM positioned p
      ) f GROUP BY f.id
    )`,
    position: sql`w.position`,
  };
}

/**
 * Opens gates among these jobs that no longer wait for a job: they wait to be decided from now on, for as long as their
 * timeout allows.
 */
export function startGates(transaction: Executor, gateIds: string[]): Promise<Moved[]> {
  return transaction.query(sql`
    WITH moved AS (
      UPDATE jobs j SET
        expires_at = now() + (j.arguments ->> 'expiresInMs')::float8 * interval '1 ms',
        run_at = GREATEST(j.run_at, now()), updated_at = now()
      WHERE j.id = ANY (${gateIds}::uuid[]) AND j.queue = ${GATE.queue} AND j.status::text = 'blocked'
        AND NOT ${isWaiting(sql`j.id`)}
      RETURNING ${MOVED_COLUMNS}
    ), ${insertEvents(sql`moved`, sql`'gate.waiting'`)}
    SELECT * FROM moved`);
}

export interface DecideGate {
  gateId: string;
  to: 'completed' | 'cancelled';
  /** JSON text. */
  result: string | null;
  reason: string | null;
}

/** blocked -> completed or cancelled, for a gate that no longer waits for a job. */
export function decideGate(transaction: Executor, { gateId, to, result, reason }: DecideGate): Promise<JobRow[]> {
  return transaction.query(sql`
    WITH moved AS (
      UPDATE jobs j SET
        status = ${to}::job_status, result = ${result}::json, reason = ${reason}, finished_at = now(),
        updated_at = now()
      WHERE j.id = ${gateId}::uuid AND j.queue = ${GATE.queue} AND j.status::text = 'blocked'
        AND NOT ${isWaiting(sql`j.id`)}
        AND (j.expires_at IS NULL OR j.expires_at > now())
      RETURNING ${JOB_COLUMNS}
    ), ${insertEvents(sql`moved`, sql`'job.' || e.status`, { details: sql`CASE e.status WHEN 'cancelled' THEN json_build_object('reason', e.reason) END` })}
    SELECT * FROM moved`);
}
