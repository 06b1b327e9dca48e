import type { Api } from '../support/api';
import type { TestSql } from '../support/sql';
import { isOneOf, type Model } from './lifecycle-model';

interface Row {
  id: string;
  status: string;
  priority: number;
  attempt: number;
  failures: number;
  reason: string | null;
  result: string | null;
  error: { message: string; code?: string } | null;
  checkpoint: number | null;
  isDue: boolean;
  isLeased: boolean;
  isFinished: boolean;
}

/** The rows are what the model says, and no others are there. */
export async function requireEqual(model: Model, sql: TestSql): Promise<void> {
  const rows = await sql.query<Row & Record<string, unknown>>(
    `SELECT id, status::text, priority, attempt, failures, reason, result, error, checkpoint, run_at <= now() AS "isDue",
       num_nonnulls(lease_expires_at, deadline_at) AS leases, lease_expires_at IS NOT NULL AS "isLeased", finished_at IS NOT NULL AS "isFinished"
     FROM jobs WHERE type = $1 ORDER BY id`,
    [model.type],
  );
  const wanted = model.jobs.filter((job) => job.status !== null).sort((a, b) => (a.id < b.id ? -1 : 1));
  expect(
    rows.map((row) => ({
      ...row,
      error: wordOf(row.error),
      ...(isOneOf(row.status as 'pending', 'pending', 'blocked') ? {} : { isDue: null }),
    })),
  ).toEqual(
    wanted.map(({ id, status, priority, attempt, failures, reason, result, error, checkpoint, isDue }) => ({
      id,
      status,
      priority,
      attempt,
      failures,
      reason,
      result,
      error,
      checkpoint,
      isDue: isOneOf(status, 'pending', 'blocked') ? isDue : null,
      leases: status === 'running' ? 2 : 0,
      isLeased: status === 'running',
      isFinished: isOneOf(status, 'completed', 'failed', 'cancelled'),
    })),
  );
}

/** The history that a reader sees is the model's, attempt for attempt. */
export async function requireEqualHistory(model: Model, api: Api): Promise<void> {
  for (const job of model.jobs.filter((one) => one.status !== null)) {
    const attempts = await api.attempts(job.id);
    expect(
      attempts.map(({ attempt, outcome, lateResult, finishedAt }) => ({
        attempt,
        outcome,
        late: (lateResult as { outcome: string } | null)?.outcome ?? null,
        isOver: finishedAt !== null,
      })),
    ).toEqual(
      job.attempts.map(({ attempt, outcome, late }) => ({ attempt, outcome, late, isOver: outcome !== 'running' })),
    );
  }
}

/** A timeout's text is the coordinator's; which clock ran out is the point. */
function wordOf(error: Row['error']): string | null {
  if (error?.code !== 'timed_out') return error?.message ?? null;
  return error.message.includes('deadline') ? 'deadline' : 'lease';
}
