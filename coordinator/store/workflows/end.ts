import { type Connections, type Executor, type Sql, sql } from '../db';
import { tell } from '../events';

export type WorkflowStatus = 'running' | 'completed' | 'failed' | 'cancelled';

export interface EndedWorkflow {
  id: string;
  name: string;
  userId: string | null;
  status: Exclude<WorkflowStatus, 'running'>;
}

/**
 * running -> completed, failed or cancelled, for those of these workflows without unfinished jobs. Checked without a
 * lock first, because most of them are still running; then under the lock of their rows, which retries of their jobs
 * and the adding of jobs take too. The events are written in the same transaction.
 */
export async function endWorkflows(db: Connections, ids: string[]): Promise<EndedWorkflow[]> {
  const over = await db.query<{ id: string }>(sql`
    SELECT w.id FROM workflows w WHERE w.id = ANY (${ids}::uuid[]) AND w.status = 'running' AND ${HAS_ENDED}`);
  if (over.length === 0) return [];
  return db.transaction(async (transaction) => {
    const locked = await transaction.query<{ id: string }>(sql`
      SELECT w.id FROM workflows w
      WHERE w.id = ANY (${over.map(({ id }) => id)}::uuid[]) AND w.status = 'running' ORDER BY w.id FOR UPDATE`);
    const ended = await transaction.query<EndedWorkflow>(sql`
      UPDATE workflows w SET finished_at = now(), status = (
        SELECT CASE WHEN count(*) FILTER (WHERE j.status = 'failed') > 0 THEN 'failed'
          WHEN count(*) FILTER (WHERE j.status = 'cancelled') > 0 THEN 'cancelled' ELSE 'completed' END
        FROM jobs j WHERE j.workflow_id = w.id)::workflow_status
      WHERE w.id = ANY (${locked.map(({ id }) => id)}::uuid[]) AND w.status = 'running' AND ${HAS_ENDED}
      RETURNING w.id, w.name, w.user_id AS "userId", w.status`);
    for (const { id, name, userId, status } of ended)
      await tell(transaction, { name: `workflow.${status}`, userId, details: { workflowId: id, name } });
    return ended;
  });
}

/** Whether workflow `w` has no unfinished job. Not NOT EXISTS, which the planner may answer by reading all jobs. */
const HAS_ENDED: Sql = sql`(
  SELECT true FROM jobs j WHERE j.workflow_id = w.id AND j.status IN ('blocked', 'pending', 'running')
    LIMIT 1) IS NULL`;

/** Running workflows whose jobs have all finished, which a crash left behind. Reads one page of the running ones. */
export function findUnended(
  db: Executor,
  after: string | null,
  limit: number,
): Promise<{ id: string; isOver: boolean }[]> {
  return db.query(sql`
    SELECT w.id, ${HAS_ENDED} AS "isOver" FROM workflows w
    WHERE w.status = 'running' AND w.id > COALESCE(${after}::uuid, '00000000-0000-0000-0000-000000000000')
    ORDER BY w.id LIMIT ${limit}`);
}

export const HAS_RUNNING = sql`EXISTS (SELECT FROM workflows w WHERE w.status = 'running')`;
