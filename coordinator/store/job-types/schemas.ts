import { type Executor, type Sql, sql } from '../db';
import { MOST_PAGE_BYTES } from '../views/within-bytes';

export interface SchemaRow {
  type: string;
  hash: string;
  /** Null: anything. */
  arguments: unknown;
  result: unknown;
  /** Runners that serve the type with these schemas. */
  runners: number;
  inForce: boolean;
  firstSeenAt: Date;
}

/** Runners that count as serving: others have left, and only what they published is still known. */
const IS_SERVING = sql`r.stopped_at IS NULL AND r.last_seen_at > now() - interval '10 minutes'`;

/**
 * Schemas of these types, the newest first. In force are those that a runner serves, and those that were just
 * published, whose runner may not be stored yet. When there are none of a type, because its runners are scaled to
 * nothing for a time, all that are known are in force.
 */
export function schemasOf(db: Executor, types: readonly string[]): Promise<SchemaRow[]> {
  return db.query(sql`
    WITH published AS MATERIALIZED (
      SELECT p.key AS type, p.value AS hash, count(r.id)::int AS runners,
        bool_or(t.published_at > now() - interval '1 minute') AS is_fresh
      FROM type_sets t CROSS JOIN LATERAL jsonb_each_text(t.types) p
      LEFT JOIN runners r ON r.type_set = t.id AND p.key = ANY (r.types) AND ${IS_SERVING}
      WHERE p.key = ANY (${types}::text[]) GROUP BY 1, 2
    ), known AS (
      SELECT s.type, s.hash, s.arguments, s.result, s.first_seen_at AS "firstSeenAt", COALESCE(p.runners, 0) AS runners,
        COALESCE(p.runners > 0 OR p.is_fresh, false) AS "isServed"
      FROM type_schemas s LEFT JOIN published p ON p.type = s.type AND p.hash = s.hash
      WHERE s.type = ANY (${types}::text[])
    )
    SELECT k.type, k.hash, k.arguments, k.result, k."firstSeenAt", k.runners,
      (k."isServed" OR NOT bool_or(k."isServed") OVER (PARTITION BY k.type)) AS "inForce"
    FROM known k ORDER BY k.type, k."firstSeenAt" DESC, k.hash`);
}

export interface TypeRow {
  type: string;
  runners: number;
}

/**
 * Types that runners serve or have published schemas of, by name, as many as fit into a page with their schemas.
 * @param only types that the caller may see; null: all
 */
export async function listTypes(
  db: Executor,
  { only, after, limit }: { only: readonly string[] | null; after: string | null; limit: number },
): Promise<TypeRow[]> {
  const rows = await db.query<TypeRow & { bytesBefore: number }>(sql`
    SELECT p.type, p.runners, sum(p.bytes) OVER (ORDER BY p.type) - p.bytes AS "bytesBefore" FROM (
      SELECT k.type, ${RUNNERS} AS runners, (
        SELECT COALESCE(sum(300 + COALESCE(octet_length(s.arguments::text), 0) + COALESCE(octet_length(s.result::text), 0)), 0)
        FROM type_schemas s WHERE s.type = k.type)::float8 AS bytes
      FROM (
        SELECT s.type FROM type_schemas s UNION
        SELECT unnest(r.types) FROM runners r WHERE ${IS_SERVING}
      ) k
      WHERE (${after}::text IS NULL OR k.type > ${after}) AND (${only}::text[] IS NULL OR k.type = ANY (${only}::text[]))
      ORDER BY k.type LIMIT ${limit}
    ) p ORDER BY p.type`);
  const fitting = rows.filter(({ bytesBefore }) => bytesBefore < MOST_PAGE_BYTES);
  // One more than fits tells that there are more.
  return rows.slice(0, fitting.length + 1);
}

const RUNNERS: Sql = sql`(SELECT count(*)::int FROM runners r WHERE k.type = ANY (r.types) AND ${IS_SERVING})`;

/** How many runners serve the type. */
export async function countServing(db: Executor, type: string): Promise<number> {
  const [row] = await db.query<{ runners: number }>(
    sql`SELECT ${RUNNERS} AS runners FROM (SELECT ${type}::text AS type) k`,
  );
  return row?.runners ?? 0;
}

/** Which of these sets are stored. */
export async function knownSets(db: Executor, ids: readonly string[]): Promise<string[]> {
  const rows = await db.query<{ id: string }>(sql`SELECT t.id FROM type_sets t WHERE t.id = ANY (${ids}::text[])`);
  return rows.map(({ id }) => id);
}
