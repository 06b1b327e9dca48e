import { randomUUID } from 'node:crypto';
import type { TestSql } from '../support/sql';

/** A waiting job waits for these parents from now on, as if it had been created so. */
export async function dependOn(
  sql: TestSql,
  childId: string,
  parentIds: string[],
  toleratesFailure = false,
): Promise<void> {
  await sql.block(childId);
  await sql.query('UPDATE jobs SET depends_on = $2, position = NULL WHERE id = $1', [childId, parentIds]);
  await sql.query('UPDATE jobs SET awaited = true WHERE id = ANY ($1)', [parentIds]);
  await sql.query('INSERT INTO dependencies (job_id, parent_id, tolerates_failure) SELECT $1, unnest($2::uuid[]), $3', [
    childId,
    parentIds,
    toleratesFailure,
  ]);
}

/** A workflow of these jobs, as if they had been created so. */
export async function workflowOf(sql: TestSql, jobIds: string[]): Promise<string> {
  const id = randomUUID();
  await sql.query(
    "INSERT INTO workflows (id, name, status, created_at, link_secret) VALUES ($1, 'made', 'running', now(), 'secret')",
    [id],
  );
  await sql.query('UPDATE jobs SET workflow_id = $1, workflow_key = id::text WHERE id = ANY ($2)', [id, jobIds]);
  return id;
}
