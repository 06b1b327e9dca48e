import type { Role } from '@baton/runner-sdk/protocol';
import { type Db, type Executor, sql } from './db';
import type { ApiKey } from '../generated/prisma/client';

export type ApiKeyRow = ApiKey;

export interface InsertApiKey {
  id: string;
  name: string;
  role: Role;
  userId: string | null;
  queues: string[];
  types: string[];
  secretHash: string;
  /** ISO-8601. */
  expiresAt: string | null;
  /** The key that it replaces. */
  rotatedFrom: string | null;
}

const KEY_COLUMNS = sql`
  k.id, k.name, k.role, k.user_id AS "userId", k.queues, k.types, k.secret_hash AS "secretHash",
  k.created_at AS "createdAt",
  k.expires_at AS "expiresAt", k.last_used_at AS "lastUsedAt", k.revoked_at AS "revokedAt",
  k.rotated_from AS "rotatedFrom"`;

export async function insert(db: Executor, key: InsertApiKey): Promise<ApiKeyRow> {
  const [row] = await db.query<ApiKeyRow>(sql`
    INSERT INTO api_keys AS k (id, name, role, user_id, queues, types, secret_hash, created_at, expires_at,
      rotated_from)
    VALUES (${key.id}, ${key.name}, ${key.role}::api_key_role, ${key.userId}, ${key.queues}::text[],
      ${key.types}::text[],
      ${key.secretHash}, now(), ${key.expiresAt}::timestamptz, ${key.rotatedFrom})
    RETURNING ${KEY_COLUMNS}`);
  if (row === undefined) throw new Error(`key ${key.id} was not stored`);
  return row;
}

/** Locks the key, and returns what its successor needs. */
export async function lock(
  transaction: Executor,
  id: string,
): Promise<(ApiKeyRow & { isUsable: boolean; successorExpiresAt: Date | null }) | null> {
  const [row] = await transaction.query<ApiKeyRow & { isUsable: boolean; successorExpiresAt: Date | null }>(sql`
    SELECT ${KEY_COLUMNS}, (k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())) AS "isUsable",
      now() + (k.expires_at - k.created_at) AS "successorExpiresAt"
    FROM api_keys k WHERE k.id = ${id} FOR UPDATE`);
  return row ?? null;
}

/** Makes the key expire after the grace period, unless it expires earlier. */
export async function expireAfter(db: Executor, id: string, graceMs: number): Promise<void> {
  await db.query(sql`
    UPDATE api_keys k SET expires_at = LEAST(k.expires_at, now() + ${graceMs}::float8 * interval '1 ms')
    WHERE k.id = ${id}`);
}

/** Stores a configured key under its fixed id, replacing the previous one. */
export async function replace(db: Executor, key: Omit<InsertApiKey, 'rotatedFrom'>): Promise<void> {
  await db.query(sql`
    INSERT INTO api_keys AS k (id, name, role, queues, types, secret_hash, created_at)
    VALUES (${key.id}, ${key.name}, ${key.role}::api_key_role, '{}', '{}', ${key.secretHash}, now())
    ON CONFLICT (id) DO UPDATE SET secret_hash = EXCLUDED.secret_hash, created_at = now(), revoked_at = NULL
    WHERE k.secret_hash <> EXCLUDED.secret_hash OR k.revoked_at IS NOT NULL`);
}

/** The key with this hash, if it is valid now. Its last use is written at most once a minute. */
export async function findUsable(db: Executor, secretHash: string): Promise<ApiKeyRow | null> {
  const [key] = await db.query<ApiKeyRow & { isStale: boolean }>(sql`
    SELECT ${KEY_COLUMNS},
      COALESCE(k.last_used_at < now() - interval '1 minute', true) AS "isStale"
    FROM api_keys k
    WHERE k.secret_hash = ${secretHash} AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())`);
  if (key?.isStale === true) await db.query(sql`UPDATE api_keys SET last_used_at = now() WHERE id = ${key.id}`);
  return key ?? null;
}

/** Which of these keys and sessions, given by hash, are valid now. */
export function findGood(
  db: Executor,
  { keys, sessions }: { keys: string[]; sessions: string[] },
): Promise<{ kind: 'key' | 'session'; hash: string }[]> {
  return db.query(sql`
    SELECT 'key' AS kind, k.secret_hash AS hash FROM api_keys k
    WHERE k.secret_hash = ANY (${keys}::text[]) AND k.revoked_at IS NULL
      AND (k.expires_at IS NULL OR k.expires_at > now())
    UNION ALL
    SELECT 'session', s.token_hash FROM sessions s JOIN api_keys k ON k.id = s.key_id
    WHERE s.token_hash = ANY (${sessions}::text[]) AND s.expires_at > now() AND k.revoked_at IS NULL
      AND (k.expires_at IS NULL OR k.expires_at > now())`);
}

export function get(db: Db, id: string): Promise<ApiKeyRow | null> {
  return db.prisma.apiKey.findUnique({ where: { id } });
}

/** Revokes a key. The row stays, so that the audit log can still name it. */
export async function revoke(db: Executor, id: string): Promise<boolean> {
  const rows = await db.query(
    sql`UPDATE api_keys SET revoked_at = COALESCE(revoked_at, now()) WHERE id = ${id} RETURNING id`,
  );
  return rows.length > 0;
}
