import type { WebhookDelivery } from '../generated/prisma/client';
import { type Executor, sql } from './db';
import { newId } from './views/clock';

export interface DeliveryRow extends Omit<WebhookDelivery, 'url'> {
  /** That of its webhook, if it has one. */
  url: string;
}

export interface InsertDelivery {
  webhookId: string | null;
  /** URL of a callback. */
  url: string | null;
  /** The user of the webhook or callback; null: the installation. */
  userId: string | null;
  endpoint: string;
  name: string;
  /** When it happened; undefined: now. */
  at?: Date | undefined;
  data: Record<string, unknown>;
  jobId: string | null;
}

export const DELIVERY_COLUMNS = sql`
  d.id, d.webhook_id AS "webhookId", COALESCE(d.url, w.url) AS url, d.user_id AS "userId", d.endpoint, d.name, d.at,
  d.data, d.job_id AS "jobId",
  d.status, d.attempts, d.failures, d.next_at AS "nextAt", d.lease_token AS "leaseToken",
  d.attempted_at AS "attemptedAt",
  d.response_status AS "responseStatus", d.error, d.duration_ms AS "durationMs", d.created_at AS "createdAt",
  d.finished_at AS "finishedAt"`;

/** (none) -> pending, due now. Returns their ids. */
export async function insert(db: Executor, deliveries: InsertDelivery[]): Promise<string[]> {
  const rows = await db.query<{ id: string }>(sql`
    INSERT INTO webhook_deliveries (id, webhook_id, url, user_id, endpoint, name, at, data, job_id, status, next_at,
      created_at)
    SELECT ${newId(sql`d.nth`)}, d."webhookId", d.url, d."userId", d.endpoint, d.name, COALESCE(d.at, now()), d.data,
      d."jobId", 'pending', now(), now()
    FROM ROWS FROM (json_to_recordset(${JSON.stringify(deliveries)}::json) AS (
      "webhookId" uuid, "url" text, "userId" text, "endpoint" text, "name" text, "at" timestamptz, "data" json,
      "jobId" uuid)
    ) WITH ORDINALITY AS d ("webhookId", url, "userId", endpoint, name, at, data, "jobId", nth)
    RETURNING id`);
  return rows.map(({ id }) => id);
}

/** Whether anything waits to be sent, now or later. */
export const HAS_PENDING = sql`EXISTS (SELECT FROM webhook_deliveries d
    WHERE d.status = 'pending' AND d.endpoint > '')`;

export interface WaitingEndpoint {
  endpoint: string;
  userId: string | null;
  /** Something is due, and its webhook is enabled. */
  isDue: boolean;
}

/** Endpoints with waiting deliveries, in the order of their names, after the given one; a few index probes each. */
export function waitingEndpoints(db: Executor, after: string, limit: number): Promise<WaitingEndpoint[]> {
  return db.query(sql`
    WITH RECURSIVE waiting AS (
      (SELECT d.endpoint, 1 AS nth FROM webhook_deliveries d WHERE d.status = 'pending' AND d.endpoint > ${after}
        ORDER BY d.endpoint LIMIT 1)
      UNION ALL
      SELECT (SELECT d.endpoint FROM webhook_deliveries d WHERE d.status = 'pending' AND d.endpoint > w.endpoint
        ORDER BY d.endpoint LIMIT 1), w.nth + 1
      FROM waiting w WHERE w.endpoint IS NOT NULL AND w.nth < ${limit}
    )
    SELECT e.endpoint, head.user_id AS "userId", head.id IS NOT NULL AND w.disabled_at IS NULL AS "isDue"
    FROM waiting e LEFT JOIN LATERAL (
      SELECT d.id, d.user_id, d.webhook_id FROM webhook_deliveries d
      WHERE d.status = 'pending' AND d.endpoint = e.endpoint AND d.next_at <= now() ORDER BY d.next_at, d.id LIMIT 1
    ) head ON true LEFT JOIN webhooks w ON w.id = head.webhook_id
    WHERE e.endpoint IS NOT NULL ORDER BY e.nth`);
}

export interface ClaimedDelivery extends Pick<
  DeliveryRow,
  'id' | 'webhookId' | 'endpoint' | 'userId' | 'name' | 'at' | 'failures' | 'url'
> {
  data: unknown;
  leaseToken: string;
  /** The database's clock, in seconds since 1970. */
  sentAt: number;
  /** The newest first. */
  secrets: string[];
}

/** Leases up to `room` due deliveries of each endpoint. If the sender dies, they are due again after `leaseMs`. */
export function claim(
  db: Executor,
  rooms: { endpoint: string; room: number }[],
  leaseMs: number,
): Promise<ClaimedDelivery[]> {
  return db.query(sql`
    WITH picked AS MATERIALIZED (
      SELECT head.id FROM unnest(${rooms.map(({ endpoint }) => endpoint)}::text[],
        ${rooms.map(({ room }) => room)}::int[]) AS r (endpoint, room)
      CROSS JOIN LATERAL (
        SELECT d.id FROM webhook_deliveries d
        WHERE d.status = 'pending' AND d.endpoint = r.endpoint AND d.next_at <= now()
        ORDER BY d.next_at, d.id LIMIT r.room FOR UPDATE SKIP LOCKED
      ) head
    ), claimed AS (
      UPDATE webhook_deliveries d SET
        lease_token = gen_random_uuid(), next_at = now() + ${leaseMs}::float8 * interval '1 ms',
        attempts = d.attempts + 1, attempted_at = now()
      WHERE d.id = ANY (ARRAY(SELECT id FROM picked)) AND d.status = 'pending'
      RETURNING d.*
    )
    SELECT d.id, d.webhook_id AS "webhookId", d.endpoint, d.user_id AS "userId", d.name, d.at, d.failures,
      COALESCE(d.url, w.url) AS url, d.data,
      d.lease_token AS "leaseToken", extract(epoch FROM now())::float8 AS "sentAt",
      ARRAY(SELECT s.secret FROM signing_secrets s
        WHERE (s.webhook_id = d.webhook_id OR (d.webhook_id IS NULL AND s.callback_of = COALESCE(d.user_id, '')))
          AND (s.expires_at IS NULL OR s.expires_at > now())
        ORDER BY s.expires_at DESC NULLS FIRST) AS secrets
    FROM claimed d LEFT JOIN webhooks w ON w.id = d.webhook_id`);
}

export interface DeliveryReport {
  id: string;
  leaseToken: string;
  status: 'pending' | 'delivered' | 'failed';
  delayMs: number;
  responseStatus: number | null;
  error: string | null;
  durationMs: number;
}

/**
 * pending -> delivered, failed, or pending again. The webhook stores since when it has been failing. Returns whether it
 * has now failed for `longMs`.
 */
export async function report(
  db: Executor,
  longMs: number,
  { id, leaseToken, status, delayMs, responseStatus, error, durationMs }: DeliveryReport,
): Promise<boolean> {
  const [row] = await db.query<{ isLong: boolean }>(sql`
    WITH moved AS (
      UPDATE webhook_deliveries d SET
        status = ${status}::delivery_status, lease_token = NULL, response_status = ${responseStatus}::int,
        error = ${error}, duration_ms = ${durationMs}::int,
        failures = d.failures + CASE WHEN ${error}::text IS NULL THEN 0 ELSE 1 END,
        next_at = now() + ${delayMs}::float8 * interval '1 ms',
        finished_at = CASE WHEN ${status}::text <> 'pending' THEN now() END
      WHERE d.id = ${id}::uuid AND d.status = 'pending' AND d.lease_token = ${leaseToken}::uuid
      RETURNING d.id, d.webhook_id
    ), noted AS (
      UPDATE webhooks w SET failing_since = CASE WHEN ${error}::text IS NOT NULL THEN now() END
      FROM moved m WHERE w.id = m.webhook_id AND (w.failing_since IS NULL) = (${error}::text IS NOT NULL)
    )
    SELECT COALESCE(${error}::text IS NOT NULL AND w.failing_since < now() - ${longMs}::float8 * interval '1 ms',
      false) AS "isLong"
    FROM moved m LEFT JOIN webhooks w ON w.id = m.webhook_id`);
  return row?.isLong ?? false;
}

/** Gives up the leases. The attempts may have reached their receivers, so they stay counted. */
export async function release(db: Executor, leases: { id: string; leaseToken: string }[]): Promise<void> {
  await db.query(sql`
    UPDATE webhook_deliveries d SET lease_token = NULL, next_at = now()
    FROM unnest(${leases.map(({ id }) => id)}::uuid[], ${leases.map(({ leaseToken }) => leaseToken)}::uuid[]) AS l (id,
      token)
    WHERE d.id = ANY (${leases.map(({ id }) => id)}::uuid[]) AND d.id = l.id AND d.status = 'pending'
      AND d.lease_token = l.token`);
}

/** delivered, failed -> pending, under the same id, with all attempts again. */
export async function resend(db: Executor, id: string): Promise<boolean> {
  const rows = await db.query(sql`
    UPDATE webhook_deliveries d SET status = 'pending', failures = 0, next_at = now(), finished_at = NULL
    WHERE d.id = ${id}::uuid AND d.status IN ('delivered', 'failed') RETURNING d.id`);
  return rows.length > 0;
}

/** pending -> failed, for deliveries of disabled webhooks. Returns how many. */
export async function endDisabled(db: Executor, limit: number): Promise<number> {
  const rows = await db.query(sql`
    WITH over AS MATERIALIZED (
      SELECT d.id FROM webhooks w CROSS JOIN LATERAL (
        SELECT d.id FROM webhook_deliveries d WHERE d.endpoint = 'webhook:' || w.id AND d.status = 'pending'
          LIMIT ${limit} FOR UPDATE SKIP LOCKED
      ) d WHERE w.disabled_at IS NOT NULL LIMIT ${limit}
    )
    UPDATE webhook_deliveries d SET status = 'failed', lease_token = NULL, error = 'its webhook was disabled',
      finished_at = now()
    WHERE d.id = ANY (ARRAY(SELECT id FROM over)) AND d.status = 'pending' RETURNING d.id`);
  return rows.length;
}

/** Deletes deliveries that ended at least `keepMs` ago, oldest first. Returns how many. */
export async function removeOld(db: Executor, keepMs: number, limit: number): Promise<number> {
  const rows = await db.query(sql`
    DELETE FROM webhook_deliveries d WHERE d.id = ANY (ARRAY(
      SELECT o.id FROM webhook_deliveries o WHERE o.finished_at < now() - ${keepMs}::float8 * interval '1 ms'
      ORDER BY o.finished_at LIMIT ${limit} FOR UPDATE SKIP LOCKED)) RETURNING d.id`);
  return rows.length;
}

export async function get(db: Executor, webhookId: string, id: string): Promise<DeliveryRow | null> {
  const [row] = await db.query<DeliveryRow>(sql`
    SELECT ${DELIVERY_COLUMNS} FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id
    WHERE d.id = ${id}::uuid AND d.webhook_id = ${webhookId}::uuid`);
  return row ?? null;
}

/** Number of deliveries of this event name that wait for a webhook. */
export async function countPending(db: Executor, webhookId: string, name: string): Promise<number> {
  const [row] = await db.query<{ count: number }>(sql`
    SELECT count(*)::int AS count FROM webhook_deliveries d
    WHERE d.endpoint = ${`webhook:${webhookId}`} AND d.status = 'pending' AND d.name = ${name}`);
  return row?.count ?? 0;
}
