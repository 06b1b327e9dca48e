import { ALERT_COLUMNS, type AlertRow } from '../alerts';
import { type Executor, sql } from '../db';

/** Oldest first; `after` is the id of the last row of the previous page. */
export function page(db: Executor, after: string | null, limit: number): Promise<AlertRow[]> {
  return db.query(
    sql`SELECT ${ALERT_COLUMNS} FROM alerts a WHERE ${after}::uuid IS NULL OR a.id > ${after}::uuid
        ORDER BY a.id LIMIT ${limit}`,
  );
}
