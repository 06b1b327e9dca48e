import { type Executor, sql } from '../db';

export interface DatabaseRow {
  version: string;
  at: Date;
  used: number;
  own: number;
  max: number;
  settings: { name: string; value: string }[];
}

/** What a wrong value of does harm: it loses data, lets tables grow, or ends sessions. */
const SETTINGS = [
  ...['autovacuum', 'fsync', 'full_page_writes', 'synchronous_commit', 'track_counts', 'default_transaction_isolation'],
  ...['idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout', 'statement_timeout'],
  ...['max_connections', 'shared_buffers', 'wal_level', 'max_slot_wal_keep_size', 'autovacuum_naptime'],
];

export async function server(db: Executor): Promise<DatabaseRow | undefined> {
  const rows = await db.query<DatabaseRow>(sql`
    SELECT current_setting('server_version') AS version, clock_timestamp() AS at,
      (SELECT count(*)::int FROM pg_stat_activity a WHERE a.backend_type = 'client backend') AS used,
      (SELECT count(*)::int FROM pg_stat_activity a
        WHERE a.datname = current_database() AND a.usename = current_user) AS own,
      current_setting('max_connections')::int AS max,
      (SELECT coalesce(jsonb_agg(jsonb_build_object('name', s.name, 'value', current_setting(s.name)) ORDER BY s.name), '[]')
        FROM pg_settings s WHERE s.name = ANY(${SETTINGS}::text[])) AS settings`);
  return rows[0];
}

export interface SnapshotRow {
  holder: 'session' | 'prepared_transaction' | 'replication_slot';
  name: string;
  ageMs: number | null;
  transactions: number;
}

/**
 * The transaction that is open for longest, wherever it is on the server: what it could still see cannot be removed
 * from any table. Of other users' sessions only the number of transactions since is visible, not the time.
 */
export async function oldestSnapshot(db: Executor): Promise<SnapshotRow | null> {
  const rows = await db.query<SnapshotRow>(sql`
    SELECT o.holder, o.name, (extract(epoch FROM clock_timestamp() - o.since) * 1000)::float8 AS "ageMs", o.transactions
    FROM (
      SELECT 'session' AS holder, concat_ws(' ', NULLIF(a.application_name, ''), 'process ' || a.pid) AS name,
        a.xact_start AS since, age(a.backend_xmin) AS transactions
      FROM pg_stat_activity a
      WHERE a.backend_xmin IS NOT NULL AND a.pid <> pg_backend_pid() AND a.backend_type IN ('client backend', 'walsender')
      UNION ALL
      SELECT 'prepared_transaction', p.gid, p.prepared, age(p.transaction) FROM pg_prepared_xacts p
      UNION ALL
      SELECT 'replication_slot', s.slot_name::text, NULL, age(s.xmin) FROM pg_replication_slots s WHERE s.xmin IS NOT NULL
    ) o
    ORDER BY o.since ASC NULLS LAST, o.transactions DESC LIMIT 1`);
  return rows[0] ?? null;
}

export interface TableRow {
  name: string;
  bytes: number;
  liveRows: number;
  deadRows: number;
  bloatBytes: number;
  vacuumedAt: Date | null;
}

const MOST_TABLES = 20;
/** Header and line pointer of a row, in bytes. */
const ROW_OVERHEAD = 32;

/**
 * The largest tables. How large one ought to be is its number of rows times the widths that ANALYZE found; columns that
 * are stored apart count neither way.
 */
export function tables(db: Executor): Promise<TableRow[]> {
  return db.query(sql`
    SELECT t.relname AS name, pg_total_relation_size(t.relid)::float8 AS bytes,
      t.n_live_tup::float8 AS "liveRows", t.n_dead_tup::float8 AS "deadRows",
      greatest(0, pg_relation_size(t.relid) - coalesce(c.reltuples * (w.bytes + ${ROW_OVERHEAD}::int)
        / (coalesce(substring(array_to_string(c.reloptions, ',') FROM 'fillfactor=(\\d+)')::float8, 100) / 100),
        pg_relation_size(t.relid)))::float8 AS "bloatBytes",
      greatest(t.last_vacuum, t.last_autovacuum) AS "vacuumedAt"
    FROM pg_stat_user_tables t
    JOIN pg_class c ON c.oid = t.relid
    LEFT JOIN LATERAL (
      SELECT sum(s.avg_width * (1 - s.null_frac)) AS bytes FROM pg_stats s
      WHERE s.schemaname = t.schemaname AND s.tablename = t.relname
    ) w ON true
    WHERE t.schemaname = current_schema()
    ORDER BY pg_total_relation_size(t.relid) DESC, t.relname LIMIT ${MOST_TABLES}`);
}
