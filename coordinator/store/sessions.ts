import { type Executor, sql } from './db';
import type { ApiKeyRow } from './api-keys';

/** Most open sessions of one key; opening one more ends the oldest. */
export const MOST_SESSIONS = 100;

export async function insert(
  db: Executor,
  session: { tokenHash: string; keyId: string; lifeMs: number },
): Promise<Date> {
  const [row] = await db.query<{ expiresAt: Date }>(sql`
    WITH over AS (
      DELETE FROM sessions s WHERE s.expires_at <= now() OR s.token_hash IN (
        SELECT o.token_hash FROM sessions o WHERE o.key_id = ${session.keyId}
        ORDER BY o.created_at DESC, o.token_hash OFFSET ${MOST_SESSIONS - 1})
    )
    INSERT INTO sessions (token_hash, key_id, created_at, expires_at)
    SELECT ${session.tokenHash}, k.id, now(), LEAST(k.expires_at, now() + ${session.lifeMs}::float8 * interval '1 ms')
    FROM api_keys k WHERE k.id = ${session.keyId}
    RETURNING expires_at AS "expiresAt"`);
  if (row === undefined) throw new Error(`a session of key ${session.keyId} was not stored`);
  return row.expiresAt;
}

/** The key of an open session, if the key is valid now, and when the session ends. */
export async function findOpen(db: Executor, tokenHash: string): Promise<(ApiKeyRow & { sessionEndsAt: Date }) | null> {
  const [key] = await db.query<ApiKeyRow & { sessionEndsAt: Date }>(sql`
    SELECT k.id, k.name, k.role, k.user_id AS "userId", k.queues, k.types, k.secret_hash AS "secretHash",
      k.created_at AS "createdAt",
      k.expires_at AS "expiresAt", k.last_used_at AS "lastUsedAt", k.revoked_at AS "revokedAt",
      k.rotated_from AS "rotatedFrom",
      s.expires_at AS "sessionEndsAt"
    FROM sessions s JOIN api_keys k ON k.id = s.key_id
    WHERE s.token_hash = ${tokenHash} AND s.expires_at > now() AND k.revoked_at IS NULL
      AND (k.expires_at IS NULL OR k.expires_at > now())`);
  return key ?? null;
}

export async function remove(db: Executor, tokenHash: string): Promise<boolean> {
  const rows = await db.query(sql`DELETE FROM sessions s WHERE s.token_hash = ${tokenHash} RETURNING s.key_id`);
  return rows.length > 0;
}

/** Most usable links of one key; creating one more deletes the oldest. */
const MOST_LINKS = 100;

/** Null: the key does not exist, or is not valid. */
export async function insertLink(
  db: Executor,
  link: { tokenHash: string; keyId: string; lifeMs: number },
): Promise<Date | null> {
  const [row] = await db.query<{ expiresAt: Date }>(sql`
    WITH over AS (
      DELETE FROM session_links l WHERE l.expires_at <= now() OR l.token_hash IN (
        SELECT o.token_hash FROM session_links o WHERE o.key_id = ${link.keyId}
        ORDER BY o.created_at DESC, o.token_hash OFFSET ${MOST_LINKS - 1})
    )
    INSERT INTO session_links (token_hash, key_id, created_at, expires_at)
    SELECT ${link.tokenHash}, k.id, now(), LEAST(k.expires_at, now() + ${link.lifeMs}::float8 * interval '1 ms')
    FROM api_keys k WHERE k.id = ${link.keyId} AND k.revoked_at IS NULL
      AND (k.expires_at IS NULL OR k.expires_at > now())
    RETURNING expires_at AS "expiresAt"`);
  return row?.expiresAt ?? null;
}

/** The key of a link that can be used. */
export async function findLink(db: Executor, tokenHash: string): Promise<ApiKeyRow | null> {
  const [key] = await db.query<ApiKeyRow>(sql`
    SELECT k.id, k.name, k.role, k.user_id AS "userId", k.queues, k.types, k.secret_hash AS "secretHash",
      k.created_at AS "createdAt",
      k.expires_at AS "expiresAt", k.last_used_at AS "lastUsedAt", k.revoked_at AS "revokedAt",
      k.rotated_from AS "rotatedFrom"
    FROM session_links l JOIN api_keys k ON k.id = l.key_id
    WHERE l.token_hash = ${tokenHash} AND l.expires_at > now()
      AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())`);
  return key ?? null;
}

/** Uses up a link. Returns false when another call was first. */
export async function takeLink(transaction: Executor, tokenHash: string): Promise<boolean> {
  const rows = await transaction.query(sql`
    DELETE FROM session_links l WHERE l.token_hash = ${tokenHash} AND l.expires_at > now() RETURNING l.key_id`);
  return rows.length > 0;
}
