import type { AuditRow } from '../audit';
import { type Executor, type Sql, sql } from '../db';
import { type Counted, withinBytes } from './within-bytes';

export interface AuditFilter {
  action?: string[] | undefined;
  target?: string | undefined;
  keyId?: string | undefined;
  userId?: string | undefined;
  after?: string | undefined;
  before?: string | undefined;
}

/** Newest first; `cursor` is the id of the last row of the previous page. */
export function page(
  db: Executor,
  filter: AuditFilter,
  cursor: string | null,
  limit: number,
): Promise<(AuditRow & Counted)[]> {
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
  const chosen = sql`
    SELECT a.id, a.at, a.action, a.target, a.key_id AS "keyId", a.key_name AS "keyName", a.role, a.user_id AS "userId",
      a.address, a.request_id AS "requestId", a.details, 300 + octet_length(a.details::text) AS bytes
    FROM audit_log a WHERE ${where} ORDER BY a.id DESC LIMIT ${limit}`;
  return db.query(withinBytes(chosen, sql`p.id DESC`));
}
