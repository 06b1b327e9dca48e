import { type Executor, sql } from './db';

export interface SeenRunner {
  id: string;
  /** Undefined when only a heartbeat was heard, which does not name them. */
  types?: string[] | undefined;
  queues?: string[] | undefined;
  labels?: Record<string, unknown> | undefined;
  version?: string | undefined;
  /** It said goodbye. */
  isStopped?: boolean;
}

/** Runners that were heard since the last time. */
export async function markSeen(db: Executor, seen: SeenRunner[]): Promise<void> {
  await db.query(sql`
    INSERT INTO runners AS r (id, types, queues, labels, version, first_seen_at, last_seen_at, stopped_at)
    SELECT s.id, ARRAY(SELECT json_array_elements_text(s.types)), ARRAY(SELECT json_array_elements_text(s.queues)),
      COALESCE(s.labels, '{}'), s.version, now(), now(), CASE WHEN s."isStopped" THEN now() END
    FROM json_to_recordset(${JSON.stringify(seen)}::json) AS s (id text, types json, queues json, labels json, version text, "isStopped" boolean)
    ORDER BY s.id
    ON CONFLICT (id) DO UPDATE SET
      last_seen_at = now(),
      -- Another coordinator may write down up to 10 s later that it heard the runner before.
      stopped_at = CASE WHEN EXCLUDED.stopped_at IS NOT NULL THEN EXCLUDED.stopped_at
        WHEN r.stopped_at > now() - interval '20 s' THEN r.stopped_at END,
      types = CASE WHEN cardinality(EXCLUDED.types) = 0 THEN r.types ELSE EXCLUDED.types END,
      queues = CASE WHEN cardinality(EXCLUDED.types) = 0 THEN r.queues ELSE EXCLUDED.queues END,
      labels = CASE WHEN cardinality(EXCLUDED.types) = 0 THEN r.labels ELSE EXCLUDED.labels END,
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
