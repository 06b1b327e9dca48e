import { type Executor, sql } from './db';
import type { Position } from './events';

/** Whether there are events that have not become deliveries yet. */
export const HAS_NEWS = sql`COALESCE((
  -- For each row of the outbox, lest a join begins with all events.
  SELECT EXISTS (SELECT FROM events e WHERE (e.xact, e.id) > (b.xact, b.event_id) AND e.xact < pg_snapshot_xmin(pg_current_snapshot())::text::bigint)
  FROM webhook_outbox b WHERE b.id = 1), false)`;

/** Whether any webhook waits for events. */
export const IS_AWAITED = sql`EXISTS (SELECT FROM webhooks w WHERE w.disabled_at IS NULL)`;

/** Whether there are events that have not become deliveries yet, and whether any webhook waits for such. */
export async function look(db: Executor): Promise<{ hasNews: boolean; isAwaited: boolean }> {
  const [row] = await db.query<{ hasNews: boolean; isAwaited: boolean }>(
    sql`SELECT ${IS_AWAITED} AS "isAwaited", ${HAS_NEWS} AS "hasNews"`,
  );
  return row ?? { hasNews: false, isAwaited: false };
}

/** Up to where events have become deliveries, locked; null while another coordinator goes on from there. */
export async function lock(transaction: Executor): Promise<Position | null> {
  const [row] = await transaction.query<Position>(sql`
    SELECT b.xact::float8 AS xact, b.event_id::float8 AS id FROM webhook_outbox b WHERE b.id = 1 FOR UPDATE SKIP LOCKED`);
  return row ?? null;
}

export async function advance(transaction: Executor, to: Position): Promise<void> {
  await transaction.query(
    sql`UPDATE webhook_outbox b SET xact = ${to.xact}::bigint, event_id = ${to.id}::bigint WHERE b.id = 1`,
  );
}
