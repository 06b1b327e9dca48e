import { type Executor, sql } from './db';

/** The owner of a secret: a webhook, or the callbacks of one user's jobs (`''`: of the installation's). */
export type SecretOwner = { webhookId: string } | { callbackOf: string };

export interface SecretRow {
  id: string;
  secret: string;
  createdAt: Date;
}

/** Most rotated secrets that sign beside the current one. */
const MOST_OLD = 2;

/** Stores a secret as the owner's current one, if the owner has none. */
export async function insertFirst(
  db: Executor,
  secrets: (SecretOwner & { id: string; secret: string })[],
): Promise<void> {
  await db.query(sql`
    INSERT INTO signing_secrets (id, webhook_id, callback_of, secret, created_at)
    SELECT s.id, s."webhookId", s."callbackOf", s.secret, now()
    FROM json_to_recordset(${JSON.stringify(secrets)}::json) AS s ("id" uuid, "webhookId" uuid, "callbackOf" text,
      "secret" text)
    ORDER BY s."webhookId", s."callbackOf"
    ON CONFLICT DO NOTHING`);
}

export async function current(db: Executor, owner: SecretOwner): Promise<SecretRow | null> {
  const { webhookId, callbackOf } = columnsOf(owner);
  const [row] = await db.query<SecretRow>(sql`
    SELECT s.id, s.secret, s.created_at AS "createdAt" FROM signing_secrets s
    WHERE (s.webhook_id = ${webhookId}::uuid OR s.callback_of = ${callbackOf}::text) AND s.expires_at IS NULL`);
  return row ?? null;
}

/** The current secret signs for `graceMs` more; the latest older ones sign until their own end. */
export async function retire(transaction: Executor, owner: SecretOwner, graceMs: number): Promise<void> {
  const { webhookId, callbackOf } = columnsOf(owner);
  await transaction.query(sql`
    UPDATE signing_secrets s SET expires_at = now() + ${graceMs}::float8 * interval '1 ms'
    WHERE (s.webhook_id = ${webhookId}::uuid OR s.callback_of = ${callbackOf}::text) AND s.expires_at IS NULL`);
  await transaction.query(sql`
    DELETE FROM signing_secrets s WHERE s.id IN (
      SELECT o.id FROM signing_secrets o
      WHERE (o.webhook_id = ${webhookId}::uuid OR o.callback_of = ${callbackOf}::text)
      ORDER BY o.expires_at > now() DESC, o.created_at DESC, o.id DESC OFFSET ${MOST_OLD}
    ) OR ((s.webhook_id = ${webhookId}::uuid OR s.callback_of = ${callbackOf}::text) AND s.expires_at <= now())`);
}

function columnsOf(owner: SecretOwner): { webhookId: string | null; callbackOf: string | null } {
  return 'webhookId' in owner
    ? { webhookId: owner.webhookId, callbackOf: null }
    : { webhookId: null, callbackOf: owner.callbackOf };
}
