import { BULK_COLUMNS, type BulkOperationRow } from '../bulk';
import { type Executor, sql } from '../db';

/** The operation with this id, of this user; null: of any user. */
export async function get(db: Executor, userId: string | null, id: string): Promise<BulkOperationRow | null> {
  const rows = await db.query<BulkOperationRow>(sql`
    SELECT ${BULK_COLUMNS} FROM bulk_operations b
    WHERE b.id = ${id}::uuid AND (${userId}::text IS NULL OR b.user_id = ${userId}::text)`);
  return rows[0] ?? null;
}
