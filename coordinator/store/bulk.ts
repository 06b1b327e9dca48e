import type { JobFilter, Json, Role } from '@baton/runner-sdk/protocol';
import { type Executor, sql } from './db';

export type BulkVerb = 'cancel' | 'retry' | 'purge' | 'prioritise' | 'replay';

/** What a verb needs beside the filter. */
export interface BulkParameters {
  reason?: string | undefined;
  priority?: number | undefined;
  /** Of a replay: what the new jobs have instead. */
  arguments?: Exclude<Json, null> | undefined;
  queue?: string | undefined;
}

export interface BulkOperationRow {
  id: string;
  verb: BulkVerb;
  filter: JobFilter;
  parameters: BulkParameters;
  userId: string | null;
  matched: number;
  changed: number;
  cursor: string | null;
  createdAt: Date;
  finishedAt: Date | null;
  requestedBy: Requester | null;
}

/** As the audit tells who did something. */
interface Requester {
  keyId: string;
  keyName: string;
  role: Role | 'none';
  userId: string | null;
  address: string;
  requestId: string;
}

export const BULK_COLUMNS = sql`
  b.id, b.verb, b.filter, b.parameters, b.user_id AS "userId", b.matched, b.changed, b.cursor, b.created_at AS "createdAt",
  b.finished_at AS "finishedAt", b.requested_by AS "requestedBy"`;

export async function insert(
  db: Executor,
  operation: Pick<BulkOperationRow, 'id' | 'verb' | 'filter' | 'parameters' | 'userId' | 'matched' | 'requestedBy'>,
): Promise<BulkOperationRow[]> {
  const { id, verb, filter, parameters, userId, matched, requestedBy } = operation;
  return db.query(sql`
    INSERT INTO bulk_operations AS b (id, verb, filter, parameters, user_id, matched, created_at, requested_by)
    VALUES (${id}::uuid, ${verb}::bulk_verb, ${JSON.stringify(filter)}::json, ${JSON.stringify(parameters)}::json, ${userId}, ${matched}, now(),
      ${requestedBy === null ? null : JSON.stringify(requestedBy)}::json)
    ON CONFLICT DO NOTHING RETURNING ${BULK_COLUMNS}`);
}

/** Whether there is anything for `lockNext`. */
export const HAS_NEXT = sql`EXISTS (SELECT FROM bulk_operations b WHERE b.finished_at IS NULL)`;

/** The oldest unfinished operation but these, locked; one that another coordinator works on is passed over. */
export async function lockNext(transaction: Executor, except: string[]): Promise<BulkOperationRow | null> {
  const rows = await transaction.query<BulkOperationRow>(sql`
    SELECT ${BULK_COLUMNS} FROM bulk_operations b WHERE b.finished_at IS NULL AND b.id <> ALL (${except}::uuid[])
    ORDER BY b.created_at LIMIT 1 FOR UPDATE SKIP LOCKED`);
  return rows[0] ?? null;
}

/** A batch was done; without a cursor it was the last. */
export async function advance(
  transaction: Executor,
  id: string,
  changed: number,
  cursor: string | null,
): Promise<void> {
  await transaction.query(sql`
    UPDATE bulk_operations SET changed = changed + ${changed}, cursor = COALESCE(${cursor}::uuid, cursor),
      finished_at = CASE WHEN ${cursor}::uuid IS NULL THEN now() END
    WHERE id = ${id}::uuid`);
}

/** How many operations that this key asked for have not ended. */
export async function countOpen(db: Executor, keyId: string): Promise<number> {
  const [row] = await db.query<{ count: number }>(sql`
    SELECT count(*)::int AS count FROM bulk_operations b
    WHERE b.finished_at IS NULL AND b.requested_by ->> 'keyId' = ${keyId}`);
  return row?.count ?? 0;
}

/** Deletes operations that ended so long ago. */
export async function removeEnded(db: Executor, keepMs: number, limit: number): Promise<void> {
  await db.query(sql`
    DELETE FROM bulk_operations b WHERE b.id IN (
      SELECT o.id FROM bulk_operations o WHERE o.finished_at < now() - ${keepMs}::float8 * interval '1 ms' LIMIT ${limit})`);
}
