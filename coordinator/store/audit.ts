import type { AuditAction } from '@baton/runner-sdk/protocol';
import { type Executor, type Sql, sql } from './db';

export interface AuditRow {
  id: string;
  at: Date;
  action: AuditAction;
  target: string | null;
  keyId: string;
  keyName: string;
  role: string;
  userId: string | null;
  address: string;
  requestId: string;
  details: Record<string, unknown>;
}

/** Rows are only ever added. */
export async function insert(db: Executor, rows: Omit<AuditRow, 'at'>[]): Promise<void> {
  if (rows.length === 0) return;
  await db.query(sql`
    INSERT INTO audit_log (id, at, action, target, key_id, key_name, role, user_id, address, request_id, details)
    SELECT r.id, now(), r.action, r.target, r."keyId", r."keyName", r.role, r."userId", r.address, r."requestId", r.details
    FROM json_to_recordset(${JSON.stringify(rows)}::json) AS r (
      "id" uuid, "action" text, "target" text, "keyId" text, "keyName" text, "role" text, "userId" text, "address" text,
      "requestId" text, "details" json)`);
}

export interface AuditFilter {
  action?: string[] | undefined;
  target?: string | undefined;
  keyId?: string | undefined;
  userId?: string | undefined;
  after?: string | undefined;
  before?: string | undefined;
}

/** Newest first; `cursor` is the id of the last row of the former page. */
export function page(db: Executor, filter: AuditFilter, cursor: string | null, limit: number): Promise<AuditRow[]> {
  const conditions: Sql[] = [
    ...(cursor === null ? [] : [sql`a.id < ${cursor}::uuid`]),
    ...(filter.action === undefined ? [] : [sql`a.action = ANY (${filter.action}::text[])`]),
    ...(filter.target === undefined ? [] : [sql`a.target = ${filter.target}`]),
    ...(filter.keyId === undefined ? [] : [sql`a.key_id = ${filter.keyId}`]),
    ...(filter.userId === undefined ? [] : [sql`a.user_id = ${filter.userId}`]),
    ...(filter.after === undefined ? [] : [sql`a.at > ${filter.after}::timestamptz`]),
    ...(filter.before === undefined ? [] : [sql`a.at < ${filter.before}::timestamptz`]),
  ];
  const where = conditions.reduce((all, one) => sql`${all} AND ${one}`, sql`true`);
  return db.query(sql`
    SELECT a.id, a.at, a.action, a.target, a.key_id AS "keyId", a.key_name AS "keyName", a.role, a.user_id AS "userId",
      a.address, a.request_id AS "requestId", a.details
    FROM audit_log a WHERE ${where} ORDER BY a.id DESC LIMIT ${limit}`);
}
