import type { Webhook } from '../generated/prisma/client';
import { type Executor, sql } from './db';
import { publish } from './events';
import { newId } from './views/clock';

export type WebhookRow = Webhook;

export interface InsertWebhook {
  /** The user it belongs to; null: the installation. */
  userId: string | null;
  url: string;
  description: string | null;
  events: string[];
  queues: string[];
  types: string[];
  userIds: string[];
}

export const WEBHOOK_COLUMNS = sql`
  w.id, w.user_id AS "userId", w.url, w.description, w.events, w.queues, w.types, w.user_ids AS "userIds", w.since,
  w.disabled_at AS "disabledAt", w.disabled_reason AS "disabledReason", w.failing_since AS "failingSince",
  w.created_at AS "createdAt", w.updated_at AS "updatedAt"`;

/** Stores a webhook, which receives events from now on. */
export async function insert(transaction: Executor, webhook: InsertWebhook): Promise<WebhookRow> {
  const since = await publish(transaction);
  const { userId, url, description, events, queues, types, userIds } = webhook;
  const [row] = await transaction.query<WebhookRow>(sql`
    INSERT INTO webhooks AS w (id, user_id, url, description, events, queues, types, user_ids, since, created_at,
      updated_at)
    VALUES (${newId(sql`0`)}, ${userId}, ${url}, ${description}, ${events}::text[], ${queues}::text[],
      ${types}::text[], ${userIds}::text[],
      ${since}::bigint, now(), now())
    RETURNING ${WEBHOOK_COLUMNS}`);
  if (row === undefined) throw new Error('a webhook was not stored');
  return row;
}

/** A webhook of this user; null: of any user. */
export async function get(db: Executor, userId: string | null, id: string): Promise<WebhookRow | null> {
  const [row] = await db.query<WebhookRow>(sql`
    SELECT ${WEBHOOK_COLUMNS} FROM webhooks w
    WHERE w.id = ${id}::uuid AND (${userId}::text IS NULL OR w.user_id = ${userId}::text)`);
  return row ?? null;
}

export async function lock(transaction: Executor, userId: string | null, id: string): Promise<WebhookRow | null> {
  const [row] = await transaction.query<WebhookRow>(sql`
    SELECT ${WEBHOOK_COLUMNS} FROM webhooks w
    WHERE w.id = ${id}::uuid AND (${userId}::text IS NULL OR w.user_id = ${userId}::text) FOR UPDATE`);
  return row ?? null;
}

/** Number of webhooks of an owner; null: of the installation. */
export async function count(db: Executor, userId: string | null): Promise<number> {
  const [row] = await db.query<{ count: number }>(
    sql`SELECT count(*)::int AS count FROM webhooks w WHERE w.user_id IS NOT DISTINCT FROM ${userId}::text`,
  );
  return row?.count ?? 0;
}

/** Changes a webhook. One that is enabled again receives events from then on. */
export async function update(
  transaction: Executor,
  webhook: InsertWebhook & { id: string },
  disabledReason: string | null,
): Promise<WebhookRow> {
  const since = await publish(transaction);
  const { id, url, description, events, queues, types, userIds } = webhook;
  const [row] = await transaction.query<WebhookRow>(sql`
    UPDATE webhooks w SET
      url = ${url}, description = ${description}, events = ${events}::text[], queues = ${queues}::text[],
      types = ${types}::text[],
      user_ids = ${userIds}::text[],
      since = CASE WHEN w.disabled_at IS NOT NULL AND ${disabledReason}::text IS NULL THEN ${since}::bigint
        ELSE w.since END,
      failing_since = CASE WHEN w.disabled_at IS NULL THEN w.failing_since END,
      disabled_at = CASE WHEN ${disabledReason}::text IS NOT NULL THEN COALESCE(w.disabled_at, now()) END,
      disabled_reason = ${disabledReason}::text,
      updated_at = now()
    WHERE w.id = ${id}::uuid
    RETURNING ${WEBHOOK_COLUMNS}`);
  if (row === undefined) throw new Error(`webhook ${id} is gone`);
  return row;
}

/** Deletes a webhook with its secrets and deliveries. */
export async function remove(db: Executor, id: string): Promise<void> {
  await db.query(sql`DELETE FROM webhooks w WHERE w.id = ${id}::uuid`);
}

/**
 * Disables a webhook. Null when it is already disabled, was deleted, or (with `failingForMs`) has not failed for that
 * long.
 */
export async function disable(
  db: Executor,
  id: string,
  reason: string,
  failingForMs: number | null,
): Promise<WebhookRow | null> {
  const [row] = await db.query<WebhookRow>(sql`
    UPDATE webhooks w SET disabled_at = now(), disabled_reason = ${reason}, updated_at = now()
    WHERE w.id = ${id}::uuid AND w.disabled_at IS NULL
      AND (${failingForMs}::float8 IS NULL OR w.failing_since < now() - ${failingForMs}::float8 * interval '1 ms')
    RETURNING ${WEBHOOK_COLUMNS}`);
  return row ?? null;
}

/** Enabled webhooks, locked against being deleted until the transaction ends. */
export function enabled(transaction: Executor): Promise<WebhookRow[]> {
  return transaction.query(
    sql`SELECT ${WEBHOOK_COLUMNS} FROM webhooks w WHERE w.disabled_at IS NULL ORDER BY w.id FOR KEY SHARE`,
  );
}

/** Enabled webhooks with more than `most` waiting deliveries. */
export function overfull(db: Executor, most: number): Promise<{ id: string }[]> {
  return db.query(sql`
    SELECT w.id FROM webhooks w
    WHERE w.disabled_at IS NULL AND EXISTS (
      SELECT FROM webhook_deliveries d WHERE d.endpoint = 'webhook:' || w.id AND d.status = 'pending' OFFSET ${most})`);
}

/** Stores events of exactly these scopes for webhooks from the next statement on. Call it under a lock. */
export async function watchExactly(transaction: Executor, scopes: string[]): Promise<void> {
  const since = await publish(transaction);
  await transaction.query(sql`
    WITH over AS (
      UPDATE event_watches w SET until_at = now() WHERE w.until_at = 'infinity' AND w.scope <> ALL (${scopes}::text[])
    )
    INSERT INTO event_watches AS w (scope, since, until_at)
    SELECT s.scope, ${since}::bigint, 'infinity' FROM unnest(${[...new Set(scopes)].sort()}::text[]) AS s (scope)
    ON CONFLICT (scope) DO UPDATE SET until_at = 'infinity' WHERE w.until_at <> 'infinity'`);
}
