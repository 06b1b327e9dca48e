import { type Executor, sql } from './db';
import { HAS_UNPUBLISHED } from './events';

/** Whether there are events that have not become deliveries yet. */
export const HAS_NEWS = sql`(${HAS_UNPUBLISHED} OR COALESCE((
  SELECT l.position <> b.position FROM webhook_outbox b CROSS JOIN event_log l WHERE b.id = 1 AND l.id = 1), false))`;

/** Whether any webhook waits for events. */
export const IS_AWAITED = sql`EXISTS (SELECT FROM webhooks w WHERE w.disabled_at IS NULL)`;

/** Whether there are events that have not become deliveries yet, and whether any webhook waits for events. */
export async function look(db: Executor): Promise<{ hasNews: boolean; isAwaited: boolean }> {
  const [row] = await db.query<{ hasNews: boolean; isAwaited: boolean }>(
    sql`SELECT ${IS_AWAITED} AS "isAwaited", ${HAS_NEWS} AS "hasNews"`,
  );
  return row ?? { hasNews: false, isAwaited: false };
}

/** The position up to which events have become deliveries, locked; null while another coordinator has the lock. */
export async function lock(transaction: Executor): Promise<number | null> {
  const [row] = await transaction.query<{ position: number }>(sql`
    SELECT b.position::float8 AS position FROM webhook_outbox b WHERE b.id = 1 FOR UPDATE SKIP LOCKED`);
  return row?.position ?? null;
}

export async function advance(transaction: Executor, to: number): Promise<void> {
  await transaction.query(sql`UPDATE webhook_outbox b SET position = ${to}::bigint WHERE b.id = 1`);
}
