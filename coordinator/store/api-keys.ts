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
}

export async function insert(db: Executor, key: InsertApiKey): Promise<void> {
  await db.query(sql`
    INSERT INTO api_keys (id, name, role, user_id, queues, types, secret_hash, created_at, expires_at)
    VALUES (${key.id}, ${key.name}, ${key.role}::api_key_role, ${key.userId}, ${key.queues}::text[], ${key.types}::text[],
      ${key.secretHash}, now(), ${key.expiresAt}::timestamptz)`);
}

/** Puts a key that is configured, not made, under its fixed id; the one that stood there before is gone. */
export async function replace(db: Executor, key: InsertApiKey): Promise<void> {
  await db.query(sql`
    INSERT INTO api_keys AS k (id, name, role, queues, types, secret_hash, created_at)
    VALUES (${key.id}, ${key.name}, ${key.role}::api_key_role, '{}', '{}', ${key.secretHash}, now())
    ON CONFLICT (id) DO UPDATE SET secret_hash = EXCLUDED.secret_hash, created_at = now(), revoked_at = NULL
    WHERE k.secret_hash <> EXCLUDED.secret_hash OR k.revoked_at IS NOT NULL`);
}

/** The key with this hash, if it may be used now. Its last use is written at most once a minute. */
export async function findUsable(db: Executor, secretHash: string): Promise<ApiKeyRow | null> {
  const [key] = await db.query<ApiKeyRow & { isStale: boolean }>(sql`
    SELECT id, name, role, user_id AS "userId", queues, types, secret_hash AS "secretHash", created_at AS "createdAt",
      expires_at AS "expiresAt", last_used_at AS "lastUsedAt", revoked_at AS "revokedAt", rotated_from AS "rotatedFrom",
      COALESCE(last_used_at < now() - interval '1 minute', true) AS "isStale"
    FROM api_keys
    WHERE secret_hash = ${secretHash} AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())`);
  if (key?.isStale === true) await db.query(sql`UPDATE api_keys SET last_used_at = now() WHERE id = ${key.id}`);
  return key ?? null;
}

export function get(db: Db, id: string): Promise<ApiKeyRow | null> {
  return db.prisma.apiKey.findUnique({ where: { id } });
}

export function page(db: Db, after: string | null, limit: number): Promise<ApiKeyRow[]> {
  return db.prisma.apiKey.findMany({ orderBy: { id: 'asc' }, take: limit, ...(after === null ? {} : { where: { id: { gt: after } } }) });
}

/** The row stays, so that what the key did can still be told. */
export async function revoke(db: Executor, id: string): Promise<boolean> {
  const rows = await db.query(sql`UPDATE api_keys SET revoked_at = COALESCE(revoked_at, now()) WHERE id = ${id} RETURNING id`);
  return rows.length > 0;
}
