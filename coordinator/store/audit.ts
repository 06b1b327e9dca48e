import type { AuditAction } from '@baton/runner-sdk/protocol';
import { type Executor, sql } from './db';
import { newId } from './views/clock';

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
export async function insert(db: Executor, rows: Omit<AuditRow, 'id' | 'at'>[]): Promise<void> {
  if (rows.length === 0) return;
  await db.query(sql`
    INSERT INTO audit_log (id, at, action, target, key_id, key_name, role, user_id, address, request_id, details)
    SELECT ${newId(sql`r.nth`)}, now(), r.action, r.target, r."keyId", r."keyName", r.role, r."userId", r.address,
      r."requestId", r.details
    FROM ROWS FROM (json_to_recordset(${JSON.stringify(rows)}::json) AS (
      "action" text, "target" text, "keyId" text, "keyName" text, "role" text, "userId" text, "address" text,
      "requestId" text, "details" json)) WITH ORDINALITY AS r (
      action, target, "keyId", "keyName", role, "userId", address, "requestId", details, nth)`);
}
