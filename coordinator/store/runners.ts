import { type Executor, sql } from './db';

export interface SeenRunner {
  id: string;
  /** Undefined for a heartbeat, which does not contain them. */
  types?: string[] | undefined;
  queues?: string[] | undefined;
  labels?: Record<string, unknown> | undefined;
  version?: string | undefined;
  /** Version of the protocol. */
  protocol?: number | undefined;
  /** The schemas that it has published. */
  typeSet?: string | undefined;
  /** It reported that it stops. */
  isStopped?: boolean;
}

/** Stores runners that called since the last write. */
export async function markSeen(db: Executor, seen: SeenRunner[]): Promise<void> {
  await db.query(sql`
    INSERT INTO runners AS r (id, types, queues, labels, version, protocol, type_set, first_seen_at,
      last_seen_at, stopped_at)
    SELECT s.id, ARRAY(SELECT json_array_elements_text(s.types)), ARRAY(SELECT json_array_elements_text(s.queues)),
      COALESCE(s.labels, '{}'), s.version, COALESCE(s.protocol, 1), s."typeSet", now(), now(), CASE WHEN s."isStopped" THEN now() END
    FROM json_to_recordset(${JSON.stringify(seen)}::json) AS s (id text, types json, queues json, labels json,
      version text, protocol int, "typeSet" text, "isStopped" boolean)
    ORDER BY s.id
    ON CONFLICT (id) DO UPDATE SET
      last_seen_at = now(),
      -- Another coordinator may write a call from before the stop up to 10 s later.
      stopped_at = CASE WHEN EXCLUDED.stopped_at IS NOT NULL THEN EXCLUDED.stopped_at
        WHEN r.stopped_at > now() - interval '20 s' THEN r.stopped_at END,
      types = CASE WHEN cardinality(EXCLUDED.types) = 0 THEN r.types ELSE EXCLUDED.types END,
      queues = CASE WHEN cardinality(EXCLUDED.types) = 0 THEN r.queues ELSE EXCLUDED.queues END,
      labels = CASE WHEN cardinality(EXCLUDED.types) = 0 THEN r.labels ELSE EXCLUDED.labels END,
      protocol = CASE WHEN cardinality(EXCLUDED.types) = 0 THEN r.protocol ELSE EXCLUDED.protocol END,
      type_set = COALESCE(EXCLUDED.type_set, r.type_set),
      version = COALESCE(EXCLUDED.version, r.version)`);
}

export function setDraining(db: Executor, id: string, draining: boolean): Promise<{ id: string }[]> {
  return db.query(sql`
    UPDATE runners SET draining_since = CASE WHEN ${draining}::boolean THEN COALESCE(draining_since, now()) END
    WHERE id = ${id} RETURNING id`);
}

export async function listDraining(db: Executor): Promise<string[]> {
  const rows = await db.query<{ id: string }>(sql`SELECT id FROM runners WHERE draining_since IS NOT NULL`);
  return rows.map((row) => row.id);
}

/** Deletes runners that did not call for `keepMs`, and of more than `most` those that did not call for ten minutes. */
export async function removeLost(
  db: Executor,
  { keepMs, most }: { keepMs: number; most: number },
  limit: number,
): Promise<number> {
  const rows = await db.query(sql`
    DELETE FROM runners r WHERE r.last_seen_at < now() - interval '10 minutes' AND r.id IN (
      SELECT o.id FROM (
        SELECT n.id, n.last_seen_at, row_number() OVER (ORDER BY n.last_seen_at DESC, n.id) AS nth FROM runners n
      ) o
      WHERE o.last_seen_at < now() - ${keepMs}::float8 * interval '1 ms' OR o.nth > ${most}
      LIMIT ${limit})
    RETURNING r.id`);
  return rows.length;
}
