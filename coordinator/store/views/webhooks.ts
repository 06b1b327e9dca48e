import { type Executor, sql } from '../db';
import { WEBHOOK_COLUMNS, type WebhookRow } from '../webhooks';

/** Oldest first; `after` is the id of the last row of the previous page. */
export function page(db: Executor, userId: string | null, after: string | null, limit: number): Promise<WebhookRow[]> {
  return db.query(sql`
    SELECT ${WEBHOOK_COLUMNS} FROM webhooks w
    WHERE (${userId}::text IS NULL OR w.user_id = ${userId}::text) AND (${after}::uuid IS NULL OR w.id > ${after}::uuid)
    ORDER BY w.id LIMIT ${limit}`);
}
