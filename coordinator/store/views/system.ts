import { type Executor, sql } from '../db';
import { LISTENER_NAME } from '../listen';

export interface CoordinatorRow {
  version: string | null;
  host: string | null;
  address: string | null;
  connectedAt: Date;
}

/**
 * Coordinators are found by their listening sessions, whose names identify them. Those of other schemas are left out.
 */
export function coordinators(db: Executor & { channel: string }): Promise<CoordinatorRow[]> {
  return db.query(sql`
    SELECT NULLIF(split_part(a.application_name, ' ', 2), '') AS version,
      NULLIF(split_part(a.application_name, ' ', 3), '') AS host,
      host(a.client_addr) AS address, a.backend_start AS "connectedAt"
    FROM pg_stat_activity a
    WHERE a.datname = current_database() AND a.usename = current_user
      AND split_part(a.application_name, ' ', 1) = ${LISTENER_NAME}
    ORDER BY a.backend_start, a.pid`);
}

/** In the order in which they were applied. */
export function migrations(db: Executor): Promise<{ name: string; appliedAt: Date }[]> {
  return db.query(sql`
    SELECT m.migration_name AS name, m.finished_at AS "appliedAt" FROM _prisma_migrations m
    WHERE m.finished_at IS NOT NULL AND m.rolled_back_at IS NULL ORDER BY m.migration_name`);
}
