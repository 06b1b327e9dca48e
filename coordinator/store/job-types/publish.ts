import { type Connections, type Executor, sql } from '../db';
import { lockNames } from '../locks';

export interface NewSchemas {
  type: string;
  hash: string;
  arguments: unknown;
  result: unknown;
}

/** How many schemas there are of each of these types, and of all types together. */
export async function countSchemas(
  db: Executor,
  types: readonly string[],
): Promise<{ ofType: Map<string, number>; inAll: number }> {
  const rows = await db.query<{ type: string | null; schemas: number }>(sql`
    SELECT s.type, count(*)::int AS schemas FROM type_schemas s WHERE s.type = ANY (${types}::text[]) GROUP BY 1
    UNION ALL SELECT NULL, count(*)::int FROM type_schemas`);
  return {
    ofType: new Map(rows.flatMap(({ type, schemas }) => (type === null ? [] : [[type, schemas]]))),
    inAll: rows.find(({ type }) => type === null)?.schemas ?? 0,
  };
}

/** Which of these are stored. */
export async function storedSchemas(
  db: Executor,
  wanted: readonly Pick<NewSchemas, 'type' | 'hash'>[],
): Promise<{ type: string; hash: string }[]> {
  return db.query(sql`
    SELECT s.type, s.hash FROM type_schemas s
    JOIN json_to_recordset(${JSON.stringify(wanted)}::json) AS w (type text, hash text)
      ON w.type = s.type AND w.hash = s.hash`);
}

/** Publishing and forgetting exclude each other: what is published must not be forgotten at the same time. */
const LOCK = ['type schemas'];

/** Stores a set and its schemas, and that the runner has published it. */
export async function publish(
  db: Connections,
  runnerId: string,
  set: { id: string; types: Record<string, string> },
  schemas: readonly NewSchemas[],
): Promise<void> {
  await db.transaction(async (transaction) => {
    await lockNames(transaction, LOCK);
    await transaction.query(sql`
      INSERT INTO type_schemas (type, hash, arguments, result, first_seen_at)
      SELECT s.type, s.hash, s.arguments, s.result, now()
      FROM json_to_recordset(${JSON.stringify(schemas)}::json) AS s (type text, hash text, arguments json, result json)
      ORDER BY s.type, s.hash
      ON CONFLICT (type, hash) DO NOTHING`);
    await transaction.query(sql`
      INSERT INTO type_sets (id, types, published_at) VALUES (${set.id}, ${JSON.stringify(set.types)}::jsonb, now())
      ON CONFLICT (id) DO UPDATE SET published_at = now()`);
    await transaction.query(sql`UPDATE runners SET type_set = ${set.id} WHERE id = ${runnerId}`);
  });
}

/** Deletes sets that no known runner has published, and schemas that are in no set. */
export async function forget(db: Connections, limit: number): Promise<void> {
  await db.transaction(async (transaction) => {
    await lockNames(transaction, LOCK);
    await transaction.query(sql`
      DELETE FROM type_sets d WHERE d.id IN (
        SELECT t.id FROM type_sets t WHERE t.published_at < now() - interval '1 hour'
          AND NOT EXISTS (SELECT FROM runners r WHERE r.type_set = t.id) LIMIT ${limit})`);
    await transaction.query(sql`
      DELETE FROM type_schemas d WHERE (d.type, d.hash) IN (
        SELECT s.type, s.hash FROM type_schemas s
        WHERE NOT EXISTS (SELECT FROM type_sets t WHERE t.types ->> s.type = s.hash) LIMIT ${limit})`);
  });
}
